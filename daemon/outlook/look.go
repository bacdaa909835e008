package outlook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ctsync/daemon/cache"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/kernel"
	"ctsync/daemon/loop"
)

// stray is an address of another router, and the interface in whose network it is.
type stray struct {
	at     flow.Addr
	family flow.Family
	device string
}

// maxStrays bounds how many such addresses are told apart: the peer chooses them.
const maxStrays = 8

// view is what one look gathers.
type view struct {
	strays   map[stray]uint64
	foreign  uint64
	families map[flow.Family]uint64 // flows of the peer
	both     int                    // flows of the peer that this router has too

	internal, external           int // entries
	internalLimit, externalLimit int
	injecting, answers           bool
	entries, limit               int // of the kernel's table
}

// look looks once.
func (o *Outlook) look(ctx context.Context) error {
	home, err := o.Home()
	if err != nil {
		return err
	}
	v := view{strays: map[stray]uint64{}, families: map[flow.Family]uint64{}}
	v.entries, v.limit = o.Table()
	if err := loop.Slices(ctx, o.Loop, func(c *core.Core, from cache.Ref) cache.Ref {
		if from == 0 {
			v.count(c)
		}
		return c.Peer.External.Scan(from, loop.SliceSize, func(e *cache.Entry) bool {
			v.add(c, &home, &e.Flow)
			return true
		})
	}); err != nil {
		return err
	}
	var s sight
	if !o.Master() { // then the external cache is what a takeover would restore
		s.foreign = v.foreign
		s.findings = v.cannotWork()
		s.findings = append(s.findings, v.doesNotFit()...)
	}
	if s.unhooked = o.unhooked(&v); s.unhooked != "" {
		s.findings = append(s.findings, finding{what: "conntrack is not hooked in", text: s.unhooked})
	}
	s.findings = append(s.findings, v.nearlyFull()...)
	o.settle(&s)
	return nil
}

func (v *view) count(c *core.Core) {
	v.internal, v.internalLimit = c.Own.Internal.Len(), c.Own.Internal.Limit()
	v.external, v.externalLimit = c.Peer.External.Len(), c.Peer.External.Limit()
	v.injecting, v.answers = c.Injecting(), c.Answers()
}

// tight reports whether the flows of the peer and the kernel's entries together are more than the kernel may have.
func (v *view) tight() bool { return !v.injecting && v.limit > 0 && v.external+v.entries > v.limit }

func (v *view) add(c *core.Core, home *flow.Home, f *flow.Flow) {
	v.families[f.Orig.Family]++
	if v.tight() && c.Own.Internal.Has(&f.Orig) {
		v.both++
	}
	at, device, foreign := home.Foreign(f)
	if !foreign || !c.Own.Filter.Pass(f) {
		return
	}
	v.foreign++
	k := stray{at, f.Orig.Family, device}
	if _, known := v.strays[k]; known || len(v.strays) < maxStrays {
		v.strays[k]++
	}
}

// cannotWork says which flows of the peer are translated to an address of another router.
func (v *view) cannotWork() (list []finding) {
	for _, k := range slices.SortedFunc(maps.Keys(v.strays), func(a, b stray) int {
		return cmp.Or(cmp.Compare(a.family, b.family), a.at.IP(a.family).Compare(b.at.IP(b.family)))
	}) {
		address := k.at.IP(k.family).String()
		list = append(list, finding{
			what: "flows of the peer cannot work here after a takeover", of: address,
			text: fmt.Sprintf("%d flows are translated to %s, which is in %s's network but is no address of this router: "+
				"they cannot work here; translate to a virtual address (restore-foreign-nat = false leaves them out)",
				v.strays[k], address, k.device),
		})
	}
	return list
}

// doesNotFit says that a takeover would find the kernel's table full.
func (v *view) doesNotFit() []finding {
	if !v.tight() || v.external-v.both+v.entries <= v.limit {
		return nil
	}
	return []finding{{what: "the peer's table does not fit here", text: fmt.Sprintf(
		"the peer's table does not fit here: %d flows of the peer and %d of this router, but nf_conntrack_max is %d; raise "+
			"net.netfilter.nf_conntrack_max", v.external-v.both, v.entries, v.limit)}}
}

// nearlyFull says which tables have more than nine tenths of what they can hold.
func (v *view) nearlyFull() (list []finding) {
	for _, t := range []struct {
		name, raise string
		n, limit    int
	}{
		{"the kernel's conntrack table", "net.netfilter.nf_conntrack_max", v.entries, v.limit},
		{"the internal cache", "cache-limit", v.internal, v.internalLimit},
		{"the external cache", "cache-limit", v.external, v.externalLimit},
	} {
		if t.limit > 0 && t.n > t.limit/10*9 {
			what := t.name + " is nearly full"
			list = append(list, finding{what: what, text: fmt.Sprintf("%s: %d of %d; raise %s", what, t.n, t.limit, t.raise)})
		}
	}
	return list
}

// unhooked says that packets do not pass conntrack here, so that what a takeover restores is not used.
func (o *Outlook) unhooked(v *view) string {
	const use = "a takeover restores flows that the kernel then does not use; add a rule with ct state, or NAT"
	var without []string
	for _, family := range []flow.Family{flow.IPv4, flow.IPv6} {
		hooked, err := o.Hooked(family)
		switch {
		case errors.Is(err, kernel.ErrNoHooks):
			// The datagrams of the session alone would make an entry.
			if v.entries == 0 && v.external > 0 && v.answers && !v.injecting {
				return "conntrack seems not to be hooked in here: its table is empty although the peer is heard; if no rule " +
					"uses it, " + use
			}
			return ""
		case err != nil:
			o.Log.Debug("the kernel's hooks are not known", "err", err)
			return ""
		case !hooked:
			without = append(without, family.String())
		}
	}
	switch {
	case len(without) == 2:
		return "conntrack is not hooked in here: no rule uses it; " + use
	case len(without) == 1 && v.families[flow.IPv4]*v.families[flow.IPv6] > 0:
		return "conntrack is not hooked in here for " + without[0] + ": no rule uses it; " + use
	}
	return ""
}
