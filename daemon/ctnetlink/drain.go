package ctnetlink

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// fill drains the socket into l.in as far as that has room, and returns how many datagrams there were.
func (l *Listener) fill() (n int, err error) {
	for {
		n, err = l.in.receive(l.fd, len(l.in.hdrs))
		if !errors.Is(err, unix.ENOBUFS) {
			break
		}
		l.overrun()
	}
	l.n, l.next = n, 0
	l.since += n
	if err != nil {
		return 0, fmt.Errorf("receive conntrack events: %w", err)
	}
	if l.dropping && n < len(l.in.hdrs) {
		l.dropping, l.lost = false, true
	}
	return n, nil
}

// takeLost returns whether an overrun is to be reported, once.
func (l *Listener) takeLost() bool {
	lost := l.lost
	l.lost = false
	return lost
}

// overrun notes that events were lost and doubles the buffer, up to its limit. Events that still wait are older than
// the loss, and the kernel goes on dropping, without another ENOBUFS, until the last of them has been read
// (net/netlink/af_netlink.c, NETLINK_S_CONGESTED). Only then is the loss over, and Read reports it.
func (l *Listener) overrun() {
	l.dropping = true
	l.overruns.Add(1)
	l.bufferMu.Lock()
	defer l.bufferMu.Unlock()
	size, most := int(l.bytes.Load()), int(l.maxBuffer.Load())
	if size >= most {
		return
	}
	if l.resize(min(2*size, most)) == nil { // else it stays as it is, and Overruns goes on counting
		l.grown.Add(1)
	}
}

// decode moves events from the drained datagrams to b, until one of them is exhausted.
func (l *Listener) decode(b *Block) {
	for b.N < BlockSize {
		if len(l.rest) == 0 {
			if l.next >= l.n {
				return
			}
			datagram, whole := l.in.datagram(l.next)
			l.next++
			if !whole {
				l.malformed.Add(1)
				continue
			}
			l.rest = datagram
		}
		h, msg, rest, ok := nextMessage(l.rest)
		if ok && h.Type>>8 == subsysExpect && b.NExpect == len(b.Expect) {
			return // for the next block
		}
		l.rest = rest
		if !ok {
			l.malformed.Add(1)
			continue
		}
		l.decodeEvent(h, msg, b)
	}
}

func (l *Listener) decodeEvent(h header, msg []byte, b *Block) {
	kind, ok := eventKind(h)
	if !ok {
		l.unknown.Add(1)
		return
	}
	var err error
	switch kind {
	case EventExpectNew, EventExpectDestroy:
		if err = DecodeExpectation(msg, &b.Expect[b.NExpect]); err == nil {
			b.NExpect++
		}
	default:
		err = DecodeFlow(msg, &b.Flow[b.N])
	}
	if err != nil {
		l.malformed.Add(1)
		return
	}
	b.Kind[b.N] = kind
	b.N++
}

func eventKind(h header) (k Kind, ok bool) {
	switch h.Type {
	case subsysCtnetlink<<8 | msgCtNew:
		if h.Flags&unix.NLM_F_CREATE != 0 {
			return EventNew, true
		}
		return EventUpdate, true
	case subsysCtnetlink<<8 | msgCtDelete:
		return EventDestroy, true
	case subsysExpect<<8 | msgExpectNew:
		return EventExpectNew, true
	case subsysExpect<<8 | msgExpectDelete:
		return EventExpectDestroy, true
	}
	return 0, false
}
