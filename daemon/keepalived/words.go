package keepalived

import "strings"

// word is one word of a line, without its quotes.
type word struct {
	text   string
	quoted bool
}

func (w word) brace() bool { return !w.quoted && (w.text == "{" || w.text == "}") }

func (w word) opens() bool { return !w.quoted && w.text == "{" }

// split returns the words of a line. continued says that the line ends in a backslash, so that the next line is part of
// it.
func split(line string) (words []word, continued bool) {
	line = strings.TrimSuffix(line, "\r")
	var text strings.Builder
	inQuotes, quoted := false, false
	end := func() {
		if text.Len() > 0 || quoted {
			words = append(words, word{text.String(), quoted})
		}
		text.Reset()
		quoted = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 == len(line):
			end()
			return words, true
		case c == '\\':
			i++
			text.WriteByte(line[i])
		case c == '"':
			inQuotes, quoted = !inQuotes, true
		case inQuotes:
			text.WriteByte(c)
		case c == '#' || c == '!':
			end()
			return words, false
		case c == ' ' || c == '\t' || c == '\v' || c == '\f':
			end()
		case c == '{' && strings.HasSuffix(text.String(), "$"): // ${NAME}
			name, _, closed := strings.Cut(line[i:], "}")
			if !closed {
				text.WriteByte(c)
				break
			}
			text.WriteString(name + "}")
			i += len(name)
		case c == '{' || c == '}':
			end()
			words = append(words, word{string(c), false})
		default:
			text.WriteByte(c)
		}
	}
	end()
	return words, false
}
