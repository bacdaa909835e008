// Package printable escapes what would steer a terminal, in text that comes from elsewhere.
//
// Control characters (C0, DEL, and C1 as UTF-8), those that change the direction of text, and all others that cannot be
// seen become \uXXXX, which JSON takes too. A byte that is no UTF-8, such as a C1 character by itself, becomes U+FFFD.
package printable

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s escaped: one line, for newlines and tabs are escaped, too.
func Text(s string) string {
	if isText(s) {
		return s
	}
	var b []byte
	for _, r := range s {
		b = appendRune(b, r)
	}
	return string(b)
}

// isText reports whether Text changes nothing.
func isText(s string) bool {
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

func appendRune(b []byte, r rune) []byte {
	if unicode.IsGraphic(r) { // U+FFFD is
		return utf8.AppendRune(b, r)
	}
	if one, other := utf16.EncodeRune(r); one != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, one, other)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// Writer writes text to To, escaped but for its newlines and tabs.
type Writer struct {
	To io.Writer

	part []byte // the beginning of a character, whose end is to come
	out  []byte
}

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	if len(w.part) == 0 && isASCII(b) {
		return w.To.Write(b)
	}
	text := append(w.part, b...)
	w.out = w.out[:0]
	for len(text) > 0 && utf8.FullRune(text) {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		if r == '\n' || r == '\t' {
			w.out = append(w.out, byte(r))
			continue
		}
		w.out = appendRune(w.out, r)
	}
	w.part = append([]byte(nil), text...)
	if _, err := w.To.Write(w.out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush writes what stands for a character that was cut off.
func (w *Writer) Flush() error {
	if len(w.part) == 0 {
		return nil
	}
	w.part = nil
	_, err := io.WriteString(w.To, string(utf8.RuneError))
	return err
}

// isASCII reports whether b is ASCII without control characters but newlines and tabs.
func isASCII(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}
