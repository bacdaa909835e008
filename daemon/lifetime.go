package daemon

import (
	"time"

	"ctsync/daemon/flow"
)

// What a flow's timeout means after a while. ctnetlink tells a flow's remaining lifetime when its state changes, and
// nothing when traffic merely refreshes it. So an entry whose time is up on the clock is one of two things: a flow that
// was refreshed, or one whose end we did not hear of.

// restoredFloor is the least lifetime, in seconds, that a restored flow gets: long enough to see its next packet, which
// then sets the kernel's own value. It never exceeds what the flow had at first.
const restoredFloor = 60

// age turns the timeout that the kernel reported at updated into what remains now, so that a flow announced late does
// not start its life again at the peer (conntrackd repeats the old value). It may have been refreshed by traffic, of which
// ctnetlink tells nothing, so what traffic refreshes keeps the floor: told with a second left, it would count as expired
// there as soon as this router dies.
func age(f *flow.Flow, updated, now int64) {
	passed := (now - updated) / int64(time.Second)
	if passed <= 0 || !f.Has.Is(flow.HasTimeout) {
		return
	}
	if runsOut(f) && passed < int64(f.Timeout) {
		f.Timeout -= uint32(passed)
		return
	}
	f.Timeout = lifetimeLeft(f.Timeout, passed)
}

// expired reports whether an external entry cannot be alive any more: its time is up, and either traffic does not
// refresh its state (a TCP connection that has closed or was never established), or the peer has been silent for its
// whole lifetime, so that nobody can have seen it alive since. updated and heard are when the entry was last told and
// when the peer last spoke (ns).
func expired(f *flow.Flow, updated, heard, now int64) bool {
	if !f.Has.Is(flow.HasTimeout) {
		return false
	}
	life := int64(f.Timeout) * int64(time.Second)
	if now-updated <= life {
		return false
	}
	return runsOut(f) || now-max(heard, updated) > life
}

// runsOut reports whether traffic does not refresh the timer of a flow in its present state: a TCP connection that has
// closed or was never established. A half-closed one may go on for hours.
func runsOut(f *flow.Flow) bool {
	if !f.Has.Is(flow.HasTCPState) {
		return false
	}
	switch f.TCPState {
	case flow.TCPSynSent, flow.TCPTimeWait, flow.TCPClose, flow.TCPLastAck:
		return true
	}
	return false
}

// restoreTimeout gives a flow the timeout to be committed with: what remains of the one it was told with, but at least
// the floor. A peer that sends no timeouts (conntrackd with CommitTimeout) leaves the floor.
func restoreTimeout(f *flow.Flow, updated, now int64) {
	if !f.Has.Is(flow.HasTimeout) {
		f.Timeout = restoredFloor
		f.Has |= flow.HasTimeout
		return
	}
	f.Timeout = lifetimeLeft(f.Timeout, (now-updated)/int64(time.Second))
}

// lifetimeLeft returns what is left of a timeout, in seconds, after so many have passed; see restoredFloor.
func lifetimeLeft(timeout uint32, passed int64) uint32 {
	floor := min(timeout, restoredFloor)
	if passed >= int64(timeout) {
		return floor
	}
	return max(timeout-uint32(max(passed, 0)), floor)
}
