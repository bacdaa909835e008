package core

import (
	"fmt"
	"time"
)

// aliveInterval is how long a peer that is well may be silent: protocol v1 says something every second.
const aliveInterval = 3 * time.Second

// Answers reports whether the peer takes part in the session now.
func (c *Core) Answers() bool {
	return c.Peer.session != nil && c.Peer.session.State().Established && c.now()-c.PeerHeard() < int64(aliveInterval)
}

// Why lists what this router knows that stands against the two being in step; nothing if they are.
func (c *Core) Why() []string {
	why := c.Links.Why(c.now())
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if c.Peer.session != nil {
		why = append(why, c.Peer.session.Why()...)
	}
	if n := c.ignoring.Now(c.now()); n > 0 {
		say("%d expectations of the peer were ignored: set expect-sync alike on both routers", n)
	}
	if n := c.Own.Internal.Dirty(); n > transmitSlice {
		say("%d changed flows wait to be sent", n)
	}
	if c.Peer.bulkWanted || c.Peer.isNew || c.Peer.session != nil && c.Peer.session.State().BulkRunning {
		say("the peer waits for our table")
	}
	if c.Own.full {
		say("the internal cache was full, flows are missing: raise cache-limit")
	}
	if c.Injecting() {
		c.whyNotInjected(say)
	} else if c.Peer.full {
		say("the external cache was full, flows are missing: raise cache-limit")
	}
	if n := len(c.Peer.NoRoom); n > 0 {
		say("%d flows of the peer are not in the kernel, its table is full: raise net.netfilter.nf_conntrack_max", n)
	}
	if c.Peer.emptied {
		say("the external cache was flushed: ctsync request fills it again")
	}
	if !c.Own.reconciled {
		say("the kernel's table is still being read")
	} else if c.Own.suspect {
		say("the internal cache may miss changes until it has been compared with the kernel's table")
	}
	return why
}

// whyNotInjected says what stands against the kernel having all that the peer announced.
func (c *Core) whyNotInjected(say func(format string, args ...any)) {
	if n := c.InjectPending(); n > transmitSlice || n > 0 && c.now()-c.Inject.since > int64(aliveInterval) {
		say("%d flows of the peer wait to be put into the kernel", n)
	}
	if c.Peer.full {
		say("more flows of the peer than cache-limit allows, some are not in the kernel: raise it")
	}
	if n := c.Peer.External.Failed(); n > 0 {
		say("%d flows of the peer are refused by the kernel: see ctsync show statistics --detail", n)
	}
}
