package restore

import (
	"golang.org/x/sys/unix"

	"ctsync/daemon/core"
	"ctsync/daemon/flow"
)

// tally counts the outcomes of a block.
func (b *block) tally() {
	r := &b.result
	for i := range b.items {
		if it, f := &b.items[i], &b.flows[i]; it.helpless && it.outcome.restored() {
			b.degrade(f, "helper "+flow.HelperName(&f.Helper))
		}
		switch it := &b.items[i]; it.outcome {
		case created:
			r.Created++
		case updated:
			r.Updated++
		case replaced:
			r.Replaced++
		case alive:
			b.fail(&b.flows[i], "another connection of this router has its tuples")
		case met:
			b.fail(&b.flows[i], unix.ErrnoName(unix.EEXIST))
		case lost:
			if it.noRoom() {
				continue // it depends on who asked; see note
			}
			b.fail(&b.flows[i], unix.ErrnoName(it.errno))
		}
	}
}

// noteHas puts into the internal cache what the kernel was given of a flow, because no event reports it.
func noteHas(c *core.Core, f *flow.Flow, now int64) {
	if err := c.Own.Internal.Restored(f, now); err != nil {
		c.Refused(core.InternalCache, err)
	}
}

// noteEnded ends flows in the internal cache that were deleted from the kernel, because no event reports it.
func noteEnded(c *core.Core, flows []flow.Flow) {
	now := c.Now()
	for i := range flows {
		c.Own.Internal.Destroy(&flows[i], now)
	}
}

func (b *block) fail(f *flow.Flow, why string) {
	b.result.Failed++
	b.result.Errors.Count(why, 1)
	b.result.Name(flowName(f) + ": not restored: " + why)
}

func (b *block) degrade(f *flow.Flow, without string) {
	b.result.Degraded.Count(without, 1)
	b.result.Name(flowName(f) + ": restored without its " + without + ", which this kernel does not have")
}

// flowName names a flow for people: protocol, source, destination.
func flowName(f *flow.Flow) string {
	b := append([]byte(f.Orig.Proto.String()), ' ')
	b = append(f.Orig.AppendSource(b), " > "...)
	return string(f.Orig.AppendDestination(b))
}
