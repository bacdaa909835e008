// Package transport carries datagrams of the conntrackd protocol between the two routers of a pair over one dedicated
// link.
//
// A Link speaks UDP to a multicast group (225.0.0.50 port 3780 unless told otherwise) or to one peer, over IPv4 or
// IPv6, and is compatible with conntrackd 1.4.7: it sends from an ephemeral port to the port on which both ends listen,
// multicast with a TTL or hop limit of 1 and without loop-back. It knows nothing of what the datagrams mean.
//
// The protocol has neither authentication nor a notion of who is talking, so the link decides who may: a datagram is
// delivered only if it arrived on the configured interface, and came from the configured peer (unicast) or from an
// address that is on that interface's link (multicast). Everything else is dropped and counted by kind, but for multicast
// of other interfaces, which the kernel keeps from the socket: it may belong to another link of the pair.
//
// Runs of equal-sized datagrams leave through one sendmsg with UDP_SEGMENT, and arrive through recvmmsg with UDP_GRO;
// both are noticed to be missing and done without. Neither Send nor Read allocates.
//
//	loss on the way out   Stats.SendErrors and its kinds; never fatal, the session repairs it
//	loss on the way in    Stats.KernelDrops: the socket buffer was full
//	interface re-created  Valid returns an error: Close the link and Open it again
package transport
