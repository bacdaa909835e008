package restore

import (
	"fmt"
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/wire"
)

// helped returns the i-th flow with a helper of that name.
func helped(i int, name string) flow.Flow {
	f := injectFlow(i)
	f.Has |= flow.HasHelper
	copy(f.Helper[:], name)
	return f
}

// TestMissingHelpers: a kernel runs modprobe for each helper that it lacks, and not for each flow that has it. Each
// flow is restored without its helper, and counted.
func TestMissingHelpers(t *testing.T) {
	const n = 3*blockSize + 100
	p := newRestorer(t, false)
	p.k.Helpers = map[string]bool{"ftp": true}
	var flows []flow.Flow
	for i := range n {
		flows = append(flows, helped(i, [...]string{"ftp", "none", "quux"}[i%3]))
	}
	p.k.Put(helped(1, "none")) // the first that asks for "none" finds its place taken
	p.say(wire.CTNew, flows...)
	r := p.commit(true)
	if r.Created != n-1 || r.Updated != 1 || r.Failed != 0 || len(p.k.Flows) != n {
		t.Errorf("%+v", r)
	}
	if p.k.Modprobes != 2 {
		t.Errorf("modprobe ran %d times for 2 helpers", p.k.Modprobes)
	}
	if r.Degraded["helper none"] < n/3-1 || r.Degraded["helper quux"] != n/3 || len(r.Degraded) != 2 {
		t.Errorf("restored without: %v", r.Degraded)
	}
	for i := range n {
		if got := p.k.Flows[flows[i].Orig]; i%3 == 0 && got.Helper != flows[i].Helper {
			t.Fatalf("flow %d has lost the helper that this kernel has", i)
		}
	}
}

// TestInventedHelpers: the names come from the peer, which cannot have modprobe run without end.
func TestInventedHelpers(t *testing.T) {
	const n = 1000
	p := newRestorer(t, false)
	var flows []flow.Flow
	for i := range n {
		flows = append(flows, helped(i, fmt.Sprintf("h%d", i)))
	}
	p.say(wire.CTNew, flows...)
	if r := p.commit(true); r.Created != n || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	if p.k.Modprobes > kernel.MaxMissing {
		t.Errorf("modprobe ran %d times", p.k.Modprobes)
	}
}

// TestInjectMissingHelpers: an injection remembers them too, from one block to the next.
func TestInjectMissingHelpers(t *testing.T) {
	p := newRestorer(t, true)
	for i := range 20 {
		p.say(wire.CTNew, helped(i, "none"))
		p.settled()
	}
	s := p.settled()
	if s.Created != 20 || s.Degraded["helper none"] != 20 || p.k.Modprobes != 1 {
		t.Errorf("modprobe ran %d times for %d flows, without %v", p.k.Modprobes, s.Created, s.Degraded)
	}
}
