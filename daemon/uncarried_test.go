package daemon_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// uncarriedFlows are flows that protocol v1 cannot carry whole: three with a zone for one direction, two of GRE, one of
// UDP-Lite.
func uncarriedFlows() []flow.Flow {
	var flows []flow.Flow
	add := func(p flow.Proto, sport, dport uint16, zone uint16) {
		f := testFlow(4*len(flows) + 1)
		f.Orig.Src[3] = byte(10 + len(flows)) // without their keys only the addresses distinguish them
		f.Orig.Proto, f.Orig.SrcPort, f.Orig.DstPort = p, sport, dport
		f.Reply = f.Orig.Inverse()
		f.Orig.Zone = zone
		if p != flow.TCP {
			f.Has &^= flow.HasTCPState
		}
		flows = append(flows, f)
	}
	for i := range uint16(3) {
		add(flow.TCP, 2000+i, 443, 5)
	}
	add(flow.GRE, 0, 77, 0)
	add(flow.GRE, 0, 78, 0)
	add(flow.UDPLite, 3000, 53, 0)
	return flows
}

// expectation6 is an IPv6 master with its helper, and an expectation of it that is to be translated to an address.
func expectation6() (flow.Flow, flow.Expectation) {
	m := ftpMaster(0)
	m.Orig.Family, m.Orig.Src, m.Orig.Dst = flow.IPv6, flow.Addr{0xfd, 1, 15: 1}, flow.Addr{0xfd, 2, 15: 1}
	m.Reply = m.Orig.Inverse()
	e := ftpExpectation(0)
	e.Master, e.Expect = m.Orig, m.Orig
	e.Expect.SrcPort, e.Expect.DstPort = 0, 40000
	e.Mask.Family = flow.IPv6
	for i := range e.Mask.Src {
		e.Mask.Src[i], e.Mask.Dst[i] = 0xff, 0xff
	}
	e.Has |= flow.HasNAT
	e.NAT = flow.Tuple{Family: flow.IPv6, Proto: flow.TCP, Src: flow.Addr{0xfd, 9, 15: 1}, SrcPort: 40000}
	return m, e
}

// TestUncarriedIsNamed makes flows and an expectation that the protocol cannot carry in the kernel: each is counted
// once, however often it changes, and named in the statistics, their JSON and the log, where it is and where it is
// missed.
func TestUncarriedIsNamed(t *testing.T) {
	a, b := newPair(t)
	b.start(options{expect: true})
	a.start(options{expect: true})
	flows := uncarriedFlows()
	master, expectation := expectation6()
	a.create(append(flows, master))
	errs := make([]unix.Errno, 1)
	if err := a.kern.CreateExpectations([]flow.Expectation{expectation}, errs); err != nil || errs[0] != 0 {
		t.Fatal(errs, err)
	}
	want := control.Reasons{
		"flows: per-direction zone not carried by protocol v1":              3,
		"flows: GRE keys not carried by protocol v1":                        2,
		"flows: UDP-Lite ports not carried by protocol v1":                  1,
		"expectations: IPv6 address translation not carried by protocol v1": 1,
	}
	a.eventually(20*time.Second, "counts what is not carried", func() bool {
		return cmp.Equal(a.statistics().Unsupported, want)
	})
	for round := range uint32(3) { // changes and bulks announce the same flows again
		for i := range flows {
			flows[i].Mark, flows[i].Has = round+1, flows[i].Has|flow.HasMark
		}
		a.update(flows)
		a.ctsync("bulk")
	}
	b.eventually(20*time.Second, "has what can be carried", func() bool { return b.statistics().External.Active == 4 })
	if d := cmp.Diff(want, a.statistics().Unsupported); d != "" {
		t.Errorf("statistics (-want +got):\n%s", d)
	}
	text := a.ctsync("show", "statistics", "--detail")
	for what, n := range want {
		line := fmt.Sprintf("%d %s", n, what)
		if !strings.Contains(text, " "+line+"\n") {
			t.Errorf("no %q in show statistics --detail", line)
		}
		a.eventually(30*time.Second, "logs "+line, func() bool {
			return strings.Contains(a.log.String(), fmt.Sprintf("%s: the peer cannot restore them\" count=%d", what, n))
		})
	}
	if n := strings.Count(a.log.String(), "not carried by protocol v1"); n > 3*len(want) {
		t.Errorf("%d lines of the log for %d reasons", n, len(want))
	}

	// Who takes over misses them, and says so.
	c := b.takeover()
	lost := control.Reasons{"GRE keys not carried by protocol v1": 2, "UDP-Lite ports not carried by protocol v1": 1}
	outcomes(t, c, control.CommitResult{Created: 1, Failed: 3, Errors: lost})
	if d := cmp.Diff(lost, b.statistics().Commit.Errors); d != "" {
		t.Errorf("commit statistics (-want +got):\n%s", d)
	}
	for what, n := range lost {
		if !strings.Contains(b.ctsync("show", "transitions"), fmt.Sprintf("%d %s", n, what)) ||
			!strings.Contains(b.ctsync("show", "statistics", "--detail"), "failed: "+what) {
			t.Errorf("no %q in what the new master shows", what)
		}
		if !strings.Contains(b.log.String(), what) {
			t.Errorf("no %q in its log", what)
		}
	}
}
