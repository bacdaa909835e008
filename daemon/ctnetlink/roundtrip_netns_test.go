package ctnetlink

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// dial opens a Conn inside ns that is closed when the test ends.
func dial(t testing.TB, ns *nstest.NS) *Conn {
	t.Helper()
	var c *Conn
	var err error
	ns.Do(func() { c, err = Dial() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// flush deletes every flow of family, 0 for both.
func flush(t testing.TB, c *Conn, family flow.Family) {
	t.Helper()
	b, at := openMessage(nil, msgCtDelete, unix.NLM_F_ACK, uint8(family))
	if family != 0 {
		b[at+nlHeaderLen+1] = 1 // in version 0 the kernel ignores the family
	}
	closeMessage(b, at)
	if err := c.ask(b, nil); err != nil {
		t.Fatalf("flush flows: %v", err)
	}
}

// flushExpectations deletes every expectation of both families.
func flushExpectations(t testing.TB, c *Conn) {
	t.Helper()
	b, at := openMessage(nil, msgExpectDelete, unix.NLM_F_ACK, unix.AF_UNSPEC)
	setSubsystem(b[at:], subsysExpect)
	closeMessage(b, at)
	if err := c.ask(b, nil); err != nil {
		t.Fatalf("flush expectations: %v", err)
	}
}

// useLabels adds the rule without which the kernel keeps no labels.
func useLabels(t testing.TB, ns *nstest.NS) {
	t.Helper()
	nstest.RequireCommand(t, "nft", "nftables")
	ns.Run(t, "nft", "add table ip labels; add chain ip labels c { type filter hook output priority 0; }")
	ns.Run(t, "nft", "add rule ip labels c ip daddr 203.0.113.1 ct label set 1")
}

func flows(s []sample) []flow.Flow {
	f := make([]flow.Flow, len(s))
	for i := range s {
		f[i] = s[i].f
	}
	return f
}

// settled removes what differs from reading to reading.
func settled(f flow.Flow) flow.Flow {
	f.Has &^= flow.HasID | flow.HasUse
	f.ID, f.Use = 0, 0
	return f
}

// sameFlow compares up to the seconds that may have passed since want was true.
func sameFlow(want, got flow.Flow) string {
	if got.Timeout <= want.Timeout && got.Timeout+60 >= want.Timeout {
		got.Timeout = want.Timeout
	}
	return cmp.Diff(want, got)
}

// TestRoundTrip makes every sample in the kernel and reads it back by Get in both directions, by GetBatch and by Dump.
func TestRoundTrip(t *testing.T) {
	ns := nstest.New(t)
	useLabels(t, ns)
	c := dial(t, ns)
	c.SetLiberal(false)
	s := samples()
	want := flows(s)
	errs := make([]unix.Errno, len(s))
	if err := c.Create(want, errs); err != nil {
		t.Fatal(err)
	}
	batch := make([]flow.Flow, len(s))
	batchErrs := make([]unix.Errno, len(s))
	if err := c.GetBatch(want, batch, batchErrs); err != nil {
		t.Fatal(err)
	}
	dumped := map[flow.Tuple]flow.Flow{}
	if _, err := c.Dump(0, func(f *flow.Flow) error { dumped[f.Orig] = *f; return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range s {
		t.Run(s[i].name, func(t *testing.T) {
			if errs[i] != 0 {
				t.Fatalf("create: %v", errs[i])
			}
			var byOrig, byReply flow.Flow
			if err := c.Get(&want[i].Orig, flow.Original, &byOrig); err != nil {
				t.Fatal(err)
			}
			if diff := sameFlow(want[i], settled(byOrig)); diff != "" {
				t.Errorf("get (-want +got)\n%s", diff)
			}
			if !byOrig.Has.Is(flow.HasID | flow.HasUse) {
				t.Error("no id or use count")
			}
			if err := c.Get(&want[i].Reply, flow.Reply, &byReply); err != nil {
				t.Errorf("by reply tuple: %v", err)
			} else if diff := sameFlow(byOrig, byReply); diff != "" {
				t.Errorf("get by reply tuple (-by orig +by reply)\n%s", diff)
			}
			if batchErrs[i] != 0 {
				t.Errorf("get batch: %v", batchErrs[i])
			} else if diff := sameFlow(want[i], settled(batch[i])); diff != "" {
				t.Errorf("get batch (-want +got)\n%s", diff)
			}
			if diff := sameFlow(want[i], settled(dumped[want[i].Orig])); diff != "" {
				t.Errorf("dump (-want +got)\n%s", diff)
			}
		})
	}
	if len(dumped) != len(s) {
		t.Errorf("dumped %d flows, want %d", len(dumped), len(s))
	}
}
