package restore

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"ctsync/daemon/core"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/daemon/job"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// TestInjectedPairConverges runs two whole cores that put each other's flows into kernels that are maps, over a link
// that loses and is cut, while flows begin, change and end on either or both, and are lost by the router that does not
// carry them. In the end both kernels have the flows that exist, and nothing else.
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
	*coretest.Sim
	kernel  [2]*coretest.Kernel
	in      [2]*injector
	carried [2]map[flow.Tuple]bool // whose packets pass a router
	marks   map[flow.Tuple]uint32  // of the flows that exist
	shared  map[flow.Tuple]bool    // those that passed both at some time
}

func newInjectSim(t *testing.T, seed uint64) *injectSim {
	s := &injectSim{Sim: coretest.NewSim(t, seed, 3), marks: map[flow.Tuple]uint32{}, shared: map[flow.Tuple]bool{}}
	for i, n := range s.Nodes {
		var in *loop.Inbox[*core.Core]
		cfg := coretest.Options().Config
		cfg.DisableExternalCache = true
		cfg.StartupResync = false // nothing is held back: both kernels are empty
		s.Start(n, coretest.Inbox(t), func(o *core.Options) { o.Config, in = cfg, o.Inbox })
		s.kernel[i], s.carried[i] = coretest.NewKernel(n.Core.Now), map[flow.Tuple]bool{}
		r := &Restorer{
			Loop: in, Kernel: kernel.NewTurn(s.kernel[i]), Jobs: &job.List{}, Log: slog.New(slog.DiscardHandler),
		}
		s.in[i] = r.newInjector()
	}
	return s
}

func (s *injectSim) run() {
	for range 300 {
		s.Clock += int64(s.Rnd.IntN(30)) * int64(time.Millisecond)
		for range s.Rnd.IntN(8) {
			s.change(s.Rnd.IntN(2))
		}
		if s.Rnd.IntN(150) == 0 {
			s.Cut = [2]bool{!s.Cut[0], !s.Cut[0]}
		}
		s.turn()
	}
	s.Cut, s.Loss = [2]bool{}, 0
	for range 600 {
		s.Clock += int64(50 * time.Millisecond)
		s.turn()
	}
	for i, k := range s.kernel {
		for key, mark := range s.marks {
			if f, ok := k.Flows[key]; !ok || f.Mark != mark {
				s.T.Errorf("kernel %d: flow %d present %v with mark %d, want %d", i, key.SrcPort, ok, f.Mark, mark)
			}
		}
		if len(k.Flows) != len(s.marks) {
			s.T.Errorf("kernel %d has %d flows, %d live", i, len(k.Flows), len(s.marks))
		}
	}
}

// turn lets both speak and put what they heard into their kernels.
func (s *injectSim) turn() {
	s.Step()
	for i, in := range s.in {
		if err := coretest.Drive(s.Nodes[i].Core, in.Loop, func() error {
			if err := in.keepAlive(context.Background()); err != nil {
				return err
			}
			return in.turn(context.Background(), in.drainAll)
		}); err != nil {
			s.T.Fatal(err)
		}
	}
}

func (s *injectSim) event(i int, kind ctnetlink.Kind, f *flow.Flow) {
	s.Nodes[i].Core.Apply(coretest.Events(kind, *f))
}

// change does something to a flow whose packets pass router i, or makes router i lose one whose packets do not.
func (s *injectSim) change(i int) {
	f := injectFlow(s.Rnd.IntN(400))
	f.Mark, f.Timeout, f.ID, f.Has = s.Rnd.Uint32(), 100000, s.Rnd.Uint32(), f.Has|flow.HasID
	k := s.kernel[i]
	have, here := k.Flows[f.Orig]
	_, exists := s.marks[f.Orig]
	switch carried := s.carried[i][f.Orig]; {
	case !exists && s.shared[f.Orig]: // both may still speak of the flow that it was
	case !exists && !here:
		k.Put(f)
		s.carried[i][f.Orig], s.marks[f.Orig] = true, f.Mark
		s.event(i, ctnetlink.EventNew, &f)
	case !here || !exists: // its announcement is in flight, to here or from here
	case !carried && s.Rnd.IntN(4) == 0: // lost here
		delete(k.Flows, f.Orig)
		s.event(i, ctnetlink.EventDestroy, &have)
	case !carried && s.Rnd.IntN(2) == 0 && have.Mark == s.marks[f.Orig]: // its packets take this path too from now on
		s.carried[i][f.Orig], s.shared[f.Orig] = true, true
		have.ID, have.Has = f.ID, have.Has|flow.HasID
		k.Put(have)
		s.event(i, ctnetlink.EventUpdate, &have)
	case !carried:
	case s.Rnd.IntN(2) == 0: // its packets do not pass here any more
		delete(k.Flows, f.Orig)
		delete(s.carried[i], f.Orig)
		if !s.carried[1-i][f.Orig] {
			delete(s.marks, f.Orig)
		}
		s.event(i, ctnetlink.EventDestroy, &have)
	case !s.shared[f.Orig]: // where both speak of one flow at the same time the last word is anybody's
		f.ID = have.ID
		k.Put(f)
		s.marks[f.Orig] = f.Mark
		s.event(i, ctnetlink.EventUpdate, &f)
	}
}
