package ctnetlink

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// FuzzDecode holds three things for any bytes: an error leaves a zero Flow, what was decoded survives being written as
// the kernel writes it, and a create request restores both tuples.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.msg)
	}
	for _, s := range codecSamples() {
		f.Add(appendKernel(nil, &s.f))
		f.Add(AppendCreate(nil, &s.f, true))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, again flow.Flow
		if err := DecodeFlow(b, &first); err != nil {
			if !errors.Is(err, ErrMalformed) || first != (flow.Flow{}) {
				t.Fatalf("error %v, flow %+v", err, first)
			}
			return
		}
		if err := DecodeFlow(appendKernel(nil, &first), &again); err != nil {
			t.Fatalf("decoded, but not when written again: %+v", first)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("(-first +again)\n%s", diff)
		}
		checkCreate(t, &first)
	})
}

func checkCreate(t *testing.T, f *flow.Flow) {
	msg := AppendCreate(nil, f, true)
	if len(msg) > maxMessage {
		t.Fatalf("create of %d bytes", len(msg))
	}
	checkNest(t, "create", msg[headerLen:])
	got := restored(t, msg)
	if !f.Has.Is(flow.HasReply) {
		return
	}
	want := f.Reply
	want.Proto = f.Orig.Proto // a reply has the protocol of its request; the kernel never says otherwise
	switch {
	case f.Orig.Proto.IsICMP():
		want.DstPort = f.Orig.Inverse().DstPort
		if f.Reply.Proto != f.Orig.Proto {
			want.SrcPort = got.Reply.SrcPort
		}
	case !f.Orig.Proto.HasPorts() && f.Orig.Proto != flow.GRE:
		want.SrcPort, want.DstPort = 0, 0
	}
	if got.Orig != f.Orig || got.Reply != want {
		t.Fatalf("restored as\n%+v\n%+v, want\n%+v\n%+v", got.Orig, got.Reply, f.Orig, want)
	}
}

// FuzzDump feeds the readers of what is not a flow: message headers, refusals, the ends of dumps and statistics.
func FuzzDump(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.msg)
	}
	f.Add([]byte{20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xf4, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		seq := uint32(0)
		if len(b) >= nlHeaderLen {
			seq = binary.NativeEndian.Uint32(b[8:])
		}
		c := Conn{seq: seq}
		total := 0
		c.dumped(b, func(msg []byte) {
			total += len(msg)
			new(Counters).add(msg)
		})
		if total > len(b) {
			t.Errorf("%d bytes of messages in %d", total, len(b))
		}
	})
}
