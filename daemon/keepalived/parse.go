package keepalived

import (
	"path/filepath"
	"slices"
	"strings"
)

// The part of the grammar of keepalived.conf that decides which sync groups there are:
//
//	# and ! begin a comment, unless quoted or after a backslash
//	"a b" is one word; { and } are words of their own, also without blanks around them
//	keyword word ... {        opens a block; the { may also be on the next line, alone
//	include PATTERN           inserts files, relative to the file that includes them; also includer, includem, ...
//	@ID line, @^ID line       applies only if keepalived was started with -i ID, or without
//	$NAME=value, ${NAME}      defines and uses a text, which may span lines that end in a backslash
//	~SEQ(...) line            repeats a line
//
// The parser takes every conditional line as if it applied, and expands no definition. Where that could hide or invent
// a group, it notes a Doubt.

// Bounds of what is read. The first one also stops a file that includes itself.
const (
	maxIncludes = 1000
	maxNesting  = 32
)

// parser walks through the text of a configuration and of the files that it includes.
type parser struct {
	c     *Config
	read  func(path string) (string, error)
	match func(pattern string) ([]string, error)
	files int

	depth    int   // of open blocks
	opening  []int // groups whose block the next { opens
	open     []int // groups whose block is open
	openedAt int   // depth inside that block

	virtualNext bool // the next { opens a block of virtual addresses
	virtualAt   int  // depth inside the open one; 0 = none is open

	// Of consecutive lines with different conditions that each open a block, only one applies.
	id     string // condition of the line before, or ""
	before int    // depth before the first of these lines
}

func parse(path, text string, read func(string) (string, error), match func(string) ([]string, error)) *Config {
	p := &parser{c: &Config{Path: path}, read: read, match: match}
	p.file(path, text, 0)
	if p.depth != 0 {
		p.doubt("its braces do not match")
	}
	return p.c
}

func (p *parser) doubt(why string) {
	if p.c.Doubt == "" {
		p.c.Doubt = why
	}
}

func (p *parser) file(path, text string, nesting int) {
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		words, continued := split(line)
		for continued && len(text) > 0 {
			line, text, _ = strings.Cut(text, "\n")
			var more []word
			more, continued = split(line)
			words = append(words, more...)
		}
		if len(words) > 0 {
			p.line(path, words, nesting)
		}
	}
}

// line reads the words of a line, at least one.
func (p *parser) line(path string, words []word, nesting int) {
	var open []int // groups that the lines before began with other conditions
	words, condition := p.condition(words, &open)
	if len(words) == 0 {
		return
	}
	for i, w := range words {
		if !w.quoted && (strings.Contains(w.text, "$") || strings.HasPrefix(w.text, "~SEQ")) {
			p.definition(words, i)
		}
	}
	switch first := words[0]; {
	case first.quoted:
	case slices.Contains([]string{"include", "includer", "includem", "includew", "includeb"}, first.text):
		if len(words) > 1 {
			p.include(path, words[1].text, nesting)
		}
		return
	case first.text == "vrrp_sync_group" && p.depth == 0:
		p.group(words, condition, open)
	case slices.Contains([]string{"notify_fifo", "vrrp_notify_fifo", "enable_dbus"}, first.text):
		p.c.Elsewhere = true
	}
	p.virtual(words)
	p.body(words, condition)
}

// condition takes the condition off a line. If the line before opened a block with another condition, this line opens
// the same block, and open becomes the groups whose block it is so far.
func (p *parser) condition(words []word, open *[]int) (rest []word, conditional bool) {
	if words[0].quoted || !strings.HasPrefix(words[0].text, "@") {
		p.id = ""
		return words, false
	}
	switch id := words[0].text; {
	case p.id == "":
		p.before = p.depth
	case id != p.id && p.depth > p.before && slices.ContainsFunc(words, word.opens):
		p.depth, *open = p.before, p.open
	}
	p.id = words[0].text
	return words[1:], true
}

// group begins a sync group. Its block is also the block of the groups in open.
func (p *parser) group(words []word, condition bool, open []int) {
	if len(words) < 2 || words[1].brace() {
		return // keepalived ignores a group without a name
	}
	if strings.Contains(words[1].text, "$") {
		p.doubt("the name of a group contains a definition")
	}
	p.c.Groups = append(p.c.Groups, Group{Name: words[1].text, Doubt: condition})
	p.opening = append(slices.Clone(open), len(p.c.Groups)-1)
}

// body follows the braces of a line and notes the keywords inside a group.
func (p *parser) body(words []word, condition bool) {
	first := true // the next word is a keyword
	for _, w := range words {
		switch {
		case w.quoted:
			first = false
		case w.text == "{":
			p.depth++
			if p.opening != nil {
				p.open, p.opening, p.openedAt = p.opening, nil, p.depth
			}
			first = true
		case w.text == "}":
			if p.depth--; p.depth < 0 {
				p.depth = 0
				p.doubt("its braces do not match")
			}
			if p.depth < p.openedAt {
				p.open = nil
			}
			first = true
		case first:
			p.keyword(w.text, condition)
			first = false
		}
	}
}

// keyword notes a keyword inside a group.
func (p *parser) keyword(word string, condition bool) {
	if p.open == nil || p.depth != p.openedAt || word != "notify" && !slices.Contains(scripts[:], word) {
		return
	}
	for _, i := range p.open {
		p.c.Groups[i].Notify = append(p.c.Groups[i].Notify, word)
		p.c.Groups[i].Doubt = p.c.Groups[i].Doubt || condition
	}
}

// definition looks at the i-th of words, which makes or uses a definition. That matters if the definition may contain a
// group, its name or braces. It does not matter in an address and the like.
func (p *parser) definition(words []word, i int) {
	text := words[i].text
	switch {
	case i == 0 && strings.Contains(text, "="): // harmless, unless the value may open a block
		for _, w := range words {
			if w.brace() || strings.Contains(w.text, "vrrp_sync_group") {
				p.doubt("a definition may contain a group")
			}
		}
	case i == 0, p.depth == 0:
		p.doubt("a definition is used where a group may begin")
	}
	for _, g := range p.open {
		p.c.Groups[g].Doubt = true
	}
}

func (p *parser) include(from, pattern string, nesting int) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	if strings.ContainsAny(pattern, "{}$~") || nesting == maxNesting {
		p.doubt("it is not known what " + pattern + " includes")
		return
	}
	paths, err := p.match(pattern)
	if err != nil {
		p.doubt("it is not known what " + pattern + " includes")
	}
	for _, path := range paths {
		if p.files++; p.files > maxIncludes {
			p.doubt("it includes too many files")
			return
		}
		text, err := p.read(path)
		if err != nil {
			p.doubt(path + " cannot be read")
			continue
		}
		p.file(path, text, nesting+1)
	}
}
