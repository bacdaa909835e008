package cache

import "ctsync/daemon/flow"

// Internal is the internal cache: this kernel's flows, and what the peer knows of each. It has one owner.
//
// A record of it is live or dead. A live one that readers do not see was hidden by Flush.
type Internal struct {
	store
	out    outbox
	expect *InternalExpect // shares the outbox; nil = there is none
	h4, h6 heard
	fresh  flow.Flow // scratch, as store.old
	repair tombstones
}

// heard holds what the kernel reported of the records of one table.
type heard struct {
	// recent: changed by something else than the dump since the reconcile began, or since Stale passed the record.
	// touched: an event reported the flow since it came in, or since ForgetTouched.
	recent, touched bitset
}

func (n *Internal) heard(r Ref) *heard {
	if r&refIPv6 == 0 {
		return &n.h4
	}
	return &n.h6
}

// grow makes room beside the record r, which is new.
func (n *Internal) grow(r Ref) {
	chunks := n.chunks(r)
	n.out.side(r).grow(chunks)
	n.heard(r).recent.grow(chunks)
	n.heard(r).touched.grow(chunks)
}

// NewInternal returns an empty cache that is full at limit entries, including ended flows whose end the peer has not
// acknowledged; for limit <= 0 see SetLimit.
func NewInternal(limit int) *Internal {
	n := new(Internal)
	n.init(limit)
	return n
}

// New takes a NEW event. It replaces what is cached under the same original tuple, and goes out as NEW.
func (n *Internal) New(f *flow.Flow, now int64) error {
	if !valid(f) {
		n.stats.CreateFailed++
		return ErrFamily
	}
	r, h := n.find(&f.Orig)
	r, err := n.renew(r, h, f, now)
	if err == nil {
		n.seen(r).set(r.number())
		n.heard(r).touched.set(r.number())
		n.mark(r)
	}
	return err
}

// Update takes an UPDATE event: it merges f into the entry. Where there is none, or one of another incarnation (CTA_ID
// differs: the events between were lost), it does what New does. A reply tuple in f replaces the cached one, which may
// come from a commit.
func (n *Internal) Update(f *flow.Flow, now int64) error {
	if !valid(f) {
		n.stats.UpdateFailed++
		return ErrFamily
	}
	r, h := n.find(&f.Orig)
	if r == 0 || !n.sees(r) || otherID(n.body(r), f) {
		r, err := n.renew(r, h, f, now)
		if err == nil {
			n.seen(r).clear(r.number()) // an UPDATE does not carry everything
			n.heard(r).recent.set(r.number())
			n.heard(r).touched.set(r.number())
			n.mark(r)
		}
		return err
	}
	n.reclaim()
	nameless := !n.body(r).has.Is(flow.HasID)
	n.merge(r, f, f.Has.Is(flow.HasReply), now)
	if b := n.body(r); nameless {
		// A commit made the entry. Only a dump, which has all attributes, can say whether f is the same flow.
		b.has &^= flow.HasID
		b.id = 0
	}
	n.heard(r).recent.set(r.number())
	n.heard(r).touched.set(r.number())
	n.mark(r)
	return nil
}

// otherID reports whether f is another incarnation than b. An ID that only one of them has says nothing.
func otherID(b *body, f *flow.Flow) bool {
	return b.has&f.Has&flow.HasID != 0 && b.id != f.ID
}

// renew makes f the content of record r, or of a new one when r is 0, as an incarnation that the peer does not know. It
// queues nothing.
func (n *Internal) renew(r Ref, h uint64, f *flow.Flow, now int64) (Ref, error) {
	if r == 0 {
		n.reclaim()
		if r = n.insert(&f.Orig, h); r == 0 {
			return 0, n.full()
		}
		n.grow(r)
	} else {
		n.hide(r)
		n.out.renew(r, &n.body(r).state)
	}
	n.heard(r).touched.clear(r.number())
	n.replace(r, f, now)
	n.show(r)
	return r, nil
}

// Destroy takes a DESTROY event. The flow ends here at once; when the peer knows of it, its last content is kept,
// dirty, until the peer has acknowledged the end. A DESTROY with another CTA_ID than the entry's is of an earlier
// incarnation and is ignored.
func (n *Internal) Destroy(f *flow.Flow, _ int64) {
	n.reclaim()
	n.repair.add(f)
	r, _ := n.find(&f.Orig)
	if r == 0 || n.body(r).is(dead) {
		return
	}
	b := n.body(r)
	if otherID(b, f) {
		n.stats.DestroyFailed++
		return
	}
	n.end(r)
}

// end makes an entry one that has ended.
func (n *Internal) end(r Ref) {
	n.hide(r)
	if s := &n.body(r).state; !n.out.end(r, s) {
		n.drop(r, s)
	}
}

// Has reports whether there is a flow with the original tuple key that has not ended, whether readers see it or not.
func (n *Internal) Has(key *flow.Tuple) bool {
	r, _ := n.find(key)
	return r != 0 && !n.body(r).is(dead)
}

// Restored takes a flow that our own commit put into the kernel, of which no event comes. It is cached and not sent: a
// bulk update follows a commit. An entry under the same tuple is merged with it, a pending change of it stays pending.
func (n *Internal) Restored(f *flow.Flow, now int64) error {
	if !valid(f) {
		n.stats.CreateFailed++
		return ErrFamily
	}
	r, h := n.find(&f.Orig)
	switch {
	case r != 0 && n.sees(r):
		n.merge(r, f, f.Has.Is(flow.HasReply), now)
		n.heard(r).recent.set(r.number())
		n.out.outdate(r)
		return nil
	case r != 0 && n.body(r).is(dead):
		return n.New(f, now) // its end is still to reach the peer
	}
	if f.Has.Is(flow.HasTCPState) && !f.Has.Is(flow.HasTCPWScale) {
		n.fresh = *f
		f = &n.fresh
		unscaled(f)
	}
	r, err := n.renew(r, h, f, now)
	if err == nil {
		n.seen(r).clear(r.number())
		n.heard(r).recent.set(r.number())
		n.out.outdate(r)
	}
	return err
}

// unscaled gives a TCP flow that was made without window scales what the kernel reports of it: no scales, and
// be-liberal, because it cannot know which segments are in the window.
func unscaled(f *flow.Flow) {
	f.Has |= flow.HasTCPWScale | flow.HasTCPFlags
	f.TCPWScale = [2]uint8{}
	f.TCPFlags[flow.Original] |= flow.TCPFlagBeLiberal
	f.TCPFlags[flow.Reply] |= flow.TCPFlagBeLiberal
}

// Stats returns the present counters.
func (n *Internal) Stats() Stats {
	st := n.store.Stats()
	st.Bytes += n.out.sides[0].bytes() + n.out.sides[1].bytes() + n.h4.bytes() + n.h6.bytes()
	return st
}

// Flush empties the cache for readers, silently for the peer, and counts the entries as destroyed. What the peer knows
// of them is kept until a reconcile with a full dump, which must follow: a flow that is in the dump appears again and
// is announced as NEW, and the end of one that is gone is sent. It takes the same short time whatever the cache holds.
func (n *Internal) Flush() {
	n.stats.Destroyed += uint64(n.active)
	n.active = 0
	for _, set := range []bitset{n.v4.shown, n.v4.seen, n.v6.shown, n.v6.seen} {
		clear(set)
	}
}
