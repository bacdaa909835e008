package cache

import "ctsync/daemon/flow"

// A reconcile repairs the internal cache from a dump of the kernel's table, which events change meanwhile:
//
//	BeginReconcile
//	Reconcile for each record of the dump
//	Stale until next is 0; look each entry up in the kernel: absent -> Destroy, present -> Reconcile with what
//	    was found; once more from the beginning if anything was found, because events go on
//	EndReconcile
//
// A record is seen once a NEW event or a dump record confirmed all of it. A dump record may be older than an event that
// was handled before it, so it never changes a record that is seen, or that an event changed since (recent). If the two
// differ, the record counts as not seen, and Stale passes it to the caller, who asks the kernel for the present state.

// volatileStatus are the status bits that come and go without an event.
const volatileStatus = flow.StatusDying | flow.StatusOffload | flow.StatusHWOffload

// BeginReconcile starts a reconcile, or starts over.
func (n *Internal) BeginReconcile() {
	clear(n.v4.seen)
	clear(n.v6.seen)
	clear(n.h4.recent)
	clear(n.h6.recent)
	n.repair.begin()
}

// Reconcile takes a record of the dump. What is missing is inserted, another incarnation (CTA_ID differs) replaces the
// entry, what differs is merged; these are dirty afterwards and changed is true. Where nothing differs that the peer
// needs, the timeout is refreshed and nothing is sent. A flow that ended since BeginReconcile stays ended. changed is
// false also for a difference that is left to Stale.
func (n *Internal) Reconcile(f *flow.Flow, now int64) (changed bool, err error) {
	if !valid(f) {
		n.stats.CreateFailed++
		return false, ErrFamily
	}
	if n.repair.has(f) {
		return false, nil
	}
	r, h := n.find(&f.Orig)
	if r == 0 || !n.sees(r) {
		return n.adopt(r, h, f, now)
	}
	i := r.number()
	seen, recent := n.seen(r), n.heard(r).recent
	other := otherID(n.body(r), f)
	n.dumped(r, f)
	nameless := !n.old.Has.Is(flow.HasID) && f.Has.Is(flow.HasID)
	if nameless { // our own commit made the entry, so f may be another incarnation: nothing of the old one must remain
		n.fresh = *f
	}
	changed = other || Differences(&n.old, &n.fresh) != 0
	switch {
	case changed && (seen.has(i) || recent.has(i)):
		seen.clear(i)
		return false, nil
	case other:
		return n.adopt(r, h, f, now)
	case !seen.has(i) && !recent.has(i):
		const offloaded = flow.StatusOffload | flow.StatusHWOffload // its packets do not reset the timer
		b, active, timed := n.body(r), changed || f.Status&offloaded != 0, nameless || f.Has.Is(flow.HasTimeout)
		n.fresh.Timeout, b.updated = settle(n.old.Timeout, b.updated, n.fresh.Timeout, n.second(now), active, timed)
		n.put(r, &n.fresh)
	}
	seen.set(i)
	if changed {
		n.stats.Updated++
		if nameless {
			n.body(r).state |= asNew
		}
		n.mark(r)
	}
	return changed, nil
}

// Confirm takes a record of the dump of a flow whose present state is not to be cached. The entry that is there, if it
// is of the same incarnation, is seen and stays as it is; one of another has ended, or is left to Stale if it is newer.
func (n *Internal) Confirm(f *flow.Flow) {
	r, _ := n.find(&f.Orig)
	if r == 0 || n.body(r).is(dead) || n.repair.has(f) {
		return
	}
	i := r.number()
	switch {
	case !otherID(n.body(r), f):
		n.show(r) // a flush may have hidden it
		n.seen(r).set(i)
	case n.seen(r).has(i) || n.heard(r).recent.has(i):
		n.seen(r).clear(i)
	default:
		n.end(r)
	}
}

// Complete takes from what was read of a flow what its events left out of the entry: sequence adjustments, of which the
// kernel raises no event, and what the entry does not have. What an event did say may be newer, and stays.
func (n *Internal) Complete(f *flow.Flow, now int64) error {
	r, _ := n.find(&f.Orig)
	if r == 0 || !n.sees(r) || otherID(n.body(r), f) {
		return nil
	}
	n.get(r, &n.old)
	read := *f
	read.Has &^= n.old.Has &^ flow.HasSeqAdj
	n.fresh = n.old
	n.fresh.Merge(&read)
	if Differences(&n.old, &n.fresh) == 0 {
		return nil
	}
	return n.Update(&read, now)
}

// adopt makes the dump's record f the content of r, or of a new record when r is 0.
func (n *Internal) adopt(r Ref, h uint64, f *flow.Flow, now int64) (changed bool, err error) {
	if r, err = n.renew(r, h, f, now); err != nil {
		return false, err
	}
	n.seen(r).set(r.number())
	n.mark(r)
	return true, nil
}

// dumped makes n.fresh of the record, which it reads into n.old, and of f out of a dump. What the kernel leaves out of
// a dump is zero; out of an event it leaves what did not change.
func (n *Internal) dumped(r Ref, f *flow.Flow) {
	n.get(r, &n.old)
	n.fresh = n.old
	n.fresh.Merge(f)
	if f.Has.Is(flow.HasReply) {
		n.fresh.Reply = f.Reply
	}
	if !f.Has.Is(flow.HasMark) {
		n.fresh.Mark = 0
	}
	if !f.Has.Is(flow.HasLabels) {
		n.fresh.Labels = [16]byte{}
	}
}

// Differences returns the attributes in which the values of a and b differ, of those that the peer needs. The timeout,
// the ID and the TCP flags change without mattering to it, and use and counters are not cached. What one of the two
// does not carry counts as zero: an event leaves out a mark of zero, a dump carries it.
func Differences(a, b *flow.Flow) (d flow.Attr) {
	if a.Reply != b.Reply {
		d |= flow.HasReply
	}
	if (a.Status^b.Status)&^volatileStatus != 0 {
		d |= flow.HasStatus
	}
	if a.Mark != b.Mark {
		d |= flow.HasMark
	}
	if a.TCPState != b.TCPState {
		d |= flow.HasTCPState
	}
	if a.TCPWScale != b.TCPWScale {
		d |= flow.HasTCPWScale
	}
	if (a.Has|b.Has)&rare == 0 {
		return d
	}
	return d | rareDifferences(a, b)
}

// rareDifferences is the part of Differences for what few flows have.
func rareDifferences(a, b *flow.Flow) (d flow.Attr) {
	if a.SCTPState != b.SCTPState || a.SCTPVTag != b.SCTPVTag {
		d |= flow.HasSCTP
	}
	if a.DCCPState != b.DCCPState {
		d |= flow.HasDCCP
	}
	if a.Labels != b.Labels {
		d |= flow.HasLabels
	}
	if a.Helper != b.Helper {
		d |= flow.HasHelper
	}
	if a.Master != b.Master {
		d |= flow.HasMaster
	}
	if a.SeqAdj != b.SeqAdj {
		d |= flow.HasSeqAdj
	}
	if a.Synproxy != b.Synproxy {
		d |= flow.HasSynproxy
	}
	return d
}

// Compare looks for the kernel's record f in the cache and returns in what it differs from the entry there, HasID
// included for another incarnation; ref is 0 when readers see no such entry. Nothing changes.
func (n *Internal) Compare(f *flow.Flow) (ref Ref, differences flow.Attr) {
	r, _ := n.find(&f.Orig)
	if r == 0 || !n.sees(r) {
		return 0, 0
	}
	n.dumped(r, f)
	differences = Differences(&n.old, &n.fresh)
	if otherID(n.body(r), f) {
		differences |= flow.HasID
	}
	return r, differences
}

// Stale fills out with entries that neither the dump nor a NEW event confirmed, or about which they disagree, from the
// position from on (0 = the beginning), looking at no more than max of them. It returns how many, and the position to
// go on from, 0 after the last one. Entries hidden by Flush are among them.
func (n *Internal) Stale(from Ref, max int, out []Entry) (found int, next Ref) {
	r := n.unconfirmed(from)
	for ; r != 0; r = n.unconfirmed(r + 1) {
		if max == 0 || found == len(out) {
			return found, r
		}
		max--
		if !n.body(r).is(dead) {
			n.heard(r).recent.clear(r.number())
			n.load(r, &out[found])
			found++
		}
	}
	return found, 0
}

// EndReconcile ends a reconcile. With overflow more flows ended meanwhile than could be remembered, so some may have
// been brought back: do another one.
func (n *Internal) EndReconcile() (overflow bool) {
	overflow = n.repair.overflow
	n.repair = tombstones{}
	return overflow
}
