package control

import (
	"context"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// limited is a listener with at most cap(open) connections. More of them wait in the kernel's backlog.
type limited struct {
	net.Listener
	open chan struct{}
	done chan struct{} // closed by Close, so that an Accept which waits for its turn ends
	once sync.Once
}

func limit(ln net.Listener, n int) net.Listener {
	return &limited{Listener: ln, open: make(chan struct{}, n), done: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.open })}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// Caller is the process at the other end of a connection, as the kernel knew it when it connected (SO_PEERCRED,
// SO_PEERGROUPS).
type Caller struct {
	PID    int32
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary ones; nil where the kernel (before 4.13) does not say
}

type callerKey struct{}

// CallerFrom returns who made the request of ctx. ok is false where the kernel could not say.
func CallerFrom(ctx context.Context) (c Caller, ok bool) {
	c, ok = ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// withCaller is the ConnContext of the server.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if l, ok := c.(*limitedConn); ok {
		c = l.Conn
	}
	who, ok := peerOf(c)
	if !ok {
		return ctx
	}
	return asCaller(ctx, who)
}

func asCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// peerOf returns the process at the other end of c: the one that connected or, on a connection of ours, that listens.
func peerOf(c net.Conn) (Caller, bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Caller{}, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Caller{}, false
	}
	var cred *unix.Ucred
	var credErr error
	var groups []uint32
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		groups = peerGroups(fd)
	}); err != nil || credErr != nil {
		return Caller{}, false
	}
	return Caller{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid, Groups: groups}, true
}

// peerGroups returns the supplementary groups of the process that connected to fd (SO_PEERGROUPS, unix(7)), nil where
// the kernel does not say. There are at most NGROUPS_MAX, 65536; mostly a few.
func peerGroups(fd uintptr) []uint32 {
	groups := make([]uint32, 64)
	for {
		size := uint32(4 * len(groups)) // socklen_t
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4]
		case errno == unix.ERANGE && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil
		}
	}
}
