// Package expr is the language in which people say which flows they mean.
//
// Parse reads an expression, Expr.Match tries it on a flow without allocating, and Expr.String prints it in one form.
// Keys is the table behind help and completion.
package expr

import (
	"fmt"

	"ctsync/daemon/flow"
)

// An Expr says which flows somebody wants to see. It is the filter of lists, of event streams and of the monitor.
//
//	proto:tcp dport:80,443 !src:10.0.0.0/8
//	(nat:snat or mark:0x10/0xf0) and idle>1m
//	established ftp
//
// In the grammar, blanks separate words, and "and" may be left out:
//
//	or    = and { ( "or" | "||" ) and }
//	and   = not { [ "and" | "&&" ] not }
//	not   = ( "not" | "!" ) not | "(" or ")" | term
//	term  = key ( ":" | "=" | "!=" ) value { "," value } | key ( "<" | "<=" | ">" | ">=" ) value | text
//	value = what the key takes, where it has an order also a range "first-last"
//
// Case does not matter. Quotes ("...") protect characters that the grammar uses. Keys lists the keys. A term with "!="
// matches exactly the flows that the term with "=" does not match, also those without the attribute. A text without a
// key matches what a reader sees in a row: see text.
//
// An Expr is immutable: any goroutine may call its methods. The zero Expr matches every flow.
type Expr struct {
	root node
	need Need
}

// Bounds of an expression: the daemon must not spend long on one.
const (
	maxExpr  = 4096 // bytes
	maxDepth = 64   // of parentheses and negations
)

// Need is a set of attributes that an Expr looks at and that not every table has.
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

// Parse reads an expression. The error is an *Error, and the Expr is nil then. An expression without a word matches
// every flow.
func Parse(s string) (*Expr, error) {
	p := &parser{s: s}
	if len(s) > maxExpr {
		return nil, p.fail(maxExpr, "filter is too long", fmt.Sprintf("at most %d characters", maxExpr))
	}
	for i := range len(s) {
		if s[i] > '~' || s[i] < ' ' && !blank(s[i]) {
			return nil, p.fail(i, "unexpected character", "names and addresses are plain ASCII")
		}
	}
	e := new(Expr)
	if p.blanks(); p.at < len(s) {
		root, err := p.or(0)
		if err != nil {
			return nil, err
		}
		if p.at < len(s) { // only a closing parenthesis stops the parser early
			return nil, p.fail(p.at, `")" without "("`, "")
		}
		e.root = root
	}
	e.need = e.root.needs()
	return e, nil
}

// Match reports whether the expression matches f, which has these ages. It does not allocate.
func (e *Expr) Match(f *flow.Flow, a flow.Ages) bool { return e.root.match(f, a) }

// Needs returns the attributes that the expression looks at and that a table may lack.
func (e *Expr) Needs() Need { return e.need }

// node is an expression or a part of one. Nodes are in a normal form: an and has no and among its kids, an or no or, a
// not no not, and both and and or have at least two kids.
type node struct {
	kind nodeKind
	kids []node
	term term
}

type nodeKind uint8

const (
	nodeAnd nodeKind = iota // without kids: matches every flow
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

// joined makes one node of several, in normal form.
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
