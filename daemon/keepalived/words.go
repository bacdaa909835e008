package keepalived

import (
	"strconv"
	"strings"
)

const blanks = " \t\r\n\v\f"

// words splits a line as keepalived does for names: "a b" is one word, a quote ends the word before it, and there is no
// escape. A quote that is not closed ends the line.
func words(line string) (list []string) {
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" {
			return list
		}
		if quoted, ok := strings.CutPrefix(line, `"`); ok {
			word, rest, closed := strings.Cut(quoted, `"`)
			if !closed {
				return list
			}
			list, line = append(list, word), rest
			continue
		}
		end := strings.IndexAny(line, blanks+`"`)
		if end < 0 {
			return append(list, line)
		}
		list, line = append(list, line[:end]), line[end:]
	}
}

// arguments splits a line as keepalived does for scripts, first the line of the configuration and then its command: as
// a shell would, with quotes of both kinds, inside words too, and with escapes in both. No shell is involved: > and |
// are arguments. ok is false if a quote is not closed or a backslash ends the line; keepalived then ignores it.
func arguments(line string) (list []string, ok bool) {
	var word strings.Builder
	var quote byte
	inside := false // a word has begun
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			var n int
			if c, n = escaped(line[i+1:]); n == 0 {
				return nil, false
			}
			word.WriteByte(c)
			i, inside = i+n, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case strings.IndexByte(blanks, c) < 0:
			word.WriteByte(c)
			inside = true
		case inside:
			list = append(list, word.String())
			word.Reset()
			inside = false
		}
	}
	if inside {
		list = append(list, word.String())
	}
	return list, quote == 0
}

// escaped reads what follows a backslash: its meaning and its length, 0 if there is nothing.
func escaped(s string) (c byte, n int) {
	if s == "" {
		return 0, 0
	}
	digits := func(of string, most int) int {
		n := 0
		for n < len(s) && n < most && strings.IndexByte(of, s[n]) >= 0 {
			n++
		}
		return n
	}
	switch {
	case s[0] == 'x' && len(s) > 1 && strings.IndexByte("0123456789abcdefABCDEF", s[1]) >= 0:
		rest := strings.TrimLeft(s[1:], "0123456789abcdefABCDEF")
		n = len(s) - len(rest)
		v, _ := strconv.ParseUint(s[max(1, n-2):n], 16, 8) // only the last two digits remain in a byte
		return byte(v), n
	case s[0] == 'c' && len(s) > 1:
		return s[1] & 0x1f, 2
	case s[0] >= '0' && s[0] <= '7':
		n = digits("01234567", 3)
		v, _ := strconv.ParseUint(s[:n], 8, 16)
		return byte(v), n
	}
	if i := strings.IndexByte("abEfnrtv", s[0]); i >= 0 {
		return "\a\b\x1b\f\n\r\t\v"[i], 1
	}
	return s[0], 1
}
