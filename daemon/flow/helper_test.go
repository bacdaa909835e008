package flow

import (
	"testing"
	"unicode/utf8"
)

// A helper's name from the wire may be anything.
func TestHelperName(t *testing.T) {
	for raw, want := range map[string]string{
		"ftp": "ftp", "netbios-ns": "netbios-ns", "\x1b]0;x\x07": "?]0;x?", "a\xffb": "a?b", "a b\nc": "a?b?c",
	} {
		var name [16]byte
		copy(name[:], raw)
		if got := HelperName(&name); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}
