package main

import "strings"

// line is the command line of a shell up to the cursor.
type line struct {
	words []string // without quotes; the last one is at the cursor, and "" behind a blank
	quote byte     // the quote that is open at the cursor, or 0
}

// word returns the word at the cursor.
func (l line) word() string {
	if len(l.words) == 0 {
		return ""
	}
	return l.words[len(l.words)-1]
}

// splitLine splits a line into words and handles quotes as shells do. It expands no variables and runs no commands:
// pressing the tab key must not run anything.
func splitLine(text string) (l line) {
	var word strings.Builder
	inside := false // inside a word
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && l.quote != '\'' && i+1 < len(text):
			i++
			if l.quote == '"' && !strings.ContainsRune("\\\"$`", rune(text[i])) {
				word.WriteByte(c)
			}
			word.WriteByte(text[i])
			inside = true
		case c == l.quote:
			l.quote = 0
		case l.quote == 0 && (c == '"' || c == '\''):
			l.quote, inside = c, true
		case l.quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inside {
				l.words = append(l.words, word.String())
				word.Reset()
				inside = false
			}
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	l.words = append(l.words, word.String())
	return l
}
