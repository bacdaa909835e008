package cache

import (
	"time"

	"ctsync/daemon/flow"
)

// A record holds one timeout and one time: so many seconds were left when the flow last changed or was last seen active.
// From that follow both what is left now and how long the flow has been idle. Packets set the kernel's timer again and
// raise no event. Only who reads the timer later, in a dump or a bulk, learns of them: more is left than there should be,
// and as each packet sets the same timeout, the difference tells when the last one passed.

// jitter is by how many seconds a timer that nothing touched may seem to be off: the kernel and the cache round their
// seconds down, and a reading waits before it is handled.
const jitter = 2

// settle returns the timeout and the time that a record keeps, which had timeout and updated, when something is said of
// the flow now. changed tells whether the flow is another than before, timed whether left is what remained of its
// timeout now. All times are seconds.
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

// reread takes that left seconds remained at now of a timer of which timeout seconds remained at updated. It returns the
// same two again if the timer merely ran, and otherwise to what it was set last, and when.
func reread(timeout, updated, left, now uint32) (uint32, uint32) {
	expected := remaining(timeout, int64(now)-int64(updated))
	switch off := int64(left) - int64(expected); {
	case -jitter <= off && off <= jitter:
		return timeout, updated
	case off > 0 && left < timeout:
		return timeout, now - (timeout - left)
	}
	return left, now // another timeout, and nobody knows since when
}

// remaining returns what is left of a timeout after so many seconds.
func remaining(timeout uint32, passed int64) uint32 {
	return uint32(max(int64(timeout)-max(passed, 0), 0))
}

// At turns the entry to the moment now: Flow.Timeout becomes what is left of it. It returns how old and how idle the flow
// is then.
func (e *Entry) At(now int64) flow.Ages {
	turn(&e.Flow.Timeout, &e.Read, now)
	return ages(e.Created, e.Updated, now)
}

// At turns the entry to the moment now: see Entry.At.
func (e *ExpectEntry) At(now int64) flow.Ages {
	turn(&e.Expectation.Timeout, &e.Read, now)
	return ages(e.Created, e.Updated, now)
}

// turn makes of a timeout that was read at one moment that of another.
func turn(timeout *uint32, read *int64, now int64) {
	if passed := (now - *read) / int64(time.Second); passed > 0 {
		*timeout = remaining(*timeout, passed)
		*read += passed * int64(time.Second)
	}
}

func ages(created, updated, now int64) flow.Ages {
	return flow.Ages{Age: max(time.Duration(now-created), 0), Idle: max(time.Duration(now-updated), 0)}
}
