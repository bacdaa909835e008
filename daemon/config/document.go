package config

import (
	"errors"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// position is a place in the file, counted from 1. The zero value is no place.
type position struct{ line, column int }

// node is a value of the document, or a table of them.
type node struct {
	key     string // last part of the key; "" for an element of a list
	at      position
	valueAt position
	kind    unstable.Kind // Table for every table; InlineTable does not occur
	text    string        // of a scalar: the string's value, or the number, boolean or date as written
	items   []*node       // of an Array
	fields  []*node       // of a Table, in the order of the file
	header  bool          // a Table that had its own [header]
}

// field returns the field called key, or nil.
func (n *node) field(key string) *node {
	i := slices.IndexFunc(n.fields, func(f *node) bool { return f.key == key })
	if i < 0 {
		return nil
	}
	return n.fields[i]
}

// document parses data into a tree with positions. It returns nil after a syntax error: what follows one means nothing.
// The library's decoder decides what is TOML. The tree comes from the library's parser, because the decoder does not
// say where a value is, and stops at the first wrong type.
func (p *parser) document(data []byte) *node {
	t := tree{parser: p, root: &node{kind: unstable.Table, header: true}, lines: lineStarts(data)}
	t.toml.Reset(data)
	for t.toml.NextExpression() {
		t.expression(t.toml.Expression())
	}
	var values map[string]any
	invalid := toml.Unmarshal(data, &values)
	if de := (*toml.DecodeError)(nil); errors.As(invalid, &de) {
		line, column := de.Position()
		p.invalid = &Problem{Line: line, Column: column, Text: strings.TrimPrefix(de.Error(), "toml: ")}
	} else if invalid != nil {
		p.invalid = &Problem{Text: invalid.Error()}
	}
	if t.toml.Error() == nil {
		return t.root
	}
	p.problems = nil
	if p.invalid != nil {
		withoutQuotes(p.invalid, data)
	}
	return nil
}

// bareWord matches a line whose value is text without quotes.
var bareWord = regexp.MustCompile(`^(\s*[A-Za-z0-9_-]+\s*=\s*)([0-9A-Za-z/][^\s"'#,\]]*)\s*(#.*)?$`)

// withoutQuotes handles the most common error, a text without quotes: it replaces text and column of the syntax error
// by what was meant.
func withoutQuotes(bad *Problem, data []byte) {
	lines := strings.Split(string(data), "\n")
	if bad.Line < 1 || bad.Line > len(lines) {
		return
	}
	m := bareWord.FindStringSubmatch(strings.TrimSuffix(lines[bad.Line-1], "\r"))
	if m == nil || !utf8.ValidString(m[2]) {
		return
	}
	bad.Column = len(m[1]) + 1
	switch strings.ToLower(m[2]) {
	case "yes", "on", "enable", "enabled", "true":
		bad.Text = m[2] + " is not a value; did you mean true?"
	case "no", "off", "disable", "disabled", "false":
		bad.Text = m[2] + " is not a value; did you mean false?"
	default:
		bad.Text = m[2] + " is not a value: text needs quotes, " + quote(m[2])
	}
}

// tree builds the tree of a document.
type tree struct {
	*parser
	toml  unstable.Parser
	root  *node
	table *node // that the current [header] opened; nil before the first one
	lines []int // offset at which each line starts
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// expression adds a header, or a key with its value.
func (t *tree) expression(e *unstable.Node) {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		t.table = t.open(t.root, e.Key())
		if t.table.header && e.Kind == unstable.Table {
			first := t.table.at.line
			t.problem(t.at(e), "the table [%s] is already on line %d", t.path(e), first)
		}
		t.table.header, t.table.at = true, t.at(e)
		if e.Kind == unstable.ArrayTable {
			t.problem(t.at(e), "a table has single brackets: [%s]", t.path(e))
		}
	case unstable.KeyValue:
		table := t.table
		if table == nil {
			table = t.root
		}
		t.keyValue(table, e)
	}
}

// open walks down from n along keys and makes the tables that are missing. If it meets a value, it goes on in a table
// that nobody sees: the decoder refuses the file.
func (t *tree) open(n *node, keys unstable.Iterator) *node {
	for keys.Next() {
		n = t.child(n, keys.Node())
	}
	return n
}

func (t *tree) child(n *node, key *unstable.Node) *node {
	name := string(key.Data)
	f := n.field(name)
	switch {
	case f == nil:
		f = &node{key: name, at: t.place(key), valueAt: t.place(key), kind: unstable.Table}
		n.fields = append(n.fields, f)
	case f.kind != unstable.Table:
		f = &node{key: name, at: t.place(key), kind: unstable.Table}
	}
	return f
}

// keyValue adds the key and value of e, whose key may be dotted, to table.
func (t *tree) keyValue(table *node, e *unstable.Node) {
	keys := e.Key()
	for keys.Next() {
		key := keys.Node()
		if !keys.IsLast() {
			table = t.child(table, key)
			continue
		}
		if old := table.field(string(key.Data)); old != nil {
			t.problem(t.place(key), "%q is already set on line %d", old.key, old.at.line)
			return
		}
		f := &node{key: string(key.Data), at: t.place(key)}
		table.fields = append(table.fields, f)
		t.value(f, e.Value())
	}
}

// value fills n from the value v.
func (t *tree) value(n *node, v *unstable.Node) {
	n.kind, n.text, n.valueAt = v.Kind, string(v.Data), n.at
	if v.Raw.Length > 0 { // a list has no range of its own
		n.valueAt = t.place(v)
	}
	children := v.Children()
	for children.Next() {
		child := children.Node()
		if v.Kind == unstable.InlineTable {
			t.keyValue(n, child)
			continue
		}
		item := &node{at: n.valueAt}
		t.value(item, child)
		n.items = append(n.items, item)
	}
	if v.Kind == unstable.InlineTable {
		n.kind = unstable.Table
	}
}

// at returns where the key of a header or of a key-value pair begins.
func (t *tree) at(e *unstable.Node) position {
	keys := e.Key()
	keys.Next()
	return t.place(keys.Node())
}

// place returns where n begins. The library's Shape would count from the start of the file each time.
func (t *tree) place(n *unstable.Node) position {
	offset := int(n.Raw.Offset)
	line := sort.SearchInts(t.lines, offset+1)
	return position{line, offset - t.lines[line-1] + 1}
}

// path returns the dotted key of a header.
func (t *tree) path(e *unstable.Node) string {
	var parts []string
	keys := e.Key()
	for keys.Next() {
		parts = append(parts, quoteKey(string(keys.Node().Data)))
	}
	return strings.Join(parts, ".")
}

// bareKey matches a key that needs no quotes in TOML.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// quoteKey returns a key as TOML writes it.
func quoteKey(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}
