package keepalived

import (
	"fmt"
	"path/filepath"
	"strings"
)

// The first half of reading keepalived.conf (keepalived.conf(5), tried with the real program): from files to the lines
// that its parser sees.
//
//	# and ! begin a comment, unless quoted or after a backslash
//	include PATTERN           inserts files, relative to the file that includes them; also includer, m, w, b, a
//	@ID line, @^ID line       applies only if the config-id is ID, or is not ID
//	$NAME=value               defines a text; one that ends in a backslash goes on in the next lines
//	$NAME, ${NAME}            inserts it, at the moment of use; of one with several lines, only at the end of a line
//	~SEQ(NAME, ...) line      repeats a line with NAME as a number; ~SEQx in hexadecimal; ~LST with texts of a list
//	{ and }                   are lines of their own, also inside a word
//
// What cannot be known here is a doubt: it does not stop the reading.

// line is one line as the parser sees it.
type line struct {
	text string
	file string
	at   int // in the file, from 1
}

func (l *line) place() string { return fmt.Sprintf("%s:%d", l.file, l.at) }

// Bounds of what is read. They also end a file that includes itself and a definition that contains itself.
const (
	maxFiles   = 1000
	maxNesting = 32
	maxLines   = 200_000
)

// reader makes the lines of one config-id.
type reader struct {
	sys *system
	id  string

	lines   []line
	asked   []string              // config-ids that a condition names
	doubts  []string              // why there may be other lines
	defined map[string]definition // of lines that insert themselves
	open    string                // definition that goes on in the next line, or ""
	file    string                // that is being read
	at      int                   // line of it
	files   int
	nesting int // of files
	depth   int // of lines that insert lines
	steps   int
}

// definition is the value of a name. Only one that was written over several lines has more than one.
type definition []string

func newReader(sys *system, id string) *reader {
	r := &reader{sys: sys, id: id, defined: map[string]definition{}}
	for name, value := range map[string]string{"_INSTANCE": id, "_RANDOM": "0", "_HASH": "#", "_BANG": "!"} {
		r.defined[name] = definition{value}
	}
	return r
}

func (r *reader) doubt(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, d := range r.doubts {
		if d == text {
			return
		}
	}
	r.doubts = append(r.doubts, text)
}

// text reads the text of one file.
func (r *reader) text(path, text string) {
	file, at, pwd := r.file, r.at, r.defined["_PWD"]
	r.file, r.at, r.defined["_PWD"] = path, 0, definition{filepath.Dir(path)}
	for l := range strings.Lines(text) {
		r.at++
		l = strings.TrimRight(l, "\r\n")
		if l == "" {
			r.open = ""
			continue
		}
		if l = decomment(l); l == "" {
			continue
		}
		if r.open != "" {
			r.goOn(l)
			continue
		}
		r.line(l, false)
	}
	r.file, r.at, r.defined["_PWD"] = file, at, pwd
}

// goOn adds a line to the definition that is open.
func (r *reader) goOn(l string) {
	name := r.open
	l, more := strings.CutSuffix(l, `\`)
	if !more {
		r.open = ""
	}
	if l = strings.TrimRight(l, " \t"); l != "" {
		r.defined[name] = append(r.defined[name], l)
	}
}

// line reads a line without its comment. changed says that a condition or a definition made it of another.
func (r *reader) line(l string, changed bool) {
	r.steps++
	r.depth++
	defer func() { r.depth-- }()
	if r.depth > 2*maxNesting || r.steps > maxLines {
		r.doubt("%s repeats or inserts itself", r.file)
		return
	}
	for {
		if strings.HasPrefix(l, "@") {
			var applies bool
			if l, applies = r.condition(l); !applies {
				return
			}
			changed = true
		}
		if r.define(l) || r.repeat(l) || l == "" {
			return
		}
		if strings.HasPrefix(l, "~") {
			break
		}
		text, more, inserted := r.insert(l)
		if !inserted {
			break
		}
		l, changed = decomment(text), true
		if len(more) > 0 {
			r.line(l, true)
			for _, m := range more {
				r.line(m, true)
			}
			return
		}
		if !strings.HasPrefix(l, "@") && !strings.Contains(l, "$") {
			break
		}
	}
	if l == "" || r.include(l, changed) {
		return
	}
	r.emit(l)
}

// condition takes the condition off a line and reports whether the line applies.
func (r *reader) condition(l string) (rest string, applies bool) {
	id, not := strings.CutPrefix(l[1:], "^")
	end := strings.IndexAny(id, " \t")
	if end < 0 {
		return "", false
	}
	id, rest = id[:end], strings.TrimLeft(id[end:], " \t")
	r.asked = append(r.asked, id)
	return rest, (id == r.id) != not
}

// emit hands a line to the parser, each brace as a line of its own. What follows a brace is read as a new line.
func (r *reader) emit(l string) {
	at := brace(l)
	if at == 0 {
		r.lines = append(r.lines, line{l[:1], r.file, r.at})
		l = l[1:]
	} else if at > 0 {
		r.lines = append(r.lines, line{strings.TrimRight(l[:at], " \t"), r.file, r.at})
		l = l[at:]
	} else {
		if strings.HasSuffix(l, `\`) {
			r.doubt("%s:%d ends in a backslash", r.file, r.at)
		}
		r.lines = append(r.lines, line{strings.TrimRight(l, " \t"), r.file, r.at})
		return
	}
	if l = strings.Trim(l, " \t"); l != "" {
		r.depth-- // a long line does not insert itself
		r.line(l, false)
		r.depth++
	}
}

// brace returns where the first brace outside of double quotes is, or -1.
func brace(l string) int {
	if l[0] == '{' || l[0] == '}' {
		return 0
	}
	quoted := false
	for i := range len(l) {
		switch l[i] {
		case '"':
			quoted = !quoted
		case '{', '}':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// decomment removes the comment of a line and the blanks around what is left.
func decomment(l string) string {
	l = strings.TrimLeft(l, " \t")
	var b strings.Builder
	quoted := false
	for i := 0; i < len(l); i++ {
		switch c := l[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && i+1 < len(l):
			if next := l[i+1]; quoted || next != '#' && next != '!' {
				b.WriteByte(c)
			}
			i++
		case !quoted && (c == '#' || c == '!'):
			// A backslash at the end of the comment still continues a definition.
			if strings.HasSuffix(l, `\`) && !strings.HasSuffix(l, `\\`) {
				return strings.TrimRight(b.String(), " \t") + `\`
			}
			return strings.TrimRight(b.String(), " \t")
		}
		b.WriteByte(l[i])
	}
	text, more := strings.CutSuffix(b.String(), `\`)
	if text = strings.TrimRight(text, " \t"); more {
		text += `\`
	}
	return text
}

// include reads the files that a line includes and reports whether it is such a line.
func (r *reader) include(l string, changed bool) bool {
	rest, ok := strings.CutPrefix(l, "include")
	if !ok || rest == "" || strings.HasPrefix(rest, "_check") {
		return false
	}
	if rest[0] != ' ' && rest[0] != '\t' {
		if len(rest) < 2 || rest[1] != ' ' && rest[1] != '\t' || !strings.Contains("rmwba", rest[:1]) {
			r.doubt("%s:%d %.40q is not known: it may include files", r.file, r.at, l)
			return false
		}
		rest = rest[1:]
	}
	if changed {
		r.doubt("%s:%d includes files behind a condition or a definition, which keepalived does not do reliably", r.file, r.at)
	}
	pattern := strings.TrimLeft(rest, " \t")
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(r.file), pattern)
	}
	r.nesting++
	defer func() { r.nesting-- }()
	if r.nesting > maxNesting {
		r.doubt("%s includes itself", r.file)
		return true
	}
	paths, err := r.sys.glob(pattern)
	if err != nil {
		r.doubt("what %s includes is not known: %v", pattern, err)
	}
	for _, path := range paths {
		if r.files++; r.files > maxFiles {
			r.doubt("more than %d files are included", maxFiles)
			return true
		}
		text, err := r.sys.read(path)
		switch {
		case err == nil:
			r.text(path, text)
		case !r.sys.skipped(err):
			r.doubt("%s", err)
		}
	}
	return true
}
