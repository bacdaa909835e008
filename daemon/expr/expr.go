// Package expr is the language in which people say which flows they mean.
package expr

import (
	"fmt"

	"ctsync/daemon/flow"
)

// An Expr says which flows somebody wants to see: the filter of lists, of event streams and of the monitor.
//
//	proto:tcp dport:80,443 !src:10.0.0.0/8
//	(nat:snat or mark:0x10/0xf0) and idle>1m
//	established ftp
//
// Its grammar, in which blanks separate words and "and" may be left out:
//
//	or    = and { ( "or" | "||" ) and }
//	and   = not { [ "and" | "&&" ] not }
//	not   = ( "not" | "!" ) not | "(" or ")" | term
//	term  = key ( ":" | "=" | "!=" ) value { "," value } | key ( "<" | "<=" | ">" | ">=" ) value | text
//	value = what the key takes, where it has an order also a range "first-last"
//
// Words are case-insensitive; quotes ("...") take in what the grammar would use otherwise. Keys lists the keys. A term with
// "!=" is the opposite of the one with "=", also for flows that do not have the attribute. A text without a key matches
// what a reader finds in a row: see text.
//
// An Expr is immutable: its methods may be called from any goroutine. The zero Expr matches every flow.
type Expr struct {
	root node
	need Need
}

// Bounds of an expression, so that nobody makes the daemon work on one for long.
const (
	maxExpr  = 4096 // bytes
	maxDepth = 64   // of parentheses and negations
)

// Need is what an Expr looks at beyond a flow's own attributes of identity and state. Not every table has it.
type Need uint8

// Needs.
const (
	NeedAge      Need = 1 << iota // Ages.Age
	NeedIdle                      // Ages.Idle
	NeedCounters                  // Packets, Bytes
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Column  int    // of the character, from 1
	Message string // what is wrong there
	Hint    string // what was expected
}

// Error returns column, message and hint on one line.
func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("filter column %d: %s", e.Column, e.Message)
	}
	return fmt.Sprintf("filter column %d: %s: %s", e.Column, e.Message, e.Hint)
}

// Parse reads an expression. The error is an *Error, and the Expr then nil. An expression without a word matches
// every flow.
func Parse(s string) (*Expr, error) {
	p := &parser{s: s}
	if len(s) > maxExpr {
		return nil, &Error{Column: maxExpr + 1, Message: "filter is too long", Hint: fmt.Sprintf("at most %d characters", maxExpr)}
	}
	for i := range len(s) {
		if s[i] > '~' || s[i] < ' ' && !blank(s[i]) {
			return nil, &Error{Column: i + 1, Message: "unexpected character", Hint: "names and addresses are plain ASCII"}
		}
	}
	e := new(Expr)
	if p.blanks(); p.at < len(s) {
		root, err := p.or(0)
		if err != nil {
			return nil, err
		}
		if p.at < len(s) { // only a closing parenthesis ends an expression early
			return nil, p.fail(p.at, `")" without "("`, "")
		}
		e.root = root
	}
	e.need = e.root.needs()
	return e, nil
}

// Match reports whether f, of these ages, is one of the wanted flows.
func (e *Expr) Match(f *flow.Flow, a flow.Ages) bool { return e.root.match(f, a) }

// Needs returns what the expression looks at.
func (e *Expr) Needs() Need { return e.need }

// node is an expression or a part of one. Nodes are in a normal form: no and in an and, no or in an or, no not in a not,
// and two parts at least in both.
type node struct {
	kind nodeKind
	kids []node
	term term
}

type nodeKind uint8

const (
	nodeAnd nodeKind = iota // of no parts: every flow
	nodeOr
	nodeNot // of kids[0]
	nodeTerm
)

func (n *node) match(f *flow.Flow, a flow.Ages) bool {
	switch n.kind {
	case nodeTerm:
		return n.term.match(f, a)
	case nodeNot:
		return !n.kids[0].match(f, a)
	case nodeOr:
		for i := range n.kids {
			if n.kids[i].match(f, a) {
				return true
			}
		}
		return false
	}
	for i := range n.kids {
		if !n.kids[i].match(f, a) {
			return false
		}
	}
	return true
}

func (n *node) needs() Need {
	if n.kind == nodeTerm && n.term.key != nil {
		return n.term.key.need
	}
	var need Need
	for i := range n.kids {
		need |= n.kids[i].needs()
	}
	return need
}

// joined makes a node of several in normal form.
func joined(kind nodeKind, parts []node) node {
	if len(parts) == 1 {
		return parts[0]
	}
	n := node{kind: kind}
	for _, p := range parts {
		if p.kind == kind {
			n.kids = append(n.kids, p.kids...)
		} else {
			n.kids = append(n.kids, p)
		}
	}
	return n
}

func negated(n node) node {
	if n.kind == nodeNot {
		return n.kids[0]
	}
	return node{kind: nodeNot, kids: []node{n}}
}
