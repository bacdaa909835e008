package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// expected returns the lines of a cache of expectations of either program, without age, sorted.
func (r *router) expected(name string) []string {
	r.t.Helper()
	text := ""
	if r.isConntrackd() {
		text = r.conntrackd(map[string]string{"internal": "-i", "external": "-e"}[name], "expect")
	} else {
		text = r.ctsync("show", "cache", name, "expect")
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line, _, ok := strings.Cut(line, " [active"); ok {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// sameExpectations waits until to's external cache of expectations shows from's internal one, both n of them.
func sameExpectations(t *testing.T, from, to *router, n int) {
	t.Helper()
	var in, ex []string
	nstest.Eventually(t, 20*time.Second, func() bool {
		in, ex = from.expected("internal"), to.expected("external")
		return len(in) == n && slices.Equal(in, ex)
	}, func() string {
		return fmt.Sprintf("router %s holds the %d expectations of %s:\n%s\n%s", to.name, n, from.name, cmp.Diff(in, ex), from.log.since())
	})
}

// kernelExpectations returns r's expectations as they are in the kernel, without their IDs.
func (r *router) kernelExpectations() map[flow.Tuple]flow.Expectation {
	r.t.Helper()
	m := map[flow.Tuple]flow.Expectation{}
	if _, err := r.kern.DumpExpectations(0, func(e *flow.Expectation) error {
		e.Has, e.ID = e.Has&^flow.HasID, 0
		m[e.Expect] = *e
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// sameInKernel compares the expectations of two kernels, up to some seconds (conntrackd lets the clock start again).
func sameInKernel(t *testing.T, want, got map[flow.Tuple]flow.Expectation) {
	t.Helper()
	for k, w := range want {
		g := got[k]
		if g.Timeout <= w.Timeout+10 && g.Timeout+60 > w.Timeout {
			g.Timeout = w.Timeout
		}
		if d := cmp.Diff(w, g); d != "" {
			t.Errorf("%v (-before the failover +after):\n%s", k.Destination(), d)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d expectations, want %d", len(got), len(want))
	}
}

const expectFTP = "expect-sync = [\"ftp\"]\n"

// TestFTPFailover is what expect-sync is for: the data connection opens after the failover although the control
// connection was made before, in every mode of FTP, and the control connection goes on.
func TestFTPFailover(t *testing.T) {
	l := newFTPLab(t)
	a, b := l.router[0], l.router[1]
	a.start(options{extra: expectFTP})
	b.start(options{extra: expectFTP})
	a.eventually(10*time.Second, "hears its peer", func() bool { return a.status().Established })
	var sessions []*ftpSession
	for _, mode := range ftpModes {
		s := l.open(mode)
		s.announce()
		sessions = append(sessions, s)
	}
	sameExpectations(t, a, b, len(ftpModes))
	before := a.kernelExpectations()
	translated := 0
	for _, e := range before {
		if e.Has.Is(flow.HasNAT) && flow.CString(e.Fn[:]) == "nat-follow-master" {
			translated++
		}
	}
	if len(before) != len(ftpModes) || translated != 2 {
		t.Fatalf("%d expectations in A's kernel, %d translated: %+v", len(before), translated, before)
	}
	adjusted := func() bool {
		return len(b.adjustedFlows()) == 1
	}
	nstest.Eventually(t, 10*time.Second, adjusted, func() string {
		return "B knows of the shifted sequence numbers: " + b.ctsync("show", "cache", "external", "--json")
	})

	l.via(1)
	c := b.takeover()
	if x := c.Expect; x == nil || x.Total != uint64(len(ftpModes)) || x.Created != x.Total || c.Failed != 0 ||
		len(c.Degraded) != 0 {
		t.Errorf("commit: %+v, expectations %+v", c, c.Expect)
	}
	sameInKernel(t, before, b.kernelExpectations())
	for _, s := range sessions {
		if err := s.transfer(10 * time.Second); err != nil {
			t.Errorf("%s: %v", s.mode.name, err)
		}
		if got := s.command("NOOP"); got != "NOOP" {
			t.Errorf("%s: %q came over the control connection", s.mode.name, got)
		}
		if got := s.reply("226 Transfer complete"); got != "226 Transfer complete" {
			t.Errorf("%s: %q came over the control connection", s.mode.name, got)
		}
	}
	if n := len(b.kernelExpectations()); n != 0 {
		t.Errorf("%d expectations are left though all were fulfilled", n)
	}
	// What came by expectation is known as such, and its payload is nobody's commands.
	for _, f := range b.kernelFlows(func(f *flow.Flow) bool { return f.Has.Is(flow.HasMaster) }) {
		if f.Has.Is(flow.HasHelper) || f.Status&flow.StatusExpected == 0 {
			t.Errorf("data connection %+v", f)
		}
	}
	// The helper works on: a new data connection of the old control connection.
	for _, s := range sessions {
		s.announce()
		if err := s.transfer(10 * time.Second); err != nil {
			t.Errorf("%s, made on B: %v", s.mode.name, err)
		}
	}
}

// adjustedFlows returns the external flows with shifted sequence numbers.
func (r *router) adjustedFlows() []string {
	r.t.Helper()
	var found []string
	for line := range strings.Lines(r.ctsync("show", "cache", "external", "--json")) {
		if strings.Contains(line, `"offset_after":2`) {
			found = append(found, line)
		}
	}
	return found
}

// TestFTPFailoverWithoutExpectSync is the control: without expectations the firewall of B keeps the data connection
// out.
func TestFTPFailoverWithoutExpectSync(t *testing.T) {
	l := newFTPLab(t)
	a, b := l.router[0], l.router[1]
	a.start(options{extra: expectFTP})
	b.start(options{})
	b.eventually(10*time.Second, "hears its peer", func() bool { return b.status().Established })
	s := l.open(ftpModes[0])
	s.announce()
	same(t, a, b, 1, 20*time.Second)
	b.eventually(10*time.Second, "counts the expectation", func() bool { return b.statistics().ExpectationsIgnored > 0 })
	l.via(1)
	if c := b.takeover(); c.Expect != nil {
		t.Errorf("expectations committed: %+v", c.Expect)
	}
	if err := s.transfer(time.Second); err == nil {
		t.Error("the data connection opened without an expectation")
	}
	if got := s.command("NOOP"); got != "NOOP" {
		t.Errorf("%q came over the control connection", got)
	}
}

// TestFTPWithConntrackd holds that both programs show the same expectations, whichever of them made them.
func TestFTPWithConntrackd(t *testing.T) {
	for _, sender := range []string{"ctsyncd", "conntrackd"} {
		t.Run("from "+sender, func(t *testing.T) {
			receiver := map[string]string{"ctsyncd": "conntrackd", "conntrackd": "ctsyncd"}[sender]
			l := newFTPLab(t)
			a, b := l.router[0], l.router[1]
			a.startAs(sender, options{expect: true})
			b.startAs(receiver, options{expect: true})
			if sender == "ctsyncd" {
				a.eventually(10*time.Second, "hears its peer", func() bool { return a.status().Established })
			} else {
				b.eventually(10*time.Second, "hears its peer", func() bool { return b.status().Established })
			}
			var sessions []*ftpSession
			for _, mode := range ftpModes {
				s := l.open(mode)
				s.announce()
				sessions = append(sessions, s)
			}
			sameExpectations(t, a, b, len(ftpModes))
			if err := sessions[3].transfer(10 * time.Second); err != nil { // its end is announced
				t.Error(err)
			}
			sameExpectations(t, a, b, len(ftpModes)-1)

			// The standby asks for the table again, which comes with the expectations.
			b.act("-n")
			sameExpectations(t, a, b, len(ftpModes)-1)
			a.clean()
			b.clean()
			if receiver == "conntrackd" {
				return // it restores no translation
			}
			before := a.kernelExpectations()
			l.via(1)
			if c := b.takeover(); c.Expect == nil || c.Expect.Created != uint64(len(ftpModes)-1) {
				t.Errorf("commit: %+v", c.Expect)
			}
			sameInKernel(t, before, b.kernelExpectations())
			for _, s := range sessions[:3] {
				if err := s.transfer(10 * time.Second); err != nil {
					t.Errorf("%s: %v", s.mode.name, err)
				}
			}
		})
	}
}
