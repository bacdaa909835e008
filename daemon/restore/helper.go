package restore

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// A flow with a conntrack helper that this kernel does not have makes the kernel run modprobe (nfct-helper-NAME), which
// takes milliseconds, before it refuses the flow. So one flow asks for each helper, and the others follow its answer.

const (
	// helperMemory is how long an answer counts: a commit is shorter, an injection goes on for days.
	helperMemory = time.Minute

	// maxMissing bounds how many missing helpers are remembered, and so how many are asked for: the names come from the
	// peer. A kernel has about fifteen of them.
	maxMissing = 64
)

// helperKey is what the kernel looks for a helper by.
type helperKey struct {
	name   [16]byte
	family flow.Family
	proto  flow.Proto
}

func helperOf(name *[16]byte, conn *flow.Tuple) helperKey {
	return helperKey{*name, conn.Family, conn.Proto}
}

// helpers is what the kernel answered about helpers. The zero value knows nothing.
type helpers struct {
	there   map[helperKey]bool // it has it, or has not
	missing int                // false in there
	since   time.Time
}

// forget forgets what was learned too long ago.
func (h *helpers) forget(now time.Time) {
	if h.there == nil || now.Sub(h.since) > helperMemory {
		*h = helpers{there: map[helperKey]bool{}, since: now}
	}
}

// lacks reports whether the kernel is known not to have a helper.
func (h *helpers) lacks(k helperKey) bool {
	there, known := h.there[k]
	return !there && (known || h.missing >= maxMissing)
}

func (h *helpers) learn(k helperKey, there bool) {
	if _, known := h.there[k]; !known {
		if h.there[k] = there; !there {
			h.missing++
		}
	}
}

// askHelpers creates, ahead of the others, the first flow of the block with each helper of which the kernel has not
// said whether it has it, and takes the helper from the flows whose helper it lacks.
func (p *placer) askHelpers(b *block) error {
	p.helpers.forget(time.Now())
	for {
		asked := map[helperKey]bool{}
		q := p.ask(b, func(i int) bool {
			f := &b.flows[i]
			if !f.Has.Is(flow.HasHelper) || b.items[i].path != create || b.items[i].outcome != unknown {
				return false
			}
			k := helperOf(&f.Helper, &f.Orig)
			_, known := p.helpers.there[k]
			if known || asked[k] || p.helpers.missing+len(asked) >= maxMissing {
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
			p.helpers.lacks(helperOf(&f.Helper, &f.Orig)) {
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
		p.helpers.learn(helperOf(&f.Helper, &f.Orig), true)
	case it.outcome == lost && it.errno == unix.EOPNOTSUPP:
		p.helpers.learn(helperOf(&f.Helper, &f.Orig), false)
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
