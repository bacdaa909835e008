package ctnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// errDumpCut is a dump that stopped without its end.
var errDumpCut = errors.New("dump ended without NLMSG_DONE")

// Dump reads every entry of family (0 = all) and calls fn for each, with a Flow that the next one overwrites. An error
// of fn ends the dump and is returned; the Conn then has a new socket, with another PortID. interrupted reports that
// the kernel flagged the dump as inconsistent (NLM_F_DUMP_INTR): entries may be missing or come twice, so dump again.
// If this package cannot read a record, Dump hands out the others and returns ErrMalformed.
//
// A dump walks the hash table of all namespaces, about 35 ms for 262,144 buckets even if they are empty.
func (c *Conn) Dump(family flow.Family, fn func(*flow.Flow) error) (interrupted bool, err error) {
	b, at := openMessage(c.out[:0], msgCtGet, unix.NLM_F_DUMP, uint8(family))
	closeMessage(b, at)
	return c.dumpRecords(b, "flows",
		func(msg []byte) error { return DecodeFlow(msg, &c.flow) },
		func() error { return fn(&c.flow) })
}

// dumpRecords sends a dump request, reads each message of the answer with decode and hands it out with emit, until that
// returns an error.
func (c *Conn) dumpRecords(
	b []byte, what string, decode func(msg []byte) error, emit func() error,
) (interrupted bool, err error) {
	var stopped, malformed error
	interrupted, err = c.dump(b, func(msg []byte) {
		if stopped != nil {
			return
		}
		if err := decode(msg); err != nil {
			malformed = err
			return
		}
		stopped = emit()
		c.cut = stopped != nil
	})
	if stopped != nil {
		return interrupted, errors.Join(stopped, err)
	}
	if err == nil {
		err = malformed
	}
	if err != nil {
		return interrupted, fmt.Errorf("dump %s: %w", what, err)
	}
	return interrupted, nil
}

// dump sends a dump request and calls each for every message of the answer.
func (c *Conn) dump(b []byte, each func(msg []byte)) (interrupted bool, err error) {
	c.starts = append(c.starts[:0], 0)
	if err := c.send(b); err != nil {
		return false, err
	}
	c.seq++
	for {
		// One datagram at a time: its 32 KiB stay in the cache, and the kernel fills the next during the call.
		n, err := c.in.receive(c.fd, 1)
		if err != nil {
			return interrupted, errors.Join(fmt.Errorf("receive netlink dump: %w", err), c.reopen())
		}
		datagram, whole := c.in.datagram(0)
		if n == 0 || !whole {
			return interrupted, errors.Join(errDumpCut, c.reopen())
		}
		inter, done, err := c.dumped(datagram, each)
		interrupted = interrupted || inter
		if c.cut && !done {
			c.cut = false
			return interrupted, c.reopen()
		}
		if done || err != nil {
			c.cut = false
			return interrupted, err
		}
	}
}

// reopen replaces the socket by a new one. A dump continues until it is read to its end or its socket is closed, and
// the kernel begins no other meanwhile. To read the rest of a million entries takes seconds, which a daemon that is to
// stop does not have.
func (c *Conn) reopen() error {
	fd, portID, err := openRequests()
	if err != nil {
		return err
	}
	err = c.Close()
	c.fd, c.portID = fd, portID
	return err
}

// dumped walks one datagram of a dump. done reports its end.
func (c *Conn) dumped(b []byte, each func(msg []byte)) (interrupted, done bool, err error) {
	for len(b) > 0 {
		h, msg, rest, ok := nextMessage(b)
		if !ok {
			return interrupted, false, ErrMalformed
		}
		b = rest
		if h.Seq != c.seq {
			continue
		}
		interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
		switch h.Type {
		case unix.NLMSG_DONE:
			if e := dumpResult(msg); e != 0 {
				return interrupted, true, e
			}
			return interrupted, true, nil
		case unix.NLMSG_ERROR:
			if e := errno(msg); e != 0 {
				return interrupted, true, e
			}
		default:
			each(msg)
		}
	}
	return interrupted, false, nil
}

// dumpResult reads the optional result in NLMSG_DONE: 0, or a negative errno.
func dumpResult(msg []byte) unix.Errno {
	if len(msg) < nlHeaderLen+4 {
		return 0
	}
	if v := int32(binary.NativeEndian.Uint32(msg[nlHeaderLen:])); v < 0 {
		return unix.Errno(-v)
	}
	return 0
}
