package link

import (
	"net/netip"

	"ctsync/daemon/control"
	"ctsync/daemon/path"
	"ctsync/daemon/transport"
)

// Link carries datagrams to and from the peer. *transport.Link is the real one and documents the methods.
type Link interface {
	Send(buf []byte, ends []int) error
	FD() int
	Read(b *transport.Batch) (more bool, err error)
	MaxPayload() int
	Local() netip.Addr
	Alternatives() []netip.Addr
	Stats() transport.Stats
	Up() (running bool, text string)
	Valid() error
	Close() error
}

// Channel is a dedicated link as the loop knows it, whether it is open or not. It exists as long as its interface is
// configured. Its fields belong to the loop.
type Channel struct {
	Open  Link  // nil while the link cannot be used
	Token int32 // by which the loop's poller reports Open; 0 = it does not yet
	Ready bool  // datagrams may be waiting

	cfg        transport.Config
	index      int  // in Set.channels
	gone       bool // no longer configured
	state      string
	trouble    string          // why it is not open
	before     transport.Stats // of its sockets that are closed, so that counters never run backwards
	peer       netip.Addr      // the peer's address on this link, once it has been heard here
	absent     netip.Addr      // that of the peer for which another router stands in; see Set.absent
	troubles   troubles        // what is lost here
	path       path.Limit      // what the path by this link carries, as far as it is less than the link
	foreign    uint64          // datagrams from a second sender
	unreadable uint64          // datagrams of an unknown sender that are not protocol v1
	failed     chan<- error    // carries to the keeper why Open cannot be read any more
}

// NewChannel returns a channel that is not open, for Set.Follow.
func NewChannel() *Channel { return &Channel{state: "DOWN"} }

// Name is the interface.
func (ch *Channel) Name() string { return ch.cfg.Interface }

// Fail reports to the keeper that the link cannot be read any more.
func (ch *Channel) Fail(err error) {
	ch.Ready = false
	select {
	case ch.failed <- err:
	default: // it knows already
	}
}

// Gone reports whether the link is no longer configured: what still arrives by it does not count.
func (ch *Channel) Gone() bool { return ch.gone }

func (ch *Channel) multicast() bool { return !ch.cfg.Peer.IsValid() }

// names is the peer as configured, for a link of either kind; invalid if a multicast link names none. The link delivers
// nothing from others.
func (ch *Channel) names() netip.Addr {
	if ch.multicast() {
		return ch.cfg.From
	}
	return ch.cfg.Peer
}

func (ch *Channel) named() bool { return ch.names().IsValid() }

// to is where the link sends.
func (ch *Channel) to() netip.Addr {
	if ch.multicast() {
		return ch.cfg.Group
	}
	return ch.cfg.Peer
}

func (ch *Channel) port() int {
	if ch.cfg.Port == 0 {
		return transport.DefaultPort
	}
	return ch.cfg.Port
}

// stats are the counters of the link since it was first open.
func (ch *Channel) stats() transport.Stats {
	if ch.Open == nil {
		return ch.before
	}
	return ch.before.Add(ch.Open.Stats())
}

// Usable reports whether datagrams can be sent by the link.
func (ch *Channel) Usable() bool { return ch.Open != nil && ch.state == running && !ch.gone }

// running is what transport.Link.Up says of an interface that carries traffic.
const running = "RUNNING"

// wrong says what is wrong with a link that is not usable.
func (ch *Channel) wrong() string {
	if ch.Open == nil && ch.trouble != "" {
		return ch.trouble
	}
	do := map[string]string{"DOWN": "ip link set " + ch.Name() + " up", "NO-CARRIER": "check the cable and the other end"}
	text := ch.Name() + " is " + ch.state
	if do[ch.state] != "" {
		text += " (" + do[ch.state] + ")"
	}
	return text
}

func (ch *Channel) transport() string {
	if ch.multicast() {
		return control.TransportMulticast
	}
	return control.TransportUDP
}

// Path is what is known of the path to the peer by this link.
func (ch *Channel) Path() path.Limit { return ch.path }
