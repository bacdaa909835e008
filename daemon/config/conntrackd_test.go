package config

import (
	"compress/gzip"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctsync/daemon/conntrackd"
)

// TestMigrationTable holds README's table of conntrackd's words against the list: the same words, the same keys, and
// keys that there are.
func TestMigrationTable(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, ok := strings.Cut(string(b), "\n| conntrackd.conf | ctsync.toml |\n|---|---|\n")
	if !ok {
		t.Fatal("README has no such table")
	}
	chapter, _, _ = strings.Cut(chapter, "\n\n")
	rows := map[string]string{}
	for line := range strings.Lines(chapter) {
		cells := strings.Split(line, "|")
		for word := range strings.SplitSeq(cells[1], ",") {
			rows[strings.Trim(word, " `")] = cells[2]
		}
	}
	known := slices.Concat(names(topKeys), names(interfaceKeys), []string{interfaceTable})
	for _, w := range conntrackd.Words() {
		row, ok := rows[w.Word]
		plain := func(s string) string { return strings.ReplaceAll(s, "`", "") }
		if !ok || !strings.Contains(row, w.Use) || !strings.Contains(plain(row), plain(w.Why)) {
			t.Errorf("%s: the list says %q %q, README %q", w.Word, w.Use, w.Why, row)
		}
		if w.Use != "" && !slices.Contains(known, w.Use) {
			t.Errorf("%s: there is no key %s", w.Word, w.Use)
		}
		if w.Use == "" && !strings.HasPrefix(w.Why, conntrackd.NotHere) && !strings.HasPrefix(w.Why, conntrackd.NotNeeded) {
			t.Errorf("%s: neither a key nor a reason", w.Word)
		}
		delete(rows, w.Word)
	}
	for word := range rows {
		t.Errorf("README has %s, the list has not", word)
	}
}

// TestManualWords: no word of the manual page of conntrackd.conf is missing.
func TestManualWords(t *testing.T) {
	f, err := os.Open("/usr/share/man/man5/conntrackd.conf.5.gz")
	if err != nil {
		t.Skip("no manual page of conntrackd.conf (apt-get install conntrackd)")
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile(`(?m)^\.BI "?([A-Za-z0-9_]+) `).FindAllSubmatch(page, -1) {
		word := string(m[1])
		if word == "IPv6_Destionation_Address" { // a misprint
			continue
		}
		found++
		if conntrackd.Hint(word) == "" {
			t.Errorf("%s of the manual has no answer", word)
		}
	}
	if found < 20 {
		t.Errorf("%d words were found in the manual page: is it written otherwise now?", found)
	}
}
