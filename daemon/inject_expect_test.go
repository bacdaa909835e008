package daemon_test

import (
	"fmt"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// TestInjectFTP has what FTP helpers expect on A in B's kernel as well, so that after a takeover without a commit every
// data connection opens through B. What is fulfilled leaves A's kernel and with it B's.
func TestInjectFTP(t *testing.T) {
	l := newFTPLab(t)
	a, b := l.router[0], l.router[1]
	o := injecting
	o.extra += expectFTP
	a.start(o)
	b.start(o)
	a.eventually(10*time.Second, "hears its peer", func() bool { return a.status().Established })
	var sessions []*ftpSession
	for _, mode := range ftpModes {
		s := l.open(mode)
		s.announce()
		sessions = append(sessions, s)
	}
	first := l.open(ftpModes[0])
	first.announce()
	nstest.Eventually(t, 20*time.Second, func() bool {
		return len(b.kernelExpectations()) == len(ftpModes)+1
	}, func() string {
		return fmt.Sprintf("B has the expectations: A %+v\nB %+v\n%s", a.kernelExpectations(), b.kernelExpectations(), b.ctsync("show", "statistics", "--detail"))
	})
	sameInKernel(t, a.kernelExpectations(), b.kernelExpectations())
	if err := first.transfer(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	b.eventually(20*time.Second, "drops the one that was fulfilled", func() bool {
		return len(b.kernelExpectations()) == len(ftpModes)
	})
	b.eventually(20*time.Second, "has the shifted sequence numbers", func() bool {
		shifted := func(f *flow.Flow) bool { return f.SeqAdj[0].OffsetAfter == 2 || f.SeqAdj[1].OffsetAfter == 2 }
		return len(b.kernelFlows(shifted)) > 0
	})
	s := b.statistics().Expect
	if i := s.Inject; s.Internal.Active != 0 || i == nil || i.Created < 5 || i.CreateFailed != 0 || i.Destroyed != 1 {
		t.Errorf("expectations: %+v %+v", s.Internal, s.Inject)
	}

	l.via(1)
	if r := b.notify("master", "syncgrp"); r.Commit != nil || r.Inject == nil || r.Inject.Failed != 0 {
		t.Fatalf("takeover: %+v", r)
	}
	for _, s := range sessions {
		if err := s.transfer(10 * time.Second); err != nil {
			t.Errorf("%s: %v", s.mode.name, err)
		}
		if got := s.command("NOOP"); got != "NOOP" {
			t.Errorf("%s: %q came over the control connection", s.mode.name, got)
		}
		s.announce()
		if err := s.transfer(10 * time.Second); err != nil {
			t.Errorf("%s, made on B: %v", s.mode.name, err)
		}
	}
	b.eventually(10*time.Second, "owns its expectations", func() bool {
		return b.statistics().Expect.Internal.Created > 0
	})
}
