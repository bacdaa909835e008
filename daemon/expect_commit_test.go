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

// ftpMaster is the i-th control connection with the FTP helper, and ftpExpectation what its helper expects.
func ftpMaster(i int) flow.Flow {
	f := testFlow(4*i + 1)
	f.Orig.DstPort, f.Reply.SrcPort = 21, 21
	f.Has |= flow.HasHelper
	copy(f.Helper[:], "ftp")
	return f
}

func ftpExpectation(i int) flow.Expectation {
	e := flow.Expectation{
		Has:    flow.HasMaster | flow.HasMask | flow.HasTimeout | flow.HasFlags | flow.HasClass | flow.HasHelper,
		Master: ftpMaster(i).Orig, Expect: ftpMaster(i).Orig, Timeout: 300,
		Mask: flow.Tuple{
			Family: flow.IPv4, Proto: flow.TCP, DstPort: 0xffff,
			Src: flow.Addr{0xff, 0xff, 0xff, 0xff}, Dst: flow.Addr{0xff, 0xff, 0xff, 0xff},
		},
	}
	e.Expect.SrcPort, e.Expect.DstPort = 0, uint16(40000+i)
	copy(e.Helper[:], "ftp")
	return e
}

func renamed(e flow.Expectation, helper string) flow.Expectation {
	e.Helper = [16]byte{}
	copy(e.Helper[:], helper)
	return e
}

// TestExpectCommitOutcomes commits one expectation of each kind that can go wrong, and holds what is said of each.
func TestExpectCommitOutcomes(t *testing.T) {
	a, b := newPair(t)
	b.start(options{expect: true})
	peer := newScripted(a)
	masters := []flow.Flow{ftpMaster(0), ftpMaster(1), ftpMaster(2), ftpMaster(3)}
	masters[3].Helper = [16]byte{'n', 'o', 'n', 'e'} // a helper that this kernel does not have
	masters[3].Status |= flow.StatusHelper
	peer.announce(b, masters)

	created, same, other := ftpExpectation(0), ftpExpectation(1), ftpExpectation(2)
	noHelper, noMaster, noFunction := renamed(ftpExpectation(3), "none"), ftpExpectation(4), ftpExpectation(5)
	noFunction.Master, noFunction.Has = masters[0].Orig, noFunction.Has|flow.HasFn
	copy(noFunction.Fn[:], "unknown")
	sip6 := renamed(ftpExpectation(6), "sip")
	for _, tuple := range []*flow.Tuple{&sip6.Master, &sip6.Expect, &sip6.Mask} {
		tuple.Family, tuple.Src[15] = flow.IPv6, 1
	}
	sip6.Has, sip6.NAT = sip6.Has|flow.HasNAT, flow.Tuple{Family: flow.IPv6, Proto: flow.TCP, SrcPort: 9}
	liar := renamed(ftpExpectation(8), "sip") // classes of SIP on a master of FTP
	liar.Master, liar.Class = masters[0].Orig, 3
	peer.expect(b, []flow.Expectation{created, same, other, noHelper, noMaster, noFunction, sip6, liar})

	// B's kernel has the second already, and another one where the third belongs.
	stranger := other
	stranger.Master = ftpMaster(7).Orig
	b.create([]flow.Flow{ftpMaster(1), ftpMaster(7)})
	errs := make([]unix.Errno, 2)
	err := b.kern.CreateExpectations([]flow.Expectation{same, stranger}, errs)
	if err != nil || errs[0] != 0 || errs[1] != 0 {
		t.Fatal(errs, err)
	}

	c := b.takeover()
	want := &control.ExpectResult{
		Total: 8, Created: 1, Updated: 1, Replaced: 1, Failed: 5,
		Errors: map[string]uint64{
			"EOPNOTSUPP, no helper none on the master": 1, "ENOENT, no master": 1, "EINVAL": 1,
			"address translation of IPv6 expectations not carried by protocol v1": 1,
			"its class is not one of the master's helper":                         1,
		},
	}
	got := c.Expect
	named := got.Named
	got.Named = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(named) != 5 || !strings.Contains(strings.Join(named, "\n"), fmt.Sprintf("expectation tcp %s > %s: not restored: EOPNOTSUPP", noHelper.Expect.Source(), noHelper.Expect.Destination())) {
		t.Errorf("named %q", named)
	}
	if c.Degraded["helper none"] != 1 || c.Failed != 0 {
		t.Errorf("flows: %+v", c)
	}
	kernel := b.kernelExpectations()
	sameInKernel(t, map[flow.Tuple]flow.Expectation{created.Expect: created, same.Expect: same, other.Expect: other},
		kernel)
	if left := b.statistics().Expect.External.Active; left != 0 {
		t.Errorf("%d expectations are left in the external cache", left)
	}
	if text := b.ctsync("show", "transitions"); !strings.Contains(text, "then 8 expectations: 1 created, 1 updated, 1 replaced, 5 failed") {
		t.Errorf("%s", text)
	}
}

// TestExpectSyncFollowsConfiguration turns expect-sync on and off while both daemons run.
func TestExpectSyncFollowsConfiguration(t *testing.T) {
	a, b := newPair(t)
	a.start(options{})
	b.start(options{expect: true})
	b.eventually(10*time.Second, "hears its peer", func() bool { return b.status().Established })
	a.create([]flow.Flow{ftpMaster(0), ftpMaster(1)})
	errs := make([]unix.Errno, 1)
	make1 := func(i int) {
		t.Helper()
		if err := a.kern.CreateExpectations([]flow.Expectation{ftpExpectation(i)}, errs); err != nil || errs[0] != 0 {
			t.Fatal(errs[0], err)
		}
	}
	make1(0) // older than expect-sync
	if s := a.status().ExpectationSync; s != nil {
		t.Errorf("ExpectationSync %q", s)
	}
	reload := func(o options, words string) {
		t.Helper()
		a.writeConfig(o)
		a.eventually(20*time.Second, "takes up "+words, func() bool {
			return strings.Join(a.status().ExpectationSync, ", ") == words
		})
	}
	reload(options{extra: expectFTP}, "ftp")
	sameExpectations(t, a, b, 1)
	make1(1)
	sameExpectations(t, a, b, 2)
	reload(options{extra: "expect-sync = [\"sip\"]\n"}, "sip")
	sameExpectations(t, a, b, 0)
	reload(options{expect: true}, "ftp, sip, h323, nfs, sqlnet")
	sameExpectations(t, a, b, 2)
	reload(options{expect: true, extra: fmt.Sprintf("ignore-address = [%q]\n", ftpMaster(1).Orig.Src.IP(flow.IPv4))},
		"ftp, sip, h323, nfs, sqlnet")
	sameExpectations(t, a, b, 0)
	reload(options{expect: true}, "ftp, sip, h323, nfs, sqlnet")
	sameExpectations(t, a, b, 2)
	reload(options{}, "")
	b.eventually(20*time.Second, "forgets the expectations", func() bool { return len(b.expected("external")) == 0 })
}
