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
// Labels and sequence adjustments that the kernel has no room for are dropped by it without a word.
//
// Up to 500 messages leave in one call and only the last asks for an acknowledgement: the kernel answers failing ones
// anyway, by sequence number. When answers are lost for lack of memory the messages go out again in smaller batches, so
// a flow whose first attempt succeeded may then show EEXIST (and a deleted one ENOENT), and ENOBUFS only if the answer
// to a single message is lost.
func (c *Conn) Create(flows []flow.Flow, errs []unix.Errno) error {
	return c.apply(flows, errs, AppendCreate)
}

// Update changes existing entries, found by Orig and its zone; see AppendUpdate for what is sent and Create for errs.
// ENOENT means no such entry. The kernel answers EBUSY to a Status that lacks SEEN_REPLY or ASSURED where the entry has
// it, or whose EXPECTED differs from the entry's, and ENOSPC to labels where no rule uses labels; the timeout, and in
// the second case everything else, has been changed then.
func (c *Conn) Update(flows []flow.Flow, errs []unix.Errno) error {
	return c.apply(flows, errs, AppendUpdate)
}

// Delete deletes entries by Orig and its zone and, where Has HasID, by ID, so that a successor with the same tuple
// lives. See Create for errs; ENOENT means no such entry.
func (c *Conn) Delete(keys []flow.Flow, errs []unix.Errno) error {
	return c.apply(keys, errs, func(b []byte, f *flow.Flow, _ bool) []byte { return AppendDelete(b, f) })
}

// GetBatch looks keys up by Orig and its zone and decodes what it finds into out. errs[i] is 0, ENOENT, or as for
// Create. All three have the same length at least.
func (c *Conn) GetBatch(keys, out []flow.Flow, errs []unix.Errno) error {
	return c.inBatches(keys, errs, func(at, n int) (bool, error) {
		return c.lookUp(keys[at:at+n], out[at:], errs[at:])
	})
}

type appendRequest func(b []byte, f *flow.Flow, liberal bool) []byte

func (c *Conn) apply(flows []flow.Flow, errs []unix.Errno, app appendRequest) error {
	return c.inBatches(flows, errs, func(at, n int) (bool, error) {
		return c.change(flows[at:at+n], errs[at:], app)
	})
}

// inBatches calls do for consecutive runs of flows. When a run loses answers it is done again by halves, down to single
// messages; run sizes grow again afterwards.
func (c *Conn) inBatches(flows []flow.Flow, errs []unix.Errno, do func(at, n int) (lost bool, err error)) error {
	errs = errs[:len(flows)]
	for i := range errs {
		errs[i] = unix.ECANCELED
	}
	size := c.batch
	for at := 0; at < len(flows); {
		n := min(size, len(flows)-at)
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

// change sends one batch and collects the refusals; the acknowledgement of the last message ends it.
func (c *Conn) change(flows []flow.Flow, errs []unix.Errno, app appendRequest) (lost bool, err error) {
	b := c.out[:0]
	c.starts = c.starts[:0]
	for i := range flows {
		c.starts = append(c.starts, len(b))
		b = app(b, &flows[i], c.Liberal)
		errs[i] = 0
	}
	setAck(b[c.starts[len(flows)-1]:])
	if err := c.send(b); err != nil {
		return tooMuch(err)
	}
	done := false
	lost, err = c.answers(len(flows), func(i int, h header, msg []byte) bool {
		if h.Type != unix.NLMSG_ERROR {
			return false
		}
		errs[i] = errno(msg)
		done = done || i == len(flows)-1
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

// tooMuch turns the errors of a send that the kernel had no room for, and did nothing of, into a loss.
func tooMuch(err error) (lost bool, _ error) {
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
		return true, nil
	}
	return false, err
}
