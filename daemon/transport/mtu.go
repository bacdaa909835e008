package transport

import "net/netip"

const (
	headerIPv4 = 20 + 8 // IPv4 and UDP
	headerIPv6 = 40 + 8 // IPv6 and UDP; conntrackd subtracts 28 for IPv6 too, so its full datagrams are fragmented

	minMTU = 576   // every IPv4 host reassembles this much (RFC 1122, 3.3.2); with less, one message may not fit
	maxMTU = 65535 // largest IPv4 packet; loopback has an MTU of 65536
)

// payloadMax returns the largest UDP payload that leaves in one packet.
func payloadMax(mtu int, remote netip.Addr) int {
	header := headerIPv4
	if remote.Is6() {
		header = headerIPv6
	}
	return min(mtu, maxMTU) - header
}

// maxPayload returns the largest size of a datagram: less than fits into a packet, like conntrackd's, and a multiple of
// 4 like all messages. A link with an MTU below minMTU carries the datagrams in fragments.
func maxPayload(mtu int, remote netip.Addr) int {
	return (payloadMax(max(mtu, minMTU), remote) - 1) &^ 3
}

// MaxPayload returns the size of the largest datagram for Send, in bytes, from the MTU that the interface had when the
// link was opened. It is a multiple of 4 and below 65536.
func (l *Link) MaxPayload() int { return maxPayload(l.dev.mtu, l.remote) }
