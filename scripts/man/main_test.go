package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctsync/daemon/nstest"
)

const folder = "docs/man"

// TestUpToDate fails when a text has changed and its page has not, and when docs/man has a page that nobody writes.
func TestUpToDate(t *testing.T) {
	t.Chdir("../..")
	pages, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s/%s is out of date: run make man (%v)", folder, name, err)
		}
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(pages) {
		t.Errorf("%s has %d files, want %d", folder, len(files), len(pages))
	}
}

// TestEveryKey looks in the page of the configuration for each key of the example and for each word of its comments.
func TestEveryKey(t *testing.T) {
	t.Chdir("../..")
	example, err := os.ReadFile(configExample)
	if err != nil {
		t.Fatal(err)
	}
	page := string(configPage(string(example)))
	keys := regexp.MustCompile(`(?m)^#? ?([a-z-]+) = |^(\[.+\])$`).FindAllStringSubmatch(string(example), -1)
	if len(keys) < 25 {
		t.Errorf("%d keys in %s", len(keys), configExample)
	}
	for _, k := range keys {
		if !strings.Contains(page, ".TP\n\\fB"+escape(k[1]+k[2])+"\\fR\n") {
			t.Errorf("no paragraph of %s%s", k[1], k[2])
		}
	}
	for _, line := range strings.Split(string(example), "\n")[1:] { // the first is what the page is about
		if !strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "# ---") {
			continue
		}
		for _, word := range strings.Fields(line)[1:] {
			if word != "=" && !strings.Contains(page, escape(word)) { // "=" is in the lines of keys without a default
				t.Errorf("%q of a comment is not in the page", word)
			}
		}
	}
}

// TestRoff lets mandoc check the pages. They have no date, so that they change only with their text.
func TestRoff(t *testing.T) {
	nstest.RequireCommand(t, "mandoc", "mandoc")
	pages, err := filepath.Glob("../../" + folder + "/*")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, page := range pages {
		out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", page).CombinedOutput()
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(l string) bool {
			return l == "" || strings.Contains(l, "missing date")
		})
		if len(lines) > 0 || len(out) == 0 && err != nil {
			t.Errorf("%s: %v\n%s", page, err, strings.Join(lines, "\n"))
		}
	}
}

// No text becomes a request or an escape of roff.
func TestText(t *testing.T) {
	p := &page{}
	p.text("One.\n.TH of \\*x 'y' a-b\n\n  key   value\n  other  more\n               and more\n\n  $ run  \n\nlast")
	const want = "One.\n\\&.TH of \\e*x \\(aqy\\(aq a\\-b\n" +
		".TP\n\\fBkey\\fR\nvalue\n.TP\n\\fBother\\fR\nmore. and more\n" +
		".PP\n.RS 4\n.nf\n$ run\n.fi\n.RE\n.PP\nlast\n"
	if p.String() != want {
		t.Errorf("%q, want %q", p.String(), want)
	}
}
