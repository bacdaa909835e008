package daemon

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/config"
	"ctsync/daemon/control"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// mapKernel is a kernel that is a map: it knows tuples, masters and timers, and fails as often as it is told.
type mapKernel struct {
	mu       sync.Mutex
	now      func() int64
	flows    map[flow.Tuple]flow.Flow
	set      map[flow.Tuple]int64 // when its timer was
	fail     int                  // requests to come that end in a broken socket
	requests int
}

func newMapKernel(now func() int64) *mapKernel {
	return &mapKernel{now: now, flows: map[flow.Tuple]flow.Flow{}, set: map[flow.Tuple]int64{}}
}

// put makes f an entry.
func (k *mapKernel) put(f flow.Flow) { k.flows[f.Orig], k.set[f.Orig] = f, k.now() }

var errBroken = errors.New("broken socket")

func (k *mapKernel) request(errs []unix.Errno, do func(i int) unix.Errno) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.requests++; k.fail > 0 {
		k.fail--
		return errBroken
	}
	for i := range errs {
		errs[i] = do(i)
	}
	return nil
}

func (k *mapKernel) Create(flows []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(flows)], func(i int) unix.Errno {
		f := &flows[i]
		if _, ok := k.flows[f.Orig]; ok {
			return unix.EEXIST
		}
		if _, ok := k.flows[f.Master]; f.Has.Is(flow.HasMaster) && !ok {
			return unix.ENOENT
		}
		k.put(*f)
		return 0
	})
}

func (k *mapKernel) Update(flows []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(flows)], func(i int) unix.Errno {
		have, ok := k.flows[flows[i].Orig]
		if !ok {
			return unix.ENOENT
		}
		have.Merge(&flows[i])
		k.put(have)
		return 0
	})
}

func (k *mapKernel) Delete(keys []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(keys)], func(i int) unix.Errno {
		if _, ok := k.flows[keys[i].Orig]; !ok {
			return unix.ENOENT
		}
		delete(k.flows, keys[i].Orig)
		return 0
	})
}

func (k *mapKernel) GetBatch(keys, out []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(keys)], func(i int) unix.Errno {
		have, ok := k.flows[keys[i].Orig]
		if !ok {
			out[i] = flow.Flow{}
			return unix.ENOENT
		}
		have.Timeout -= min(have.Timeout, uint32((k.now()-k.set[have.Orig])/int64(time.Second)))
		out[i] = have
		return 0
	})
}

func (k *mapKernel) Get(*flow.Tuple, flow.Direction, *flow.Flow) error         { return unix.ENOENT }
func (k *mapKernel) Dump(flow.Family, func(*flow.Flow) error) (bool, error)    { return false, nil }
func (k *mapKernel) SetLiberal(bool)                                           {}
func (k *mapKernel) Close() error                                              { return nil }
func (k *mapKernel) CreateExpectations([]flow.Expectation, []unix.Errno) error { return nil }
func (k *mapKernel) UpdateExpectations([]flow.Expectation, []unix.Errno) error { return nil }
func (k *mapKernel) DeleteExpectations([]flow.Expectation, []unix.Errno) error { return nil }
func (k *mapKernel) GetExpectation(*flow.Tuple, *flow.Expectation) error       { return unix.ENOENT }
func (k *mapKernel) DumpExpectations(flow.Family, func(*flow.Expectation) error) (bool, error) {
	return false, nil
}

// TestInjectedPairConverges runs two whole cores that put each other's flows into kernels that are maps, over a link that
// loses and is cut, while flows begin, change and end on either or both, and are lost by the router that does
// not carry them. In the end both kernels have what lives, and nothing else.
func TestInjectedPairConverges(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		s := newInjectSim(t, seed)
		s.run()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

type injectSim struct {
	sim
	kernel  [2]*mapKernel
	in      [2]*injector
	carried [2]map[flow.Tuple]bool // whose packets pass a router
	marks   map[flow.Tuple]uint32  // of the flows that live
	shared  map[flow.Tuple]bool    // those that passed both at some time
}

func newInjectSim(t *testing.T, seed uint64) *injectSim {
	s := &injectSim{sim: sim{t: t, rnd: rand.New(rand.NewPCG(seed, 3)), clock: int64(time.Second)}, marks: map[flow.Tuple]uint32{}, shared: map[flow.Tuple]bool{}}
	s.loss = []int{0, 1, 5, 20}[s.rnd.IntN(4)]
	now := func() int64 { return s.clock }
	for i := range s.nodes {
		c, l := newTestCore()
		c.cfg = config.Default()
		c.cfg.DisableExternalCache = true
		c.now, c.seq, c.role, c.in = now, s.rnd.Uint32, control.RoleUnknown, testInbox(t)
		s.nodes[i] = &simNode{core: c, links: [2]*memLink{l}, addr: linkAddresses(i)}
		s.join(s.nodes[i])
		c.followInjection()
		c.inject.release = 1 // nothing is held back: both kernels are empty
		s.kernel[i], s.carried[i] = newMapKernel(now), map[flow.Tuple]bool{}
		s.in[i] = newInjector(&Daemon{log: slog.New(slog.DiscardHandler), in: c.in, core: c})
		s.in[i].k = s.kernel[i]
		done := make(chan struct{})
		go func() { // serves the injector while this test waits for it
			for {
				select {
				case f := <-c.in.calls:
					f(c)
				case <-done:
					return
				}
			}
		}()
		t.Cleanup(func() { close(done) })
	}
	return s
}

func (s *injectSim) run() {
	for range 300 {
		s.clock += int64(s.rnd.IntN(30)) * int64(time.Millisecond)
		for range s.rnd.IntN(8) {
			s.change(s.rnd.IntN(2))
		}
		if s.rnd.IntN(150) == 0 {
			s.cut = [2]bool{!s.cut[0], !s.cut[0]}
		}
		s.turn()
	}
	s.cut, s.loss = [2]bool{}, 0
	for range 600 {
		s.clock += int64(50 * time.Millisecond)
		s.turn()
	}
	for i, k := range s.kernel {
		for key, mark := range s.marks {
			if f, ok := k.flows[key]; !ok || f.Mark != mark {
				s.t.Errorf("kernel %d: flow %d present %v with mark %d, want %d", i, key.SrcPort, ok, f.Mark, mark)
			}
		}
		if len(k.flows) != len(s.marks) {
			s.t.Errorf("kernel %d has %d flows, %d live", i, len(k.flows), len(s.marks))
		}
	}
}

// turn lets both speak and tell their kernels.
func (s *injectSim) turn() {
	s.step()
	for _, in := range s.in {
		for _, work := range []func(context.Context) error{in.keepAliveHere, in.drainAll} {
			if err := work(context.Background()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// keepAliveHere is keepAlive with the kernel that the injector has already.
func (in *injector) keepAliveHere(ctx context.Context) error {
	in.d.committer = newTurn(in.k)
	return in.keepAlive(ctx)
}

func (s *injectSim) event(i int, kind ctnetlink.Kind, f *flow.Flow) {
	b := &ctnetlink.Block{}
	b.N, b.Kind[0], b.Flow[0] = 1, kind, *f
	s.nodes[i].core.applyEvents(b)
}

// change does something to a flow whose packets pass router i, or makes router i lose one whose packets do not.
func (s *injectSim) change(i int) {
	f := injectFlow(s.rnd.IntN(400))
	f.Mark, f.Timeout, f.ID, f.Has = s.rnd.Uint32(), 100000, s.rnd.Uint32(), f.Has|flow.HasID
	k := s.kernel[i]
	have, here := k.flows[f.Orig]
	_, lives := s.marks[f.Orig]
	switch carried := s.carried[i][f.Orig]; {
	case !lives && s.shared[f.Orig]: // both may still speak of the flow that it was
	case !lives && !here:
		k.put(f)
		s.carried[i][f.Orig], s.marks[f.Orig] = true, f.Mark
		s.event(i, ctnetlink.EventNew, &f)
	case !here || !lives: // it is on its way here, or from here
	case !carried && s.rnd.IntN(4) == 0: // lost here
		delete(k.flows, f.Orig)
		s.event(i, ctnetlink.EventDestroy, &have)
	case !carried && s.rnd.IntN(2) == 0 && have.Mark == s.marks[f.Orig]: // its packets take this way too from now on
		s.carried[i][f.Orig], s.shared[f.Orig] = true, true
		have.ID, have.Has = f.ID, have.Has|flow.HasID
		k.put(have)
		s.event(i, ctnetlink.EventUpdate, &have)
	case !carried:
	case s.rnd.IntN(2) == 0: // its packets do not pass here any more
		delete(k.flows, f.Orig)
		delete(s.carried[i], f.Orig)
		if !s.carried[1-i][f.Orig] {
			delete(s.marks, f.Orig)
		}
		s.event(i, ctnetlink.EventDestroy, &have)
	case !s.shared[f.Orig]: // where both speak of one flow at the same time the last word is anybody's
		f.ID = have.ID
		k.put(f)
		s.marks[f.Orig] = f.Mark
		s.event(i, ctnetlink.EventUpdate, &f)
	}
}
