package ctnetlink

import (
	"errors"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// Create makes the flows in the kernel, in their order; see AppendCreate for what is sent. errs[i], of which there must
// be at least len(flows), becomes 0 or why flows[i] was refused: EEXIST one of its tuples is taken, ENOENT no such
// master, EOPNOTSUPP no such helper, EINVAL no timeout or an impossible value, ENOMEM the table is full. The error is
// not nil only for a broken socket; flows that were not tried then have ECANCELED.
//
// The kernel silently drops labels and sequence adjustments that it has no room for.
//
// Up to 500 messages leave in one call and only the last asks for an acknowledgement: the kernel answers failing ones
// anyway, by sequence number. When answers are lost for lack of memory the messages go out again in smaller batches.
// So a flow whose first attempt succeeded may show EEXIST (and a deleted one ENOENT); ENOBUFS shows only if the answer
// to a single message is lost.
func (c *Conn) Create(flows []flow.Flow, errs []unix.Errno) error {
	return c.apply(len(flows), errs, func(b []byte, i int) []byte { return AppendCreate(b, &flows[i], c.liberal) })
}

// Update changes existing entries, found by Orig and its zone; see AppendUpdate for what is sent and Create for errs.
// ENOENT means no such entry. The kernel answers EBUSY to a Status that lacks SEEN_REPLY or ASSURED where the entry has
// it, or whose EXPECTED differs from the entry's, and ENOSPC to labels where no rule uses labels; the timeout, and in
// the second case everything else, has been changed then.
func (c *Conn) Update(flows []flow.Flow, errs []unix.Errno) error {
	return c.apply(len(flows), errs, func(b []byte, i int) []byte { return AppendUpdate(b, &flows[i], c.liberal) })
}

// Delete deletes entries by Orig and its zone and, where Has HasID, by ID, so that a later entry with the same tuple
// stays. See Create for errs; ENOENT means no such entry.
func (c *Conn) Delete(keys []flow.Flow, errs []unix.Errno) error {
	return c.apply(len(keys), errs, func(b []byte, i int) []byte { return AppendDelete(b, &keys[i]) })
}

// GetBatch looks keys up by Orig and its zone and decodes what it finds into out. errs[i] is 0, ENOENT, or as for
// Create. All three have the same length at least.
func (c *Conn) GetBatch(keys, out []flow.Flow, errs []unix.Errno) error {
	return c.inBatches(len(keys), errs, func(at, n int) (bool, error) {
		return c.lookUp(keys[at:at+n], out[at:], errs[at:])
	})
}

// apply sends total requests, of which app appends number i, and collects what was refused.
func (c *Conn) apply(total int, errs []unix.Errno, app func(b []byte, i int) []byte) error {
	return c.inBatches(total, errs, func(at, n int) (bool, error) {
		return c.change(at, n, errs[at:], app)
	})
}

// inBatches calls do for consecutive batches of total requests. A batch that loses answers is done again in halves,
// down to single messages; batches grow again afterwards.
func (c *Conn) inBatches(total int, errs []unix.Errno, do func(at, n int) (lost bool, err error)) error {
	errs = errs[:total]
	for i := range errs {
		errs[i] = unix.ECANCELED
	}
	size := c.batch
	for at := 0; at < total; {
		n := min(size, total-at)
		lost, err := do(at, n)
		if err != nil {
			return err
		}
		if lost && n > 1 {
			size = n / 2
			continue
		}
		if lost {
			errs[at] = unix.ENOBUFS
		}
		at += n
		size = min(2*size, c.batch)
	}
	return nil
}

// change sends one batch, the requests from at on, and collects the refusals, until the last message is acknowledged.
func (c *Conn) change(at, n int, errs []unix.Errno, app func(b []byte, i int) []byte) (lost bool, err error) {
	b := c.out[:0]
	c.starts = c.starts[:0]
	for i := range n {
		c.starts = append(c.starts, len(b))
		b = app(b, at+i)
		errs[i] = 0
	}
	setAck(b[c.starts[n-1]:])
	if err := c.send(b); err != nil {
		return tooMuch(err)
	}
	done := false
	lost, err = c.answers(n, func(i int, h header, msg []byte) bool {
		if h.Type != unix.NLMSG_ERROR {
			return false
		}
		errs[i] = errno(msg)
		done = done || i == n-1
		return done
	})
	return lost || !done, err
}

// lookUp sends one batch of Gets: each is answered by an entry or a refusal.
func (c *Conn) lookUp(keys, out []flow.Flow, errs []unix.Errno) (lost bool, err error) {
	b := c.out[:0]
	c.starts = c.starts[:0]
	for i := range keys {
		c.starts = append(c.starts, len(b))
		b = AppendGet(b, &keys[i].Orig, flow.Original)
	}
	if err := c.send(b); err != nil {
		return tooMuch(err)
	}
	left := len(keys)
	lost, err = c.answers(len(keys), func(i int, h header, msg []byte) bool {
		switch {
		case h.Type == unix.NLMSG_ERROR:
			errs[i] = errno(msg)
			out[i] = flow.Flow{}
		case DecodeFlow(msg, &out[i]) == nil:
			errs[i] = 0
		default:
			errs[i] = unix.EBADMSG
		}
		left--
		return left == 0
	})
	return lost || left > 0, err
}

// tooMuch turns the error of a send that the kernel had no room for, of which it did nothing, into a loss.
func tooMuch(err error) (lost bool, _ error) {
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
		return true, nil
	}
	return false, err
}
