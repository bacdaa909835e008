package printable

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var samples = map[string]string{ // text and what Text makes of it
	"":                      "",
	"plain, größer, 中文 …":   "plain, größer, 中文 …",
	"\x1b[31mred\x1b]0;t\a": `\u001b[31mred\u001b]0;t\u0007`,
	"a\rb\nc\td\x00e\x7ff":  `a\u000db\u000ac\u0009d\u0000e\u007ff`,
	"\u009b31m\u0085":       `\u009b31m\u0085`,
	"\x9b31m\xff":           "\ufffd31m\ufffd",
	"\u202e\u2066\u200f\u061c\u2028\ufeff\u00ad\u200d": `\u202e\u2066\u200f\u061c\u2028\ufeff\u00ad\u200d`,
	"\U000e0041\U0001f600":                             `\udb40\udc41` + "\U0001f600",
	"cut \xe4\xb8":                                     "cut \ufffd\ufffd",
}

func TestText(t *testing.T) {
	for text, want := range samples {
		if got := Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// However a text is cut into pieces, the same arrives, with its lines.
func TestWriter(t *testing.T) {
	for text, want := range samples {
		want = strings.NewReplacer(`\u000a`, "\n", `\u0009`, "\t", "\ufffd\ufffd", "\ufffd").Replace(want)
		for size := 1; size <= len(text)+1; size++ {
			var b bytes.Buffer
			w := Writer{To: &b}
			for rest := []byte(text); len(rest) > 0; {
				n, err := w.Write(rest[:min(size, len(rest))])
				if n != min(size, len(rest)) || err != nil {
					t.Fatal(n, err)
				}
				rest = rest[n:]
			}
			if err := w.Flush(); err != nil || b.String() != want {
				t.Errorf("%q by %d: %q, want %q, %v", text, size, b.String(), want, err)
			}
		}
	}
}

// FuzzWriter: nothing but graphic characters, newlines and tabs gets through, and JSON stays JSON of the same value.
func FuzzWriter(f *testing.F) {
	for text := range samples {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b bytes.Buffer
		w := Writer{To: &b}
		w.Write([]byte(text))
		w.Flush()
		for _, r := range b.String() {
			if !unicode.IsGraphic(r) && r != '\n' && r != '\t' {
				t.Errorf("%q became %q", text, b.String())
			}
		}
		if !utf8.ValidString(text) {
			return
		}
		var back string
		b.Reset()
		if err := json.NewEncoder(&w).Encode(text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || back != text {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	line := []byte(strings.Repeat("udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=53 [UNREPLIED]\n", 900))
	var out bytes.Buffer
	w := Writer{To: &out}
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		out.Reset()
		w.Write(line)
	}
}
