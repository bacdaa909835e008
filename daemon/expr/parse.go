package expr

import (
	"fmt"
	"strings"
)

// parser reads an expression from left to right. Byte at is next; between two words it is the first one after the
// blanks.
type parser struct {
	s  string
	at int
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func (p *parser) blanks() {
	for p.at < len(p.s) && blank(p.s[p.at]) {
		p.at++
	}
}

func (p *parser) fail(at int, message, hint string) *Error {
	return &Error{Column: at + 1, Message: message, Hint: hint}
}

// take skips word and the blanks after it, if word is next.
func (p *parser) take(word string) bool {
	if !strings.HasPrefix(p.s[p.at:], word) {
		return false
	}
	p.at += len(word)
	p.blanks()
	return true
}

// takeWord is take for a word of letters, which must not go on.
func (p *parser) takeWord(word string) bool {
	end := p.at + len(word)
	if end > len(p.s) || !strings.EqualFold(p.s[p.at:end], word) {
		return false
	}
	if end < len(p.s) && !blank(p.s[end]) && p.s[end] != '(' && p.s[end] != ')' && p.s[end] != '!' && p.s[end] != '"' {
		return false
	}
	p.at = end
	p.blanks()
	return true
}

func (p *parser) or(depth int) (node, error) {
	var parts []node
	for {
		n, err := p.and(depth)
		if err != nil {
			return node{}, err
		}
		parts = append(parts, n)
		if !p.takeWord("or") && !p.take("||") {
			return joined(nodeOr, parts), nil
		}
	}
}

func (p *parser) and(depth int) (node, error) {
	var parts []node
	for {
		n, err := p.not(depth)
		if err != nil {
			return node{}, err
		}
		parts = append(parts, n)
		if p.takeWord("and") || p.take("&&") {
			continue
		}
		here := p.at
		if here == len(p.s) || p.s[here] == ')' || p.takeWord("or") || p.take("||") {
			p.at = here
			return joined(nodeAnd, parts), nil
		}
	}
}

func (p *parser) not(depth int) (node, error) {
	start := p.at
	if depth > maxDepth {
		return node{}, p.fail(start, "nested too deeply", fmt.Sprintf("at most %d parentheses and negations", maxDepth))
	}
	switch {
	case p.takeWord("not"), p.take("!"):
		n, err := p.not(depth + 1)
		return negated(n), err
	case p.take("("):
		n, err := p.or(depth + 1)
		if err != nil {
			return n, err
		}
		if !p.take(")") {
			return n, p.fail(start, `"(" is not closed`, `want ")"`)
		}
		return n, nil
	}
	t, err := p.term()
	p.blanks()
	return node{kind: nodeTerm, term: t}, err
}

// term reads a key with its values, or a text.
func (p *parser) term() (term, error) {
	start := p.at
	end := start
	for end < len(p.s) && identifier(p.s[end]) {
		end++
	}
	name := strings.ToLower(p.s[start:end])
	if name == "and" || name == "or" {
		return term{}, p.fail(start, fmt.Sprintf("unexpected %q", name),
			"want a word on each side of it, or quote it to look for the text")
	}
	p.at = end
	if name != "" {
		if p.blanks(); p.at == end || !strings.HasPrefix(p.s[p.at:], ":") { // "a :b" are two words
			if rel := p.relation(); rel != relNone {
				if k := keyNamed(name); k != nil {
					return p.values(k, rel)
				}
				if !hexadecimal(name) || p.s[end] != ':' { // otherwise it begins an IPv6 address
					return term{}, p.fail(start, fmt.Sprintf("unknown key %q", name), keyHint(name))
				}
			}
		}
	}
	p.at = start
	text, quoted, err := p.word(false)
	switch bad := strings.IndexAny(text, "!<>=,&|"); {
	case err != nil:
		return term{}, err
	case text == "" && !quoted:
		return term{}, p.misplaced()
	case text == "":
		return term{}, p.fail(start, "empty text", "want a word to look for")
	case bad >= 0 && !quoted:
		return term{}, p.fail(start+bad, fmt.Sprintf("unexpected %q", text[bad:bad+1]), "quote the text to look for it")
	}
	return newText(strings.ToLower(text)), nil
}

// misplaced is the error for anything but a word in the place of a word.
func (p *parser) misplaced() error {
	message := "the filter ends too early"
	if p.at < len(p.s) {
		message = fmt.Sprintf("unexpected %q", p.s[p.at:p.at+1])
	}
	return p.fail(p.at, message, `want a word, a term such as dport:443, or "("`)
}

func identifier(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func hexadecimal(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// relation skips an operator and the blanks after it.
func (p *parser) relation() relation {
	for _, r := range [...]relation{relNot, relAtLeast, relAtMost, relAbove, relBelow, relIs} {
		if p.take(r.String()) {
			return r
		}
	}
	if p.take(":") {
		return relIs
	}
	return relNone
}

// values reads the values after a key and its operator.
func (p *parser) values(k *Key, rel relation) (term, error) {
	t := term{key: k, rel: rel}
	if !k.kind.ordered() && rel != relIs && rel != relNot {
		return t, p.fail(p.at, fmt.Sprintf("%s has no order", k.Name), "want "+k.Name+`: or `+k.Name+"!=")
	}
	for {
		start := p.at
		word, quoted, err := p.word(true)
		switch {
		case err != nil:
			return t, err
		case word == "" && !quoted:
			return t, p.fail(start, fmt.Sprintf("%s without a value", k.Name), "want "+k.want())
		}
		if err := t.add(word); err != nil {
			return t, p.fail(start, fmt.Sprintf("%s %q", k.Name, word), err.Error())
		}
		here := p.at
		p.blanks()
		if !p.take(",") {
			p.at = here
			break
		}
		if rel != relIs && rel != relNot {
			return t, p.fail(here, fmt.Sprintf("a list after %q", rel), "want one value, or a list after : or !=")
		}
	}
	t.finish()
	return t, nil
}

// word reads up to the next blank, or what is in quotes. A value also ends at a comma.
func (p *parser) word(value bool) (word string, quoted bool, err error) {
	if p.at < len(p.s) && p.s[p.at] == '"' {
		word, err = p.quoted()
		return word, true, err
	}
	start := p.at
	for ; p.at < len(p.s); p.at++ {
		c := p.s[p.at]
		rest := p.s[p.at:]
		if blank(c) || c == '(' || c == ')' || c == '"' || value && c == ',' ||
			strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||") {
			break
		}
	}
	return p.s[start:p.at], false, nil
}

// quoted reads a text in quotes. A backslash in it takes the next character as it is.
func (p *parser) quoted() (string, error) {
	start := p.at
	var b strings.Builder
	for p.at++; p.at < len(p.s); p.at++ {
		switch c := p.s[p.at]; {
		case c == '"':
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.s):
			p.at++
			b.WriteByte(p.s[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail(start, "the quote is not closed", `want "`)
}

// quote returns a text or, if value is set, a value, as the parser reads it back: in quotes if needed.
func quote(word string, value bool) string {
	run := strings.TrimLeft(word, "abcdefghijklmnopqrstuvwxyz0123456789-_")
	name := word[:len(word)-len(run)]
	switch {
	case strings.ContainsAny(word, " \t\n\v\f\r()\",!<>=&|\\"):
	case word == "", !value && (name == "and" || name == "or" || word == "not"):
	case value || run == "" || run[0] != ':' || hexadecimal(name):
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
