// Package wire is conntrackd's synchronisation protocol, version 1, as bytes, and what it cannot carry (see Lack). It
// knows no socket, no clock and no sequence state.
//
// The format is that of conntrackd 1.4.7 to 1.4.9. Unless said otherwise every number is big-endian. All tables give
// offset, size and meaning.
//
// # Message
//
// A datagram is a row of messages without an outer header. Each message starts with
//
//	0  1  version (high nibble, 1) and type (low nibble)
//	1  1  flags
//	2  2  length of the whole message, this header included
//	4  4  sequence number
//
// and a control message with ACK, NACK or RESYNC continues with
//
//	8  4  first sequence number of a closed range
//	12 4  last sequence number of that range; both 0 in a RESYNC
//
// Types: 0 CT_NEW, 1 CT_UPD, 2 CT_DEL, 3 EXP_NEW, 4 EXP_UPD, 5 EXP_DEL, 10 CTL. Flags: 0x02 RESYNC, 0x04 NACK, 0x08
// ACK, 0x10 ALIVE, 0x20 HELLO, 0x40 HELLO_BACK. The flags 0x01 and 0x80 have no meaning and make a message malformed. A
// message of type 0 to 5 carries at most HELLO and HELLO_BACK; the other flags belong to type 10.
//
// # Attribute
//
// The body of a message of type 0 to 5 is a row of attributes, each padded with zeros to a multiple of 4:
//
//	0  2  4 + length of the payload, without the padding
//	2  2  attribute id
//	4  n  payload
//
// Reading ends when 4 or fewer bytes are left, so an empty attribute at the very end is not seen, and the last padding
// may be missing. The order does not matter, and the last of several attributes with one id wins.
//
// # Attributes of a flow (types 0, 1 and 2)
//
// In the order in which AppendFlow writes them; "original" and "reply" are the directions of the flow.
//
//	id size name
//	 0    8 IPV4             original source, destination
//	 1   32 IPV6             original source, destination
//	 5    4 STATUS           IPS_* bits
//	 2    1 L4PROTO          IP protocol number
//	 3    4 PORT             original source, destination port; TCP, UDP, DCCP and SCTP only
//	 4    1 TCP_STATE        enum tcp_conntrack
//	25    1 TCP_WSCALE_ORIG  window scale, original direction
//	26    1 TCP_WSCALE_REPL  window scale, reply direction
//	17    1 SCTP_STATE       enum sctp_conntrack
//	18    4 SCTP_VTAG_ORIG   verification tag, original direction
//	19    4 SCTP_VTAG_REPL   verification tag, reply direction
//	20    1 DCCP_STATE       enum ct_dccp_states
//	21    1 DCCP_ROLE        0 client, 1 server
//	22    1 ICMP_TYPE        of the original direction
//	23    1 ICMP_CODE
//	24    2 ICMP_ID          little-endian
//	 6    4 TIMEOUT          seconds left
//	 7    4 MARK
//	 8    8 MASTER_IPV4      original tuple of the master: source, destination
//	 9   32 MASTER_IPV6
//	10    1 MASTER_L4PROTO
//	11    4 MASTER_PORT
//	12    4 SNAT_IPV4        reply destination, where it is not the original source
//	29   16 SNAT_IPV6
//	13    4 DNAT_IPV4        reply source, where it is not the original destination
//	30   16 DNAT_IPV6
//	14    2 SPAT_PORT        little-endian; reply destination port, where it is not the original source port
//	15    2 DPAT_PORT        little-endian; reply source port, where it is not the original destination port
//	16   24 NAT_SEQ_ADJ      original: correction position, offset before, offset after; then the same of the reply
//	27 1-12 HELPER_NAME      with its NUL
//	28   4n LABELS           n words, label b is bit b%32 of word b/32; a kernel has 4 words
//	31   12 SYNPROXY         its, isn, tsoff, in this order
//	32    2 ZONE             of both directions
//
// The three little-endian attributes are so because conntrackd swaps values that are in network order already; on a
// big-endian sender they would be big-endian. No such sender is known, so this package reads and writes little-endian.
//
// An ICMP flow that passed a NAT hook carries SPAT_PORT 0 and DPAT_PORT 0: conntrackd compares the id of one direction
// with the type and code of the other, which share memory with ports. It ignores both attributes of an ICMP flow when
// it reads, so translated ids are lost between two conntrackd. AppendFlow writes the zeros as conntrackd does, and a
// translated id as SPAT_PORT; ParseFlow takes any SPAT_PORT but 0 for one. An id that was translated to 0 is lost here
// too.
//
// The reply tuple itself, counters, times, ids, GRE keys, UDP-Lite ports and zones of one direction never travel.
//
// # Attributes of an expectation (types 3, 4 and 5)
//
// Ids of their own, in the order in which AppendExpectation writes them. Addresses are source then destination, and
// all four PORT attributes depend on the protocol of the master.
//
//	id size name
//	 0    8 MASTER_IPV4       1 32 MASTER_IPV6       2 1 MASTER_L4PROTO      3 4 MASTER_PORT
//	 4    8 EXPECT_IPV4       5 32 EXPECT_IPV6       6 1 EXPECT_L4PROTO      7 4 EXPECT_PORT
//	 8    8 MASK_IPV4         9 32 MASK_IPV6        10 1 MASK_L4PROTO       11 4 MASK_PORT
//	12    4 TIMEOUT           seconds
//	13    4 FLAGS             NF_CT_EXPECT_*: 1 permanent, 2 inactive, 4 userspace
//	14    4 CLASS
//	15    8 NAT_IPV4          none exists for IPv6
//	17    1 NAT_L4PROTO
//	16    4 NAT_PORT
//	18    4 NAT_DIR           0 original, 1 reply
//	19 1-12 HELPER_NAME       with its NUL
//	20 1-28 FN                name of the expect function, with its NUL
package wire
