package daemon_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// These tests lay what an operator reads here beside what the real conntrackd prints of the same flows.

var digits = regexp.MustCompile(` *\d+`)

// masked returns the lines of text with every number, and the blanks before it, replaced.
func masked(text string) []string { return strings.Split(digits.ReplaceAllString(text, " N"), "\n") }

// TestStatisticsBesideConntrackd compares each word of conntrackd -s with the same word here.
func TestStatisticsBesideConntrackd(t *testing.T) {
	const n = 50
	o := options{multicast: true, expect: true}
	a, b := newPair(t)
	b.startConntrackd(o)
	a.start(o)
	a.create(testFlows(n))
	same(t, a, b, n, 20*time.Second)
	for _, word := range []string{
		"network", "cache", "runtime", "link", "queue", "process", "expect", "ct", "n", "ca", "r", "l", "q", "p", "e",
	} {
		want, got := masked(b.conntrackd("-s", word)), masked(a.ctsync("show", "statistics", word))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-s %s (-conntrackd +ctsync):\n%s", word, d)
		}
	}
	// What is in flight differs at any moment; of both, each line has one of three forms.
	for _, text := range []string{b.conntrackd("-s", "rsqueue"), a.ctsync("show", "statistics", "rsqueue")} {
		for i, line := range masked(strings.TrimSpace(text)) {
			if i == 0 && line != "resent queue (len= N)" ||
				i > 0 && line != "control -> seq: N flags: N" && line != "object -> seq: N" {
				t.Errorf("a line of rsqueue: %q", line)
			}
		}
	}
	// The receiver's numbers of ours and the sender's of conntrackd: what one counts as sent the other counts as received.
	nstest.Eventually(t, 10*time.Second, func() bool {
		l := a.activeLink()
		link := b.conntrackd("-s", "link")
		return regexp.MustCompile(`\b`+fmt.Sprint(l.PacketsSent)+` Pckts recv`).MatchString(link) && l.PacketsSent > 0
	}, func() string {
		return "both count the same datagrams:\n" + b.conntrackd("-s", "link") + a.ctsync("show", "statistics", "link")
	})
}

// xmlLines returns the <flow> elements of a dump, sorted, without what each router numbers for itself.
func xmlLines(text string) []string {
	id := regexp.MustCompile(`<id>\d+</id>`)
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "<flow>") {
			lines = append(lines, id.ReplaceAllString(strings.TrimSpace(line), ""))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestXMLBesideConntrackd has both programs dump the same flows in one namespace each: the internal caches of a kernel
// with the same flows, and the external ones that each filled from the other.
func TestXMLBesideConntrackd(t *testing.T) {
	const n = 3 // expectations
	a, b := newPair(t)
	b.startConntrackd(options{expect: true})
	a.start(options{expect: true})
	flows := mixture()
	var expects []flow.Expectation
	for i := range n {
		flows, expects = append(flows, ftpMaster(i)), append(expects, ftpExpectation(i))
	}
	for _, r := range []*router{a, b} {
		r.create(flows)
		errs := make([]unix.Errno, n)
		err := r.kern.CreateExpectations(expects, errs)
		if err != nil || slices.ContainsFunc(errs, func(e unix.Errno) bool { return e != 0 }) {
			t.Fatal(errs, err)
		}
	}
	same(t, a, b, len(flows), 20*time.Second)
	same(t, b, a, len(flows), 20*time.Second)
	sameExpectations(t, a, b, n)
	sameExpectations(t, b, a, n)
	for _, c := range []struct{ cache, option string }{{"internal", "-i"}, {"external", "-e"}} {
		want, got := xmlLines(b.conntrackd(c.option, "-x")), xmlLines(a.ctsync("show", "cache", c.cache, "--xml"))
		if d := cmp.Diff(want, got); d != "" || len(got) != len(flows) {
			t.Errorf("%s -x, %d flows (-conntrackd +ctsync):\n%s", c.option, len(got), d)
		}
		want, got = xmlLines(b.conntrackd(c.option, "expect", "-x")),
			xmlLines(a.ctsync("show", "cache", c.cache, "expect", "--xml"))
		if d := cmp.Diff(want, got); d != "" || len(got) != n {
			t.Errorf("%s expect -x, %d expectations (-conntrackd +ctsync):\n%s", c.option, len(got), d)
		}
	}
}
