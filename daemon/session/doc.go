// Package session is conntrackd's protocol v1, mode FTFW, as behaviour; it knows no socket and no clock.
//
// FTFW makes two UDP directions reliable without order: each message has a number, the receiver acknowledges ranges of
// numbers and asks for ranges it missed, and what was lost is sent again under a new number, with the content it has
// by then. package wire has the bytes.
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
// The caller keeps a list of dirty flows. SendFlow takes one off it, Lost puts it back unless it was sent again under
// a later number, Acked says that the peer has it. So a flow that changes ten times while the window is closed is sent
// once, and no queue can overflow.
//
// # Sending
//
//	            SendFlow              Acked
//	dirty ────────────────► in flight ──────► known to the peer
//	  ▲                         │
//	  └───────── Lost ──────────┘   asked for (NACK), passed over, or the peer restarted
//
// A state message in flight is a number and the caller's Ref; see ring. ACK, NACK and RESYNC are numbered and kept like
// state, and the session itself sends them again. ALIVE is not kept.
//
// "Passed over" means: three seconds old while a later number was acknowledged. Ranges are disjoint, so without this
// rule a number could stay between two of them for good.
//
// How much may be in flight is the window's business: enough for a peer that acknowledges rarely, little enough for
// its socket buffer.
//
// # Receiving
//
// A message is, by its number (see tracker):
//
//	next      taken in
//	later     taken in; the range before the gap is acknowledged, the gap is asked for, once
//	earlier   dropped: it came twice, or too late and was asked for
//	new life  taken in; everything that was said before is forgotten
//
// Each message is parsed before anything moves. One that cannot be read counts as missing and is asked for, a few
// times; then it is given up. A NACK that gets lost shows as a gap on the other side and is repaired by the same
// rule, and so is a retransmission.
//
// An ACK leaves after AckWindow messages, 50 ms after the last message that matters (state, RESYNC, NACK), at the
// latest 200 ms after the first, and a second after messages that do not matter. Something leaves every second, ALIVE
// when there is nothing else, so that a lost last message is noticed.
//
// # Handshake
//
//	start ──► HELLO on every message ──HELLO_BACK heard──► established, HELLO never again
//
// A HELLO from the peer is answered with HELLO_BACK at once. State and RESYNC wait until the session is established
// and the peer has stopped saying HELLO: conntrackd lets gaps among HELLO messages pass, and a peer that has heard
// nothing yet takes any number for the first. Since nothing of importance is sent meanwhile, it does not matter that
// two restarts within one handshake look alike.
//
// One case the protocol cannot tell: a HELLO_BACK for our former life that arrives in this one, while our first HELLO
// is lost. It takes two starts within the time the peer needs to answer (a round trip; with conntrackd, a second).
//
// # Resync and bulk
//
// A RESYNC asks for the peer's whole table. There is no end mark in the protocol, but there is order: conntrackd puts
// the bulk into the queue in which its acknowledgement of the RESYNC follows. ctsync does the same on purpose: the
// numbers of a RESYNC and of a NACK are left out of acknowledgements until what they asked for has been sent. So, at
// the asking side, "RESYNC acknowledged and no NACK of ours outstanding" means that everything has arrived, and
// BulkReceived is called. What the peer has not mentioned since ResyncSent, it does not have; what it mentioned between
// RequestResync and ResyncSent may be gone, for a conntrackd in the handshake forgets what it keeps for us.
//
//	RequestResync ─► wanted ──handshake complete──► asked ──acknowledged──► gaps open? ──none──► BulkReceived
//	                   ▲                              │
//	                   └── lost, or the peer restarted┘
package session
