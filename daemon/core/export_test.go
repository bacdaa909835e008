package core

// ReadAt says when the block that Apply gets next was read from the event socket.
func (c *Core) ReadAt(at int64) { c.reader.readAt = at }

// Following reports whether an event is followed to the peer and back.
func (c *Core) Following() bool { return c.probe.state != probeIdle }

// HoldsBack reports whether nothing of the internal cache is sent yet.
func (c *Core) HoldsBack() bool { return c.holdsBack() }

// Overrun says that the kernel dropped events.
func (c *Core) Overrun() { c.overrun() }
