package flow

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"dport", "sport", "proto", "state", "status", "age"}
	for name, want := range map[string]string{
		"dprot": "dport", "prot": "proto", "STATE": "state", "stauts": "status", "colour": "", "ag": "age", "xge": "age", "sprotx": "", "": "",
	} {
		if got := Nearest(name, words); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for _, d := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"ab", "ba", 1}, {"abcd", "acbd", 1}, {"abc", "abd", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(d.a, d.b); got != d.want {
			t.Errorf("%q to %q: %d, want %d", d.a, d.b, got, d.want)
		}
	}
}
