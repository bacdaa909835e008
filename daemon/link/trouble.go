package link

import (
	"fmt"
	"strings"
	"time"

	"ctsync/daemon/lately"
	"ctsync/daemon/transport"
)

// peerAlive is how long a peer that is well may be silent: protocol v1 says something every second.
const peerAlive = int64(3 * time.Second)

// troubles are the counters of lost datagrams, watched, so that what is lost now is a reason against being in step.
type troubles [len(lossList)]lately.Count

// loss is a way to lose datagrams of a link.
type loss struct {
	count func(*transport.Stats) uint64
	text  string // %[1]s is the interface, %[2]s to whom, %[3]d the port
}

var lossList = [...]loss{
	{func(s *transport.Stats) uint64 { return s.SendUnreachable }, "the kernel cannot send to %[2]s by %[1]s (no route, or " +
		"no answer to ARP or neighbour discovery): check that the other router is up and in a network of %[1]s"},
	{func(s *transport.Stats) uint64 { return s.SendBlocked }, "the firewall of this router drops what is sent to %[2]s: " +
		"let UDP port %[3]d out by %[1]s"},
	{func(s *transport.Stats) uint64 { return s.SendTooLong }, "datagrams to %[2]s are too long for the path by %[1]s: " +
		"lower the MTU of %[1]s to what the path carries"},
	{func(s *transport.Stats) uint64 { return s.SendQueueFull }, "the queue of %[1]s is full, datagrams are lost: raise " +
		"sync-queue-size, and see what else sends by %[1]s"},
	{func(s *transport.Stats) uint64 { return s.SendOther }, "the kernel refuses to send to %[2]s by %[1]s: see ctsync show " +
		"statistics --detail, and the kernel's log"},
	{func(s *transport.Stats) uint64 { return s.KernelDrops }, "datagrams of the peer are dropped on %[1]s, the receive " +
		"buffer is full: raise sync-queue-size"},
	{func(s *transport.Stats) uint64 { return s.Truncated }, "datagrams on %[1]s are longer than UDP allows, and dropped: " +
		"see what sends to UDP port %[3]d there"},
	{func(s *transport.Stats) uint64 { return s.RecvErrors }, "reading from %[1]s fails: see ctsync show log"},
}

// watch takes the present counters of the links.
func (s *Set) watch(now int64) {
	for _, ch := range s.channels {
		st := ch.stats()
		for i := range lossList {
			ch.troubles[i].See(lossList[i].count(&st), now)
		}
	}
}

// Why lists what the links know against the pair being in step: no link, a silent peer, another router in its place or
// beside it, and datagrams that are lost now. Each says what to do.
func (s *Set) Why(now int64) (why []string) {
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	no := s.NoLink()
	if no != "" {
		say("%s", no)
	}
	switch silent := now - s.peer.Heard; {
	case s.peer.Heard == 0:
		say("the peer has not been heard%s", s.listen(no))
	case silent >= peerAlive:
		say("the peer has been silent for %v", seconds(silent))
	}
	if s.absent.Addr.IsValid() {
		say("%v speaks in place of the peer %v, which has been silent for %v and whose flows are kept: ctsync reset "+
			"external-cache takes it for good", s.peer.Addr, s.absent.Addr, seconds(now-s.absent.Heard))
	}
	for _, ch := range s.channels {
		for i := range lossList {
			if n := ch.troubles[i].Now(now); n > 0 {
				say(lossList[i].text+" (%[4]d)", ch.Name(), ch.to(), ch.port(), n)
			}
		}
		for _, w := range []string{whySecond, whyUnreadable, whyNotPeer, whyNotOnLink, whyOwn, whyElsewhere} {
			if who := s.senders.here(ch, w, now); len(who) > 0 {
				say("%s", ch.speak(w, who))
			}
		}
	}
	return why
}

// speak says who is refused on a link, and what to do.
func (ch *Channel) speak(why string, who []string) string {
	list := strings.Join(who[:min(3, len(who))], ", ")
	if n := len(who) - 3; n > 0 {
		list += fmt.Sprintf(" and %d more", n)
	}
	text := ""
	switch why {
	case whySecond:
		text = fmt.Sprintf("another router speaks on %s and is ignored, a pair has two members: %s", ch.Name(), list)
	case whyUnreadable:
		text = fmt.Sprintf("datagrams on %s are not protocol v1, from %s", ch.Name(), list)
	case whyNotPeer:
		text = fmt.Sprintf("datagrams on %s come from %s, not from the peer %v", ch.Name(), list, ch.names())
	case whyNotOnLink:
		text = fmt.Sprintf("datagrams on %s come from %s, which is in none of its networks", ch.Name(), list)
	case whyOwn:
		text = fmt.Sprintf("datagrams from our own address come in on %s, from %s", ch.Name(), list)
	case whyElsewhere:
		text = fmt.Sprintf("datagrams for the link on %s come in by another interface, from %s", ch.Name(), list)
	}
	return text + ": " + ch.advice(why)
}

// listen says what to check while the peer was never heard, although a link is open.
func (s *Set) listen(no string) string {
	if no != "" {
		return ""
	}
	ch := s.Sending()
	where := "the same port"
	if ch.multicast() {
		where = "the same mcast-group and port"
	}
	text := fmt.Sprintf(": check that it runs with %s, and that both firewalls accept UDP port %d on %s", where, ch.port(),
		ch.Name())
	if also := ch.Open.Alternatives(); len(also) > 0 {
		text += fmt.Sprintf("; this router sends from %v, and %s also has %v: name the right one as listen-address",
			ch.Open.Local(), ch.Name(), also[0])
	}
	return text
}

func seconds(d int64) time.Duration { return time.Duration(d).Round(time.Second) }
