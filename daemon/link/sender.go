package link

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/transport"
)

const (
	sendersMost = 16                     // that are remembered; see oldest
	senderKept  = int64(time.Hour)       // after its last datagram
	senderHere  = int64(5 * time.Second) // a sender that spoke within this time counts as present
)

// Sender is what is known of a datagram before it is accepted.
type Sender struct {
	Addr      netip.Addr
	Readable  bool // the datagram is well-formed protocol v1
	Hello     bool // and says that its sender has started
	Continues bool // its number is near the peer's last one
}

// seems says what kind of sender speaks like that.
func (f Sender) seems() string {
	switch {
	case !f.Readable:
		return control.SeemsUnreadable
	case f.Hello:
		return control.SeemsStarting
	}
	return control.SeemsRouter
}

// sender is another one than the peer whose datagrams are dropped.
type sender struct {
	ch          *Channel
	addr        netip.Addr
	seems, why  string
	datagrams   uint64
	first, last int64
}

// senders are those that were heard lately. Whoever can send to the link decides how many there are, so few are kept.
type senders struct{ list []sender }

// note takes note of a dropped datagram, and returns what is known of its sender.
func (s *senders) note(ch *Channel, from Sender, why string, now int64) *sender {
	i := slices.IndexFunc(s.list, func(o sender) bool { return o.ch == ch && o.addr == from.Addr })
	if i < 0 {
		if i = len(s.list); i == sendersMost {
			i = s.oldest()
		} else {
			s.list = append(s.list, sender{})
		}
		s.list[i] = sender{ch: ch, addr: from.Addr, first: now}
	}
	o := &s.list[i]
	if from.Readable || o.datagrams == 0 || o.seems == control.SeemsUnreadable { // noise does not hide a router
		o.seems, o.why = from.seems(), why
	}
	o.last = now
	o.datagrams++
	return o
}

// oldest returns the one that makes room: that has been silent for longest, noise first. Whoever sends noise from ever
// other addresses does not make a router forgotten.
func (s *senders) oldest() int {
	oldest := 0
	for i := range s.list {
		o, was := &s.list[i], &s.list[oldest]
		noise, before := o.seems == control.SeemsUnreadable, was.seems == control.SeemsUnreadable
		if noise && !before || noise == before && o.last < was.last {
			oldest = i
		}
	}
	return oldest
}

// forget forgets senders of long ago and of links that are no longer configured, and who has become the peer.
func (s *senders) forget(now int64) {
	s.list = slices.DeleteFunc(s.list, func(o sender) bool {
		return o.ch.gone || o.addr == o.ch.peer || now-o.last >= senderKept
	})
}

// here appends the addresses of those that were heard on a link a moment ago and dropped for a reason.
func (s *senders) here(ch *Channel, why string, now int64) (list []string) {
	for i := range s.list {
		if o := &s.list[i]; o.ch == ch && o.why == why && now-o.last < senderHere {
			list = append(list, o.addr.String())
		}
	}
	slices.Sort(list)
	return list
}

// status is what is shown of them, the latest first.
func (s *senders) status(to *control.Status, now int64) {
	ago := func(at int64) time.Time { return to.Time.Add(-time.Duration(now - at)) }
	for i := range s.list {
		o := &s.list[i]
		to.Senders = append(to.Senders, control.Sender{
			Address: o.addr.String(), Device: o.ch.Name(), Seems: o.seems, Why: o.why, Datagrams: o.datagrams,
			First: ago(o.first), Last: ago(o.last),
		})
	}
	slices.SortFunc(to.Senders, func(a, b control.Sender) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Address, b.Address))
	})
}

// Why datagrams of a sender are dropped.
const (
	whySecond     = "a pair has two members"
	whyUnreadable = "not protocol v1"
	whyNotPeer    = "not the configured peer"
	whyNotOnLink  = "in no network of the interface"
	whyOwn        = "our own address"
	whyElsewhere  = "by another interface"
)

// ignore takes note of a datagram that is dropped.
func (s *Set) ignore(ch *Channel, from Sender, why string, now int64) {
	o := s.senders.note(ch, from, why, now)
	if n := o.datagrams; n&(n-1) == 0 {
		s.log.Warn("another sender on the sync link is ignored", "interface", ch.Name(), "sender", from.Addr,
			"seems", o.seems, "because", o.why, "do", ch.advice(o.why), "datagrams", n)
	}
}

// Refused takes note of a datagram that a link did not deliver.
func (s *Set) Refused(ch *Channel, from Sender, refusal transport.Refusal, now int64) {
	why := whyNotOnLink
	switch {
	case refusal == transport.Looped:
		why = whyOwn
	case refusal == transport.WrongInterface:
		why = whyElsewhere
	case ch.named():
		why = whyNotPeer
	}
	s.ignore(ch, from, why, now)
}

// advice says what to do about senders that are refused.
func (ch *Channel) advice(why string) string {
	switch why {
	case whySecond:
		return "give each pair a port or an mcast-group of its own, or name the other router as mcast-peer"
	case whyNotPeer:
		return "if it is the other router, set listen-address there to its own address, or correct peer here"
	case whyNotOnLink:
		return fmt.Sprintf("give both routers an address of one network on %s", ch.Name())
	case whyOwn:
		return "find what reflects them, or who else has this address"
	case whyElsewhere:
		return fmt.Sprintf("check the cabling, and the other router's route to %s", ch.Name())
	}
	return fmt.Sprintf("keep others off UDP port %d of this link", ch.port())
}
