package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration file.
type Problem struct {
	File string
	// Line and Column count from 1, the column in bytes. Both are 0 if the problem has no place, like a missing table.
	Line, Column int
	// Text says what is wrong and what was probably meant.
	Text string
}

// Error returns "file:line:column: text", the form that editors understand.
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Problems are all problems of one configuration file.
type Problems []Problem

// Error returns one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// parser turns the tree of a document into a Config and collects what is wrong with it.
type parser struct {
	cfg      *Config
	problems Problems
	invalid  *Problem         // what the TOML decoder refused, if it did
	given    map[string]*node // tables and valid keys of the file, for the checks that need more than one
	links    []linkTable      // one for each of cfg.Interfaces
}

// problem records what is wrong at a place.
func (p *parser) problem(at position, format string, args ...any) {
	p.problems = append(p.problems, Problem{Line: at.line, Column: at.column, Text: fmt.Sprintf(format, args...)})
}

// sorted returns the problems in the order of the file, those without a place last. It adds what the decoder refused,
// unless that line has a problem of our own, which says the same better.
func (p *parser) sorted(name string) Problems {
	sameLine := func(q Problem) bool { return q.Line == p.invalid.Line }
	if p.invalid != nil && !slices.ContainsFunc(p.problems, sameLine) {
		p.problems = append(p.problems, *p.invalid)
	}
	for i := range p.problems {
		p.problems[i].File = name
	}
	slices.SortStableFunc(p.problems, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p.problems
}

// linkTable says where the parts of an [interface.NAME] are.
type linkTable struct {
	at        position
	peer      position // of the key; the zero value if there is no valid one
	mcastPeer position // likewise
}
