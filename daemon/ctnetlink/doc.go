// Package ctnetlink is the only code that speaks ctnetlink: it listens to events, dumps, looks up, creates, updates and
// deletes flows and expectations.
//
// It works on raw NETLINK_NETFILTER sockets. A Listener receives events, a Conn makes requests, and both use a pure
// codec (DecodeFlow, AppendCreate, AppendUpdate, AppendDelete, AppendGet, and the same for expectations). Nothing
// allocates per event, dumped record or request.
//
// A Listener drops in the kernel, by classic BPF, the events that the daemon's own requests raise and those of flows
// that a flow.Filter does not let pass; see filter_program.go.
//
// # Messages
//
//	offset  bytes  field                                    order
//	0       4      nlmsg_len, this header included          host
//	4       2      nlmsg_type = 1 << 8 | message            host
//	6       2      nlmsg_flags                              host
//	8       4      nlmsg_seq                                host
//	12      4      nlmsg_pid: asking socket, 0 = kernel     host
//	16      1      nfgen_family: AF_INET 2, AF_INET6 10
//	17      1      version, 0
//	18      2      res_id: the CPU of per-CPU statistics    network
//	20      ...    attributes
//
// Message 0 (IPCTNL_MSG_CT_NEW) is an entry: as an event it is NEW with NLM_F_CREATE and UPDATE without. Message 1 is
// GET, 2 is DELETE, and the DESTROY event.
//
// # Attributes
//
// An attribute is a length (2 bytes, host order, with these 4 and without padding), a type (2 bytes, host order, bit 15
// = nested) and a payload padded to a multiple of 4. Numbers in payloads are in network byte order. "Sent" says which
// requests carry it: C create, U update, D delete, G get.
//
//	type name             payload                                    field of flow.Flow            sent
//	1    TUPLE_ORIG       tuple                                      Orig                          CUDG
//	2    TUPLE_REPLY      tuple                                      Reply                         CG (C: the inverse)
//	3    STATUS           u32, IPS_*                                 Status                        CU
//	4    PROTOINFO        nested: 1 TCP, 2 DCCP, 3 SCTP              see below                     CU
//	5    HELP             nested: 1 name with NUL, 2 private         Helper                        C
//	6    NAT_SRC          range                                      Reply.Dst, its port or id     C
//	7    TIMEOUT          u32, seconds                               Timeout                       CU
//	8    MARK             u32                                        Mark                          CU
//	9,10 COUNTERS_*       nested: 1 packets u64, 2 bytes u64         Packets, Bytes
//	11   USE              u32                                        Use
//	12   ID               u32                                        ID                            D
//	13   NAT_DST          range                                      Reply.Src, its port           C
//	14   TUPLE_MASTER     tuple                                      Master                        C
//	15,  SEQ_ADJ_*        nested: 1 position, 2 offset before,       SeqAdj                        CU
//	16                    3 offset after, u32 each
//	18   ZONE             u16                                        Orig.Zone and Reply.Zone      CUDG
//	20   TIMESTAMP        nested: 1 start, 2 stop, u64 ns            Start, Stop
//	22   LABELS           16 bytes                                   Labels                        CU
//	24   SYNPROXY         nested: 1 isn, 2 its, 3 tsoff, u32 each    Synproxy                      CU
//
//	tuple: 1 IP        nested: 1 v4 source, 2 v4 destination (4 bytes each), 3 v6 source, 4 v6 destination (16 each)
//	       2 PROTO     nested: 1 number u8, 2 source port u16, 3 destination port u16 (GRE: keys),
//	                   4 ICMP id u16, 5 type u8, 6 code u8, 7 ICMPv6 id, 8 type, 9 code; others: the number alone
//	       3 ZONE      u16, a zone for this direction only
//	range: 1 V4_MINIP  4 bytes, 4 V6_MINIP 16 bytes, 3 PROTO nested: 1 PORT_MIN u16; maxima left out equal the minima
//	TCP:   1 state u8, 2 window scale orig u8, 3 reply u8, 4 flags orig (u8 flags, u8 mask), 5 flags reply
//	DCCP:  1 state u8, 2 role u8
//	SCTP:  1 state u8, 2 verification tag orig u32, 3 reply u32
//
// Expectations are messages of subsystem 2 with the same numbers: 0 NEW, 1 GET, 2 DELETE.
//
//	type name             payload                                    field of flow.Expectation     sent
//	1    MASTER           tuple                                      Master                        CU
//	2    TUPLE            tuple                                      Expect                        CUDG
//	3    MASK             tuple                                      Mask                          CU
//	4    TIMEOUT          u32, seconds                               Timeout                       CU (C ignores it)
//	5    ID               u32                                        ID                            D
//	6    HELP_NAME        name with NUL, of the master's helper      Helper                        C, see namesHelper
//	7    ZONE             u16, never sent by the kernel (6.18)       Expect.Zone                   CUDG
//	8    FLAGS            u32, NF_CT_EXPECT_*                        Flags                         C
//	9    CLASS            u32                                        Class                         C
//	10   NAT              nested: 1 direction u32, 2 tuple           NATDir, NAT                   C
//	11   FN               name with NUL                              Fn                            C
//
// Sources: include/uapi/linux/netfilter/nfnetlink_conntrack.h and net/netfilter/nf_conntrack_netlink.c of Linux.
package ctnetlink
