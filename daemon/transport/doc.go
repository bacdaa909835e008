// Package transport carries datagrams to and from the peer by one link.
//
// A Link speaks UDP to a multicast group (by default 225.0.0.50, port 3780) or to one peer, over IPv4 or IPv6. It is
// compatible with conntrackd 1.4.7: it sends from an ephemeral port to the port on which both ends listen, multicast
// with a TTL or hop limit of 1 and without loop-back. It does not know what the datagrams mean.
//
// The protocol neither authenticates nor names the sender, so the link decides who may talk: it delivers a datagram
// only if it arrived on the configured interface, and came from the configured peer (unicast) or from an address that
// is on the link of that interface (multicast, unless Config.From names the peer). It counts everything else by reason,
// and hands it over apart (Batch.Refused), so that it can be said who speaks. It never sees multicast of other
// interfaces, which may belong to another link of the pair.
//
// Runs of datagrams of one size leave by one sendmsg with UDP_SEGMENT and arrive by recvmmsg with UDP_GRO. Where the
// kernel lacks them, datagrams go one by one. Neither Send nor Read allocates.
//
//	lost when sending      Stats.SendErrors and its kinds; never fatal, the session repairs it
//	lost when receiving    Stats.KernelDrops: the socket buffer was full
//	interface re-created   Valid returns an error: Close the link and Open it again
package transport
