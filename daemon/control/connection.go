package control

import (
	"context"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Connections that are open at a time. All of them, and what else the daemon opens, fit into 1024 descriptors.
var (
	connectionRoom = [ranks]int{reader: 256, actor: 128, owner: 128}
	connectionEach = [ranks]int{reader: 64, actor: 64, owner: 128}
)

// maxDoor bounds the connections beyond those, which only wait to be told that there is no place.
const maxDoor = 64

// door lets callers in. It never waits: whoever has no place is told so and leaves. So the kernel's backlog is empty,
// and those who have one get in.
type door struct {
	net.Listener
	server *Server
	places places
	queue  chan struct{} // one token for each that waits to be told
}

func newDoor(ln net.Listener, s *Server) *door {
	return &door{
		Listener: ln, server: s, queue: make(chan struct{}, maxDoor),
		places: places{what: "connections", room: connectionRoom, each: connectionEach},
	}
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c}
		g.caller, g.known = peerOf(c)
		u := d.server.actors.taker(&g.caller, g.known)
		if g.crowded = d.places.enter(u); g.crowded == nil {
			g.leave = sync.OnceFunc(func() { d.places.leave(u) })
			return g, nil
		}
		d.server.noPlace(&g.caller, g.crowded)
		select {
		case d.queue <- struct{}{}:
			g.leave = sync.OnceFunc(func() { <-d.queue })
			return g, nil
		default:
			c.Close()
		}
	}
}

// guest is a connection that has come in. It gives its place back when it is closed.
type guest struct {
	net.Conn
	caller  Caller
	known   bool   // who the caller is
	crowded *Error // why every request is refused; nil = it has a place
	leave   func()
}

func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}

// Caller is the process at the other end of a connection, as the kernel knew it when it connected (SO_PEERCRED,
// SO_PEERGROUPS).
type Caller struct {
	PID    int32
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary ones; nil where the kernel (before 4.13) does not say
}

type (
	callerKey  struct{}
	crowdedKey struct{}
)

// CallerFrom returns who made the request of ctx. ok is false where the kernel could not say.
func CallerFrom(ctx context.Context) (c Caller, ok bool) {
	c, ok = ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// withCaller is the ConnContext of the server.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	g, ok := c.(*guest)
	if !ok {
		return ctx
	}
	if g.crowded != nil {
		ctx = context.WithValue(ctx, crowdedKey{}, g.crowded)
	}
	if g.known {
		ctx = asCaller(ctx, g.caller)
	}
	return ctx
}

// crowded returns why the caller has no place, nil if he has one.
func crowded(ctx context.Context) *Error {
	e, _ := ctx.Value(crowdedKey{}).(*Error)
	return e
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
