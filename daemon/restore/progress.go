package restore

import (
	"context"

	"ctsync/daemon/core"
	"ctsync/daemon/flow"
)

// Conflicts where both routers serve connections: an injection meets entries that packets change at the same time.

// keepProgress leaves a flow that this kernel has already where it is, unless the peer knows it to be further: the two
// routers see different packets of it, and what the peer says may be older than what happened here since. A closed
// connection is reopened by the beginning of another one.
func keepProgress(f, have *flow.Flow) {
	if f.Has&have.Has&flow.HasTCPState == 0 || f.TCPState == have.TCPState {
		f.Timeout = max(f.Timeout, have.Timeout)
		return
	}
	closed := have.TCPState == flow.TCPTimeWait || have.TCPState == flow.TCPClose
	if progress(f.TCPState) < progress(have.TCPState) && !(closed && progress(f.TCPState) <= flow.TCPSynRecv) {
		f.TCPState, f.Timeout = have.TCPState, have.Timeout
	}
}

// progress orders the states of TCP connections as they follow each other. The last one, a connection that both sides
// open at once, stands beside the first.
func progress(state uint8) uint8 {
	if state == flow.TCPSynSent2 {
		return flow.TCPSynSent
	}
	return state
}

// nothingNew reports whether an update by f would change nothing of the kernel's entry but its timer, by a second or
// so. Then it is left alone: it may be in use.
func nothingNew(have, f *flow.Flow) bool {
	return f.Status&^have.Status&(flow.StatusSeenReply|flow.StatusAssured) == 0 && f.Timeout <= have.Timeout+1 &&
		(!f.Has.Is(flow.HasTCPState) || f.TCPState == have.TCPState) && (!f.Has.Is(flow.HasMark) || f.Mark == have.Mark) &&
		(!f.Has.Is(flow.HasSCTP) || f.SCTPState == have.SCTPState && f.SCTPVTag == have.SCTPVTag) &&
		(!f.Has.Is(flow.HasDCCP) || f.DCCPState == have.DCCPState) &&
		(!f.Has.Is(flow.HasSeqAdj) || f.SeqAdj == have.SeqAdj) &&
		(!f.Has.Is(flow.HasLabels) || f.Labels == have.Labels)
}

// spare keeps those of q.found, the entries that conflict with the flows of q, that carry a connection of this router:
// they were answered, and events reported them. It returns the flows that may replace what conflicts with them; the
// others have the outcome alive.
func (p *placer) spare(ctx context.Context, b *block, q asked) (asked, error) {
	left := asked{at: q.at[:0], found: q.found[:0]}
	err := p.Loop.Do(ctx, func(c *core.Core) {
		for j, i := range q.at {
			have := &q.found[j]
			if have.Has != 0 && have.Status&flow.StatusSeenReply != 0 && c.Own.Internal.Touched(&have.Orig) {
				b.items[i].outcome = alive
				continue
			}
			left.at, left.found = append(left.at, i), append(left.found, *have)
		}
	})
	return left, err
}
