// Package session is conntrackd's protocol v1, mode FTFW, as behaviour; it knows no socket and no clock.
//
// FTFW makes two UDP directions reliable without order. Each message has a number. The receiver acknowledges ranges of
// numbers and asks for ranges that it missed. What was lost is sent again under a new number, with the content of that
// moment. Package wire has the bytes.
//
// # Use
//
// One goroutine owns an FTFW and calls, in each turn of its loop,
//
//	Receive  for each datagram that came
//	SendFlow while Room is not 0 and a flow is dirty
//	Finish, then Output to the link, then Reset
//	Tick, then Output and Reset again; the result is when the next turn is due
//
// The caller keeps a list of dirty flows. It takes one off and calls SendFlow. On Lost it puts the flow back, unless
// it was sent again under a later number. Acked says that the peer has it. So a flow that changes ten times while the
// window is closed is sent once, and no queue can overflow.
//
// Before the session gets the datagram of an unknown sender, Readable says whether it is of this protocol, and
// Continues whether it belongs to this conversation.
//
// # Sending
//
//	            SendFlow              Acked
//	dirty ────────────────► in flight ──────► known to the peer
//	  ▲                         │
//	  └───────── Lost ──────────┘   asked for (NACK), passed over, or the peer restarted
//
// Of a state message in flight the session keeps the number and the caller's Ref; see ring. ACK, NACK and RESYNC are
// numbered and kept likewise, and the session itself sends them again. ALIVE is not kept.
//
// A message is passed over when it is three seconds old and a later number was acknowledged. Ranges are disjoint, so
// without this rule a number could stay between two of them forever.
//
// The window bounds what is in flight: enough for a peer that acknowledges rarely, little enough for its socket buffer.
// It paces a bulk by what the peer acknowledges. Package path sets it, the size of datagrams, and when to send again.
//
// # The bound
//
// Whatever the peer asks for and whatever the path loses, this is the most that leaves:
//
//	what is new         each change of a flow once, and the table 8 times at once and then once in 10 s, when the peer
//	                    asks for it or restarts
//	what is sent again  4 messages for each that the peer acknowledges, which it does once for each that is new; 1024
//	                    in advance; and beyond that 16 messages (a datagram) in a round trip of at least 10 ms, or in
//	                    a second when nothing arrives
//	answers             4 acknowledgements and a request for each message of the peer, 16 bytes each; an unmet request
//	                    again after 0.25 s and then ever later, down to once in 2 s
//	signs of life       one a second, 5 while something is lost
//
// In bytes per second: 5 times what is new, plus 130 KB at worst. At 60 % loss in both directions it was 3 times.
//
// # Receiving
//
// The number of a message decides what becomes of it (see tracker):
//
//	next       taken in
//	later      taken in; the range before the gap is acknowledged, the gap is asked for, once
//	earlier    dropped: a duplicate, or too late and asked for already; with other content, proof of a second sender
//	restarted  the first of a peer that restarted: taken in; everything from before is forgotten
//
// The session parses each message before it changes anything. One that cannot be read counts as missing and is asked
// for a few times, then given up. A NACK that gets lost shows as a gap on the other side and is repaired by the same
// rule, and so is a retransmission.
//
// An ACK leaves after AckWindow messages; 50 ms after the last message that matters (state, RESYNC, NACK) but at the
// latest 200 ms after the first; and a second after messages that do not matter. Something leaves every second, ALIVE
// when there is nothing else, so that the peer notices the loss of the last message.
//
// # Handshake
//
//	start ──► HELLO on every message ──HELLO_BACK heard──► established, HELLO never again
//
// The session answers a HELLO of the peer with HELLO_BACK at once. State and RESYNC wait until the session is
// established and the peer has stopped sending HELLO: conntrackd ignores gaps among HELLO messages, and a peer that
// has heard nothing yet takes any number for the first. Since nothing that matters is sent meanwhile, it does no harm
// that two restarts within one handshake look like one.
//
// There is one case that the protocol cannot detect: we restart, our first HELLO is lost, and a HELLO_BACK that
// answers us from before the restart arrives. It takes two starts within the time that the peer needs to answer (a
// round trip; with conntrackd, a second).
//
// # Resync and bulk
//
// A RESYNC asks for the peer's whole table. The protocol has no mark for the end of the answer, but it has an order:
// conntrackd queues its acknowledgement of the RESYNC behind the bulk. ctsync does the same on purpose: it leaves the
// numbers of a RESYNC and of a NACK out of its acknowledgements until it has sent what they ask for. So, for the side
// that asks, everything has arrived when its RESYNC is acknowledged and none of its NACKs is outstanding; BulkReceived
// is called then. What the peer has not mentioned since ResyncSent, it does not have. What it mentioned between
// RequestResync and ResyncSent may be gone, because a conntrackd in the handshake forgets what it keeps for us.
//
//	RequestResync ─► wanted ──handshake complete──► asked ──acknowledged──► gaps open? ──none──► BulkReceived
//	                   ▲                              │
//	                   └── lost, or the peer restarted┘
package session
