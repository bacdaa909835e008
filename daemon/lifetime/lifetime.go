// Package lifetime says what a flow's timeout means after a while: what is left of it, and whether the flow can still
// be alive.
//
// ctnetlink reports the timeout of a flow when its state changes, and nothing when traffic merely refreshes it. So an
// entry whose timeout has passed on the clock is one of two things: a flow that traffic refreshed, or one whose end we
// did not hear of.
//
// Timeouts are in seconds. Moments are in nanoseconds of one clock, which the caller reads.
package lifetime

import (
	"time"

	"ctsync/daemon/flow"
)

// Floor is the shortest timeout, in seconds, that a restored flow gets: long enough to see its next packet, upon which
// the kernel sets a timeout of its own. It never exceeds the timeout that was reported.
const Floor = 60

// Age turns the timeout that the kernel reported at updated into what remains of it now, so that a flow announced late
// does not start with its whole timeout at the peer (conntrackd repeats the old value). Traffic may have refreshed the
// flow unseen, so a flow that traffic can refresh keeps the floor: announced with one second left it would count as
// expired there as soon as this router dies.
func Age(f *flow.Flow, updated, now int64) {
	passed := (now - updated) / int64(time.Second)
	if passed <= 0 || !f.Has.Is(flow.HasTimeout) {
		return
	}
	if RunsOut(f) && passed < int64(f.Timeout) {
		f.Timeout -= uint32(passed)
		return
	}
	f.Timeout = Left(f.Timeout, passed)
}

// Expired reports whether a flow of the peer cannot be alive any more. Its timeout has passed since updated, when the
// peer last sent the flow, and one of two things holds: traffic does not refresh its state (see RunsOut), or the peer,
// last heard at heard, has been silent for a whole timeout, so that nobody can have seen the flow alive since. A flow
// without a timeout never expires.
func Expired(f *flow.Flow, updated, heard, now int64) bool {
	if !f.Has.Is(flow.HasTimeout) || !passed(f.Timeout, updated, now) {
		return false
	}
	return RunsOut(f) || passed(f.Timeout, max(heard, updated), now)
}

// ExpectationExpired reports the same of an expectation of the peer, whose state says nothing about it.
func ExpectationExpired(e *flow.Expectation, updated, heard, now int64) bool {
	return e.Has.Is(flow.HasTimeout) && passed(e.Timeout, max(heard, updated), now)
}

// passed reports whether a timeout that began at since has passed.
func passed(timeout uint32, since, now int64) bool {
	return now-since > int64(timeout)*int64(time.Second)
}

// RunsOut reports whether traffic does not refresh the timeout of a flow in its present state: a TCP connection that
// has closed or was never established. A half-closed one may go on for hours.
func RunsOut(f *flow.Flow) bool {
	if !f.Has.Is(flow.HasTCPState) {
		return false
	}
	switch f.TCPState {
	case flow.TCPSynSent, flow.TCPTimeWait, flow.TCPClose, flow.TCPLastAck:
		return true
	}
	return false
}

// Restore gives a flow the timeout to be restored with: what is left of the one it had at updated, see Left. A flow of
// which neither the peer nor this kernel said one gets the floor.
func Restore(f *flow.Flow, updated, now int64) {
	if !f.Has.Is(flow.HasTimeout) {
		f.Timeout = Floor
		f.Has |= flow.HasTimeout
		return
	}
	f.Timeout = Left(f.Timeout, (now-updated)/int64(time.Second))
}

// Left returns what is left of a timeout after so many seconds have passed: at least the floor, or the whole timeout
// where that is shorter.
func Left(timeout uint32, passed int64) uint32 {
	floor := min(timeout, Floor)
	if passed >= int64(timeout) {
		return floor
	}
	return max(timeout-uint32(max(passed, 0)), floor)
}
