package daemon

import (
	"context"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// Conflicts where both routers serve connections: a commit takes the peer's word for everything, because the peer has
// ended. An injection meets entries that packets change at the same time.

// errAlive stands for a flow that is refused because its place is taken by a connection that lives here.
const errAlive = unix.EADDRINUSE

// keepProgress leaves a flow that this kernel has already where it is, unless the peer knows it to be further: here and
// there see other packets of it, and what the peer told may be older than what happened here since. A closed connection
// is opened anew by the beginning of another one.
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

// nothingNew reports whether an update by f would change nothing of the kernel's entry but its timer, by a second or so.
// Then it is left alone: it may be in use.
func nothingNew(have, f *flow.Flow) bool {
	return f.Status&^have.Status&(flow.StatusSeenReply|flow.StatusAssured) == 0 && f.Timeout <= have.Timeout+1 &&
		(!f.Has.Is(flow.HasTCPState) || f.TCPState == have.TCPState) && (!f.Has.Is(flow.HasMark) || f.Mark == have.Mark) &&
		(!f.Has.Is(flow.HasSCTP) || f.SCTPState == have.SCTPState && f.SCTPVTag == have.SCTPVTag) &&
		(!f.Has.Is(flow.HasDCCP) || f.DCCPState == have.DCCPState) && (!f.Has.Is(flow.HasSeqAdj) || f.SeqAdj == have.SeqAdj) &&
		(!f.Has.Is(flow.HasLabels) || f.Labels == have.Labels)
}

// spare leaves in their place the connections among m.found, which stand in the way of the given flows, that live here:
// they were answered, and events told of them. It returns the flows that may replace what is in their way, with that at
// the front of m.found; those that may not have errAlive.
func (m *commitment) spare(ctx context.Context, errs []unix.Errno, strangers []int) ([]int, error) {
	left := strangers[:0]
	err := m.d.do(ctx, func(c *core) {
		for j, i := range strangers {
			have := &m.found[j]
			if have.Has != 0 && have.Status&flow.StatusSeenReply != 0 && c.internal.Touched(&have.Orig) {
				errs[i] = errAlive
				continue
			}
			m.found[len(left)] = *have
			left = append(left, i)
		}
	})
	return left, err
}
