package query

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
	"ctsync/daemon/wire"
)

// external shows what a commit of the external cache would do to the kernel's table now. A flow that the kernel has
// already, in all that a commit can change, is no difference.
func (x *comparison) external(ctx context.Context) error {
	q := control.FlowQuery{Table: control.TableExternal}
	return copyOut(ctx, x.Reader, &q, wholeEntries, func(entries []cache.Entry, _ moment) error {
		for i := range entries {
			if e := &entries[i]; x.q.Family == 0 || e.Flow.Orig.Family == x.q.Family {
				x.counts.Compared++
				x.suspect = append(x.suspect, suspect{flow: e.Flow, ref: e.Ref})
			}
		}
		return x.rehearse(ctx)
	})
}

// rehearse decides about what is in suspect. An entry that the peer changes meanwhile is looked at again.
func (x *comparison) rehearse(ctx context.Context) error {
	for range compareRounds {
		x.again = x.again[:0]
		for from := 0; from < len(x.suspect); from += compareSlice {
			if err := x.rehearseSlice(ctx, x.suspect[from:min(from+compareSlice, len(x.suspect))]); err != nil {
				return err
			}
		}
		x.suspect, x.again = x.again, x.suspect
		if len(x.suspect) == 0 {
			return nil
		}
	}
	x.counts.Unsettled += uint64(len(x.suspect))
	x.suspect = x.suspect[:0]
	return nil
}

// rehearseSlice asks the kernel what stands where the flows would go: under their original tuples, and of those that it
// does not have, under their reply tuples.
func (x *comparison) rehearseSlice(ctx context.Context, list []suspect) error {
	n := len(list)
	for i := range list {
		x.keys[i] = list[i].flow
	}
	if err := x.k.GetBatch(x.keys[:n], x.found[:n], x.errs[:n]); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	absent, replies := make([]int, 0, n), make([]flow.Flow, 0, n)
	for i := range list {
		if x.errs[i] == unix.ENOENT && list[i].flow.Has.Is(flow.HasReply) {
			absent = append(absent, i)
			replies = append(replies, flow.Flow{Orig: list[i].flow.Reply})
		}
	}
	found, errs := make([]flow.Flow, len(absent)), make([]unix.Errno, len(absent))
	if err := x.k.GetBatch(replies, found, errs); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	for j, i := range absent {
		x.found[i], x.errs[i] = found[j], errs[j]
	}
	return x.decide(ctx, list, x.foresee)
}

// foresee decides what a commit would do with one entry, as package restore would.
func (x *comparison) foresee(c *core.Core, s *suspect, found *flow.Flow, errno unix.Errno) (v verdict) {
	if !c.Peer.External.Load(s.ref, &v.entry) || v.entry.Flow.Orig != s.flow.Orig {
		return verdict{} // ended meanwhile
	}
	if v.entry.Flow != s.flow {
		s.flow = v.entry.Flow
		x.again = append(x.again, *s)
		return verdict{}
	}
	f := &v.entry.Flow
	v.now = momentOf(c)
	x.own.Fill(f)
	switch {
	case !c.Own.Filter.Pass(f):
		x.counts.Filtered++
	case wire.Uncarried(f) != "":
		v.what = control.WouldLose
	case lifetime.Expired(f, v.entry.Updated, c.HeardOf(v.entry.Updated), v.now.cache):
		v.what = control.WouldExpire
	case x.strays(f):
		v.what = control.WouldStray
	case errno == unix.ENOENT:
		v.what = control.WouldCreate
	case errno != 0:
		x.again = append(x.again, *s)
	case !found.Same(f):
		v.what, v.kernel = control.WouldReplace, found
	default:
		if v.attributes = changes(found, f, c.Config.TCPWindowTracking); v.attributes != 0 {
			v.what, v.kernel = control.WouldUpdate, found
		}
	}
	return v
}

// strays reports whether a flow is translated to an address of another router.
func (x *comparison) strays(f *flow.Flow) bool {
	_, _, foreign := x.home.Foreign(f)
	return foreign
}

// changes returns what an update of the kernel's entry have to want would change, other than the timeout.
func changes(have, want *flow.Flow, windows bool) flow.Attr {
	changeable := flow.HasStatus | flow.HasMark | flow.HasTCPState | flow.HasSCTP | flow.HasDCCP | flow.HasLabels |
		flow.HasSeqAdj | flow.HasSynproxy
	if windows {
		changeable |= flow.HasTCPWScale
	}
	after := *have
	after.Merge(want)
	after.Status = have.Status | want.Status&(flow.StatusSeenReply|flow.StatusAssured) // nothing else can be changed
	return cache.Differences(have, &after) & changeable & (want.Has | flow.HasStatus)
}
