package keepalived

import (
	"fmt"
	"strconv"
	"strings"
)

// define reads a line that defines a text, and reports whether it is one.
func (r *reader) define(l string) bool {
	rest, ok := strings.CutPrefix(l, "$")
	if !ok {
		return false
	}
	name := rest[:nameEnd(rest)]
	value, ok := strings.CutPrefix(rest[len(name):], "=")
	if name == "" || !ok {
		return false
	}
	value, more := strings.CutSuffix(strings.TrimLeft(value, " \t"), `\`)
	if !more {
		r.defined[name] = definition{value}
		return true
	}
	r.open, r.defined[name] = name, nil
	if value = strings.TrimRight(value, " \t"); value != "" {
		r.defined[name] = definition{value}
	}
	return true
}

// nameEnd returns how long the name of a definition is with which s begins, 0 if there is none.
func nameEnd(s string) int {
	i := 0
	for i < len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			break
		}
		i++
	}
	return i
}

// insert puts definitions into a line, also those that another one contains. more are the further lines of definitions
// with several. A name that is not defined stays.
func (r *reader) insert(l string) (text string, more []string, inserted bool) {
	from := 0
	for range maxFiles {
		i := strings.IndexByte(l[from:], '$')
		if i < 0 {
			return l, more, inserted
		}
		i += from
		value, end := r.use(l, i)
		if value == nil {
			from = i + 1
			continue
		}
		first := ""
		if len(value) > 0 {
			first = value[0]
			more = append(append([]string{}, value[1:]...), more...)
		}
		l, from, inserted = l[:i]+first+l[end:], i, true
		if strings.HasPrefix(strings.TrimLeft(first, " \t"), "~") || len(l) > maxLines {
			return l, more, inserted
		}
	}
	r.doubt("a definition in %s contains itself", r.file)
	return "", nil, true
}

// use returns the definition that l uses at i, a dollar sign, and where that use ends; nil if it uses none.
func (r *reader) use(l string, i int) (value definition, end int) {
	rest, braced := strings.CutPrefix(l[i+1:], "{")
	name := rest[:nameEnd(rest)]
	value, known := r.defined[name]
	after := rest[len(name):]
	switch {
	case name == "":
		return nil, 0
	case braced:
		inner, _, closed := strings.Cut(after, "}")
		if !closed || strings.Trim(inner, " 0123456789") != "" || inner != "" && name != "_RANDOM" {
			known = false
		}
		end = i + len("${") + len(name) + len(inner) + len("}")
	default:
		known = known && (after == "" || strings.IndexByte(" \t,)", after[0]) >= 0)
		end = i + len("$") + len(name)
	}
	if !known && braced && name[0] == '_' {
		r.doubt("%s:%d uses ${%s}, which is not known", r.file, r.at, name)
	}
	if !known || len(value) > 1 && end != len(l) {
		return nil, 0
	}
	if value == nil {
		value = definition{""}
	}
	return value, end
}

// repeat reads a line that begins with ~SEQ or ~LST as often as that says, and reports whether it is one.
func (r *reader) repeat(l string) bool {
	kind, rest, _ := strings.Cut(l, "(")
	kind = strings.TrimRight(kind, " \t")
	if kind != "~SEQ" && kind != "~SEQx" && kind != "~LST" {
		return false
	}
	inside, rest, closed := strings.Cut(rest, ")")
	names, rows, ok := sequence(r, inside, kind)
	if kind == "~LST" {
		names, rows, ok = list(inside)
	}
	if !closed || !ok {
		r.doubt("%s:%d %.40q is not understood", r.file, r.at, l)
		return true
	}
	for _, row := range rows {
		for i, name := range names {
			r.defined[name] = definition{row[i]}
		}
		r.line(strings.TrimLeft(rest, " \t"), true)
	}
	return true
}

// sequence reads what is between the parentheses of ~SEQ: NAME, [START, [STEP,]] END.
func sequence(r *reader, inside, kind string) (names []string, rows [][]string, ok bool) {
	name, numbers, _ := strings.Cut(inside, ",")
	numbers, more, _ := r.insert(numbers)
	var n []int64
	for s := range strings.SplitSeq(numbers, ",") {
		v, err := strconv.ParseInt(strings.TrimSpace(s), 0, 64)
		if err != nil {
			return nil, nil, false
		}
		n = append(n, v)
	}
	var start, step, end int64
	switch {
	case len(more) > 0 || len(n) > 3:
		return nil, nil, false
	case len(n) == 1:
		start, step, end = 1, 1, n[0]
		if end < 0 {
			start = -1
		}
		if end < 1 {
			step = -1
		}
	case len(n) == 2:
		start, step, end = n[0], 1, n[1]
		if start > end {
			step = -1
		}
	default:
		start, step, end = n[0], n[1], n[2]
	}
	if step == 0 || start < end && step < 0 || start > end && step > 0 || (end-start)/step > maxLines {
		return nil, nil, false
	}
	format := "%d"
	if kind == "~SEQx" {
		format = "%x"
	}
	for v := start; step > 0 && v <= end || step < 0 && v >= end; v += step {
		rows = append(rows, []string{fmt.Sprintf(format, v)})
	}
	return []string{strings.TrimSpace(name)}, rows, true
}

// list reads what is between the parentheses of ~LST: NAME, VALUE, ... or {NAME, ...}, {VALUE, ...}, ...
func list(inside string) (names []string, rows [][]string, ok bool) {
	for rest := inside; ; {
		var item string
		rest = strings.TrimLeft(rest, " \t")
		braces := strings.HasPrefix(rest, "{")
		if braces {
			item, rest, ok = strings.Cut(rest[1:], "}")
			if !ok {
				return nil, nil, false
			}
			_, rest, ok = strings.Cut(rest, ",")
		} else {
			item, rest, ok = strings.Cut(rest, ",")
		}
		row := []string{strings.TrimSpace(item)}
		if braces {
			row = strings.Split(item, ",")
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
		}
		if names == nil {
			names = row
		} else {
			if len(row) > len(names) {
				return nil, nil, false
			}
			rows = append(rows, append(row, make([]string, len(names)-len(row))...))
		}
		if !ok {
			return names, rows, len(rows) > 0
		}
	}
}
