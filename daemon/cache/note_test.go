package cache

import (
	"testing"

	"ctsync/daemon/flow"
)

// What is noted of a flow or an expectation holds for that one, however often it changes, and not for what comes after
// it under the same tuple.
func TestNote(t *testing.T) {
	n := NewInternal(10)
	f := flow.Flow{Orig: flow.Tuple{Family: flow.IPv4, Proto: flow.GRE, Src: flow.Addr{10, 1}, Dst: flow.Addr{10, 2}}}
	note := func(want bool) {
		t.Helper()
		ref, ok := n.Lookup(&f.Orig)
		if got := n.Note(ref); got != want || !ok {
			t.Errorf("Note is %v, want %v (there: %v)", got, want, ok)
		}
	}
	var o Outgoing
	_ = n.New(&f, 0)
	note(true)
	n.Next(&o)
	n.Sent(o.Ref, 1)
	_ = n.Update(&f, second)
	note(false)
	n.PeerForgot()
	n.Announce(o.Ref)
	note(false)
	_ = n.New(&f, 2*second) // another flow in its place
	note(true)
	n.Next(&o)
	n.Sent(o.Ref, 2)
	n.Destroy(&f, 3*second)
	_ = n.New(&f, 4*second)
	note(true)
	if n.Note(0) || n.Note(refIPv6|7) {
		t.Error("something was noted of no record")
	}

	x := newInternalExpect(2)
	e := exp(1, 1)
	if x.flows.Note(refExpect | 1) {
		t.Error("something was noted of no expectation")
	}
	_ = x.New(e, 0)
	if !x.flows.Note(refExpect|1) || x.flows.Note(1) {
		t.Error("an expectation is not noted once")
	}
	_ = x.New(e, second)
	if !x.flows.Note(refExpect | 1) {
		t.Error("an expectation that is new again is not noted")
	}
}
