package transport

import "net/netip"

const (
	headerIPv4 = 20 + 8 // IPv4 and UDP
	headerIPv6 = 40 + 8 // IPv6 and UDP; conntrackd subtracts 28 here too, so its full datagrams are fragmented

	minMTU = 576   // every IPv4 host reassembles this much (RFC 1122, 3.3.2); below it one message may not fit
	maxMTU = 65535 // largest IPv4 packet; loopback claims 65536
)

// payloadMax returns the largest UDP payload that leaves in one packet.
func payloadMax(mtu int, remote netip.Addr) int {
	header := headerIPv4
	if remote.Is6() {
		header = headerIPv6
	}
	return min(mtu, maxMTU) - header
}

// maxPayload returns the size that a datagram may have: strictly below what fits, as conntrackd has it, and a multiple
// of 4 as all its messages are. A link with a smaller MTU than minMTU carries the datagrams in fragments.
func maxPayload(mtu int, remote netip.Addr) int {
	return (payloadMax(max(mtu, minMTU), remote) - 1) &^ 3
}

// MaxPayload returns the largest datagram, in bytes, to hand to Send, from the MTU that the interface had when the link
// was opened: a multiple of 4, below 65536.
func (l *Link) MaxPayload() int { return maxPayload(l.dev.mtu, l.remote) }
