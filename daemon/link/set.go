// Package link is the dedicated links: keeps each open, knows who on it is the peer, and chooses the one that sends.
//
// Set decides, Keeper acts. The Set belongs to the loop and is pure: it has no socket of its own, asks no clock and
// calls nobody. It notes what changed, and the loop asks for that (News) after each change. The Keeper has a goroutine
// for each link, which opens it, watches its interface and reports to the Set.
package link

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"ctsync/daemon/path"
	"ctsync/daemon/transport"
)

// Set is all dedicated links of this router. Make it with NewSet.
type Set struct {
	channels []*Channel // in the order of the configuration
	choice   choice     // which of them sends
	peer     Peer
	absent   Peer // the peer, while another router stands in for it
	senders  senders
	datagram int // bytes that every open link carries; 0 = none was open yet
	news     News
	log      *slog.Logger

	foreign  uint64 // datagrams from a second sender
	changes  uint64 // times that another link began to send
	chosenAt int64  // when that was last
	reason   string // why, "" = never
}

// News is what changed in a Set.
type News struct {
	Moved       bool // another link sends
	AnotherPeer bool // the peer is another router than before
	Datagram    int  // bytes that a datagram may have from now on; 0 = as before
}

// NewSet returns an empty set. lot is a source of random numbers.
func NewSet(now int64, lot func() uint32, log *slog.Logger) Set {
	return Set{choice: newChoice(now, lot), log: log}
}

// News returns what changed since it was last asked.
func (s *Set) News() News {
	n := s.news
	s.news = News{}
	return n
}

// Channels returns the links in the order of the configuration. The slice is the Set's.
func (s *Set) Channels() []*Channel { return s.channels }

// Datagram is how many bytes a datagram may have; 0 = not known, because no link was open yet.
func (s *Set) Datagram() int { return s.datagram }

// Sending is the link that sends now.
func (s *Set) Sending() *Channel { return s.channels[s.choice.active] }

// Names are the names of all links, in the order of the configuration.
func (s *Set) Names() string {
	var names []string
	for _, ch := range s.channels {
		names = append(names, ch.Name())
	}
	return strings.Join(names, ", ")
}

// Follow takes over the configured links: the channels in the order of the file, each with its configuration. Those
// whose configuration changes must not be open. When nothing that was known of the peer holds any more, it is another
// peer.
func (s *Set) Follow(links []*Channel, cfgs []transport.Config, now int64) {
	same, first, was := !s.peer.Addr.IsValid(), len(s.channels) == 0, ""
	if !first {
		was = s.Sending().Name()
	}
	names, from := make([]string, len(links)), make([]int, len(links))
	for i, ch := range links {
		from[i] = slices.Index(s.channels, ch)
		same = s.samePeer(ch, from[i] >= 0, cfgs[i]) || same
		ch.cfg = cfgs[i]
		names[i] = ch.Name()
	}
	for _, ch := range s.channels {
		ch.gone = true
	}
	for i, ch := range links {
		ch.gone, ch.index = false, i
	}
	s.channels = links
	if why := s.choice.relist(names, from, now); !first {
		s.chose(was, why, now)
	}
	s.fitDatagrams()
	if !same {
		s.log.Info("another peer is configured", "was", s.peer.Addr)
		s.anotherPeer()
	}
	if !same || slices.ContainsFunc(links, (*Channel).named) {
		s.TakeStandIn() // the configuration says who is the peer
	}
	s.senders.forget(now)
}

// Opened puts an open link into service. failed, which has room for one error, gets why it cannot be read any more.
func (s *Set) Opened(ch *Channel, l Link, failed chan<- error, now int64) {
	ch.Open, ch.trouble, ch.failed = l, "", failed
	s.fitDatagrams()
	_, ch.state = l.Up()
	s.Is(ch, l, ch.state, now)
}

// Is takes note of the state of a link's interface.
func (s *Set) Is(ch *Channel, l Link, state string, now int64) {
	if ch.Open != l || ch.gone {
		return // it was closed meanwhile
	}
	if was := ch.state; state != was {
		ch.state = state
		s.sayState(ch, was)
	}
	s.setUsable(ch, now)
}

// sayState logs that the state of an open link changed.
func (s *Set) sayState(ch *Channel, was string) {
	if ch.state == running {
		s.log.Info("the sync link is usable again", "interface", ch.Name(), "was", was)
		return
	}
	s.log.Warn("the sync link carries nothing: see the interface, the cable and what is at its other end",
		"interface", ch.Name(), "is", ch.state)
}

// Failed takes note that a link cannot be opened, or was closed because of err.
func (s *Set) Failed(ch *Channel, err error, now int64) {
	s.Closed(ch)
	ch.trouble = err.Error()
	if !ch.gone {
		s.setUsable(ch, now)
	}
}

// Closed takes note that a link is closed, and keeps its counters.
func (s *Set) Closed(ch *Channel) {
	if ch.Open == nil {
		return
	}
	ch.before = ch.before.Add(ch.Open.Stats())
	ch.Open, ch.state = nil, "DOWN"
	ch.Ready, ch.Token = false, 0
	s.fitDatagrams()
}

// PathLimited takes note of what the path by the link that sends carries.
func (s *Set) PathLimited(l path.Limit) {
	ch := s.Sending()
	was := ch.path
	ch.path = l
	switch {
	case l.Most == 0:
		s.log.Info("datagrams are sent in the full size of the link again", "interface", ch.Name())
	case was.Most == 0:
		s.log.Warn("long datagrams do not arrive at the peer, shorter ones are sent: set the MTU of the interface on both "+
			"routers to what the path carries", "interface", ch.Name(), "bytes", l.Most, "sent", l.Sent)
	}
}

// Review looks at the silence of the peer, every ReviewInterval. deaf says that the peer, which is heard, shows no sign
// of hearing us.
func (s *Set) Review(deaf bool, now int64) {
	s.watch(now)
	s.senders.forget(now)
	if len(s.channels) > 1 {
		s.chose(s.Sending().Name(), s.choice.tick(deaf, now), now)
	}
}

// Silent reports whether the peer has said nothing new for so long that another link is tried.
func (s *Set) Silent(now int64) bool { return now-s.choice.heard >= linkSilence }

func (s *Set) setUsable(ch *Channel, now int64) {
	s.chose(s.Sending().Name(), s.choice.set(ch.index, ch.Usable(), ch.wrong(), now), now)
}

// chose notes that another link sends, if why is not empty.
func (s *Set) chose(was, why string, now int64) {
	if why == "" {
		return
	}
	s.changes++
	s.chosenAt, s.reason, s.news.Moved = now, why, true
	if s.choice.worthSaying() {
		s.log.Info("another link sends", "was", was, "is", s.Sending().Name(), "reason", why, "changes", s.changes)
	}
}

// fitDatagrams keeps datagrams to the size that every open link carries: any of them may be the next to send.
func (s *Set) fitDatagrams() {
	least := 0
	for _, ch := range s.channels {
		if ch.Open != nil && (least == 0 || ch.Open.MaxPayload() < least) {
			least = ch.Open.MaxPayload()
		}
	}
	if least != 0 {
		s.datagram, s.news.Datagram = least, least
	}
}

// samePeer reports whether a link that is to become cfg leads, for all that is known, to the router that we talk with,
// and forgets the address that the peer has there if not. A multicast link that names nobody does: who speaks there
// will show.
func (s *Set) samePeer(ch *Channel, exists bool, cfg transport.Config) bool {
	old, was, is := ch.peer.WithZone(""), ch.names(), (&Channel{cfg: cfg}).names()
	switch {
	case !is.IsValid():
		return true
	case exists && was == is, exists && !was.IsValid() && old == is:
		return true
	case !is.IsLinkLocalUnicast() && s.peer.Addr == is: // the same router by an interface of another name
		return true
	}
	ch.peer = netip.Addr{}
	return false
}
