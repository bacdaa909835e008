package ctnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

const (
	batchSize     = 500     // messages per send: more is no faster
	connReceive   = 8 << 20 // bytes: room for the answers to a batch of Gets, far more than a batch of errors
	connSend      = 1 << 20 // bytes: a batch of the longest messages
	dumpReadSize  = 32 << 10
	dumpReadCount = 16
)

// Conn is a request socket. One goroutine at a time may use it. The kernel carries out a request within the call that
// sends it, so nothing here waits: an answer is there when the call returns, or it was lost.
type Conn struct {
	fd      int
	portID  uint32
	seq     uint32
	liberal bool // see SetLiberal
	batch   int  // messages per send, at most batchSize
	out     []byte
	starts  []int // offset of each message in out
	in      *receiver
	flow    flow.Flow        // the record that Dump hands out
	expect  flow.Expectation // likewise of DumpExpectations
	cut     bool             // the caller stopped the dump under way
}

// Dial opens a request socket in the network namespace of the calling thread. It needs CAP_NET_ADMIN.
func Dial() (*Conn, error) {
	fd, portID, err := openRequests()
	if err != nil {
		return nil, err
	}
	return &Conn{
		fd:      fd,
		portID:  portID,
		liberal: true,
		batch:   batchSize,
		out:     make([]byte, 0, batchSize*maxMessage),
		starts:  make([]int, 0, batchSize),
		in:      newReceiver(dumpReadCount, dumpReadSize),
	}, nil
}

// openRequests opens a socket for requests.
func openRequests() (fd int, portID uint32, err error) {
	if fd, portID, err = open(0); err != nil {
		return -1, 0, err
	}
	// Without it the kernel puts the whole refused request into its answer.
	if err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil {
		err = fmt.Errorf("set NETLINK_CAP_ACK: %w", err)
	}
	if err == nil {
		_, err = forceBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, connSend)
	}
	if err == nil {
		_, err = forceBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, connReceive)
	}
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, portID, nil
}

// SetLiberal says whether Create and Update set the be-liberal flag on TCP flows; after Dial they do.
func (c *Conn) SetLiberal(on bool) { c.liberal = on }

// PortID returns the netlink address of the socket. The events that its requests cause carry it; see Listener.Ignore.
func (c *Conn) PortID() uint32 { return c.portID }

// Close closes the socket.
func (c *Conn) Close() error {
	if err := unix.Close(c.fd); err != nil {
		return fmt.Errorf("close netlink socket: %w", err)
	}
	return nil
}

// Get reads the entry whose tuple of direction dir (in the zone of key) is key into f. The error is unix.ENOENT when
// there is none.
func (c *Conn) Get(key *flow.Tuple, dir flow.Direction, f *flow.Flow) error {
	var decoded error
	err := c.ask(AppendGet(c.out[:0], key, dir), func(msg []byte) { decoded = DecodeFlow(msg, f) })
	if err == nil {
		err = decoded
	}
	if err != nil {
		*f = flow.Flow{}
		return fmt.Errorf("get flow: %w", err)
	}
	return nil
}

// errNoAnswer is the loss of the answer to a single request, which only a lack of kernel memory explains.
var errNoAnswer = fmt.Errorf("netlink answer lost: %w", unix.ENOBUFS)

// ask sends one request and hands the answer to got, unless it is an acknowledgement or a refusal.
func (c *Conn) ask(b []byte, got func(msg []byte)) error {
	c.starts = append(c.starts[:0], 0)
	if err := c.send(b); err != nil {
		return err
	}
	answered := false
	var refused unix.Errno
	lost, err := c.answers(1, func(_ int, h header, msg []byte) bool {
		answered = true
		if h.Type == unix.NLMSG_ERROR {
			refused = errno(msg)
		} else if got != nil {
			got(msg)
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case lost || !answered:
		return errNoAnswer
	case refused != 0:
		return refused
	}
	return nil
}

// send numbers the messages of b, which begin at c.starts, and sends them.
func (c *Conn) send(b []byte) error {
	for i, at := range c.starts {
		setSeq(b[at:], c.seq+1+uint32(i))
	}
	for {
		_, err := unix.Write(c.fd, b)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("send netlink requests: %w", err)
		}
	}
}

// answers reads what the kernel answered to the n requests just sent. each gets the index of the request, and ends the
// reading by returning true. lost reports that the kernel dropped answers. Answers to older requests are skipped.
func (c *Conn) answers(n int, each func(i int, h header, msg []byte) (last bool)) (lost bool, err error) {
	first := c.seq + 1
	c.seq += uint32(n)
	for last := false; !last; {
		got, err := c.in.receive(c.fd, len(c.in.hdrs))
		if errors.Is(err, unix.ENOBUFS) {
			lost = true
			continue
		}
		if err != nil {
			return lost, fmt.Errorf("receive netlink answers: %w", err)
		}
		if got == 0 {
			return lost, nil
		}
		for d := range got {
			b, whole := c.in.datagram(d)
			lost = lost || !whole
			for len(b) > 0 {
				h, msg, rest, ok := nextMessage(b)
				if !ok {
					lost = true
					break
				}
				b = rest
				if i := h.Seq - first; i < uint32(n) && each(int(i), h, msg) {
					last = true
				}
			}
		}
	}
	return lost, nil
}

// errno reads a struct nlmsgerr: 0 for an acknowledgement.
func errno(msg []byte) unix.Errno {
	if len(msg) < nlHeaderLen+4 {
		return unix.EBADMSG
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(msg[nlHeaderLen:])))
}
