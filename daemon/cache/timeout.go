package cache

import (
	"time"

	"ctsync/daemon/flow"
)

// A record keeps one timeout and one time: how many seconds were left when the flow last changed or was last seen
// active. That gives what is left now, and how long the flow has been idle. Packets reset the kernel's timer and raise
// no event. A later reading of the timer, in a dump or a bulk, shows them: more is left than there should be. Since
// each packet sets the same timeout, the difference is the time since the last one.

// jitter is by how many seconds a reading of a timer that nothing reset may be off: the kernel and the cache round
// seconds down, and a reading waits before it is handled.
const jitter = 2

// late is by how many seconds the report that set updated may have waited: then less is left than there should be.
const late = 10

// settle returns the timeout and the time that a record keeps, which had timeout and updated, after a report about its
// flow. changed: the report changes something. timed: left is what remained of the timeout now. All are seconds.
func settle(timeout, updated, left, now uint32, changed, timed bool) (uint32, uint32) {
	switch {
	case changed && timed:
		return left, now
	case changed:
		return remaining(timeout, int64(now)-int64(updated)), now
	case timed:
		return reread(timeout, updated, left, now)
	}
	return timeout, updated
}

// reread takes a reading: left seconds remain at now of a timer of which timeout seconds remained at updated. It
// returns the same two if the timer merely ran, with the timeout corrected if the first report was late, and otherwise
// to what the timer was reset, and when.
func reread(timeout, updated, left, now uint32) (uint32, uint32) {
	expected := remaining(timeout, int64(now)-int64(updated))
	switch off := int64(left) - int64(expected); {
	case -jitter <= off && off <= jitter:
		return timeout, updated
	case off > 0 && left < timeout:
		return timeout, now - (timeout - left)
	case -late <= off && off < 0:
		return left + (now - updated), updated
	}
	return left, now // another timeout, set nobody knows when
}

// remaining returns what is left of a timeout after so many seconds.
func remaining(timeout uint32, passed int64) uint32 {
	return uint32(max(int64(timeout)-max(passed, 0), 0))
}

// At turns the entry to the moment now: Flow.Timeout becomes what is left of it. It returns how long ago the entry was
// inserted and the flow last seen active.
func (e *Entry) At(now int64) flow.Ages {
	turn(&e.Flow.Timeout, &e.Read, now)
	return ages(e.Created, e.Updated, now)
}

// At turns the entry to the moment now: see Entry.At.
func (e *ExpectEntry) At(now int64) flow.Ages {
	turn(&e.Expectation.Timeout, &e.Read, now)
	return ages(e.Created, e.Updated, now)
}

// turn makes a timeout that holds at one moment that of a later one.
func turn(timeout *uint32, read *int64, now int64) {
	if passed := (now - *read) / int64(time.Second); passed > 0 {
		*timeout = remaining(*timeout, passed)
		*read += passed * int64(time.Second)
	}
}

func ages(created, updated, now int64) flow.Ages {
	return flow.Ages{Age: max(time.Duration(now-created), 0), Idle: max(time.Duration(now-updated), 0)}
}
