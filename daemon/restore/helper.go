package restore

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
)

// A flow with a conntrack helper that this kernel does not have makes the kernel run modprobe (nfct-helper-NAME), which
// takes milliseconds, before it refuses the flow. So one flow asks for each helper, and the others follow its answer.

// askHelpers creates, ahead of the others, the first flow of the block with each helper of which the kernel has not
// said whether it has it, and takes the helper from the flows whose helper it lacks.
func (p *placer) askHelpers(b *block) error {
	p.helpers.Forget(time.Now())
	for {
		asked := map[kernel.Helper]bool{}
		q := p.ask(b, func(i int) bool {
			f := &b.flows[i]
			if !f.Has.Is(flow.HasHelper) || b.items[i].path != create || b.items[i].outcome != unknown {
				return false
			}
			k := kernel.HelperOf(&f.Helper, &f.Orig)
			if p.helpers.Known(k) || asked[k] || p.helpers.Missing+len(asked) >= kernel.MaxMissing {
				return false
			}
			asked[k] = true
			return true
		})
		if len(q.at) == 0 {
			break
		}
		if err := p.create(b, q, created); err != nil {
			return err
		}
		for _, i := range q.at {
			p.learnHelper(b, i)
		}
	}
	for i := range b.flows {
		if f := &b.flows[i]; f.Has.Is(flow.HasHelper) && b.items[i].outcome == unknown &&
			p.helpers.Lacks(kernel.HelperOf(&f.Helper, &f.Orig)) {
			b.loseHelper(i)
		}
	}
	return nil
}

// learnHelper learns from the kernel's answer to a flow. It looks for the helper before it looks for the master; other
// refusals say nothing about it.
func (p *placer) learnHelper(b *block, i int) {
	it, f := &b.items[i], &b.flows[i]
	switch {
	case it.outcome == created, it.outcome == lost && it.errno == unix.ENOENT:
		p.helpers.Learn(kernel.HelperOf(&f.Helper, &f.Orig), true)
	case it.outcome == lost && it.errno == unix.EOPNOTSUPP:
		p.helpers.Learn(kernel.HelperOf(&f.Helper, &f.Orig), false)
	}
}

// loseHelper has a flow do without its helper. It is counted when the flow is restored: it may be put off before.
func (b *block) loseHelper(i int) {
	b.items[i].helpless = true
	b.flows[i].Has &^= flow.HasHelper
}

// noHelper is the reason for which an expectation is refused whose helper the kernel or the master does not have.
func noHelper(e *flow.Expectation) string {
	// ErrnoName would give another name of EOPNOTSUPP.
	return fmt.Sprintf("EOPNOTSUPP, no helper %s on the master", flow.HelperName(&e.Helper))
}
