package daemon

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller lets the core loop sleep until a descriptor is readable, a moment has come, or somebody rings.
//
// It sleeps in Go's netpoller, but on an epoll instance of its own behind it. A descriptor registered with the netpoller
// itself would wake a thread for every event that arrives, also while the loop lets events gather. Behind this one each
// descriptor is disarmed when it has been reported (EPOLLONESHOT) and stays silent until the loop arms it again. A
// system call that blocks instead keeps a P busy, and for as long as one is, the runtime's monitor thread wakes up every
// 20 µs to look at it: measured at 20 000 events/s that was 40 % of the daemon's CPU time. For the same reason the loop's
// own system calls, which never block, are raw ones, and it has a timer of the kernel's: for one of the runtime's, that
// thread would wake up as well.
type poller struct {
	epoll int
	file  *os.File // of epoll
	conn  syscall.RawConn
	bell  int         // eventfd
	deaf  atomic.Bool // the loop is awake and will look by itself
	timer int         // timerfd
	until time.Time   // what timer is set to

	n       int           // of ready
	failed  syscall.Errno // why fetch got no answer, 0 = it got one
	ready   [8]unix.EpollEvent
	collect func(fd uintptr) bool // fetch, bound once
}

// What the poller's own descriptors are reported by. Others choose theirs from 0 up.
const (
	bellToken  = -1
	timerToken = -2
)

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or os.NewFile would keep it from the netpoller
		unix.Close(epoll)
		return nil, fmt.Errorf("make epoll instance non-blocking: %w", err)
	}
	p := &poller{epoll: epoll, bell: -1, timer: -1, file: os.NewFile(uintptr(epoll), "epoll")}
	p.collect = p.fetch
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, fmt.Errorf("use epoll instance: %w", err)
	}
	if p.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.close()
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		p.close()
		return nil, fmt.Errorf("make timer: %w", err)
	}
	// Edge-triggered, so each ring and each expiry is reported once and nobody need read it.
	for token, fd := range map[int32]int{bellToken: p.bell, timerToken: p.timer} {
		if err := p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, token); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *poller) close() {
	p.file.Close()
	for _, fd := range []int{p.bell, p.timer} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (p *poller) control(op, fd int, events uint32, token int32) error {
	if err := unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: token}); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// add begins to watch fd, which is reported by token once, when it is or becomes readable. Closing it ends that.
func (p *poller) add(fd int, token int32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, token)
}

// arm lets fd be reported once more.
func (p *poller) arm(fd int, token int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: token}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), unix.EPOLL_CTL_MOD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("watch descriptor: %w", errno)
	}
	return nil
}

// ring wakes the loop. It may be called from any goroutine; what the loop shall see must be there before.
func (p *poller) ring() {
	if !p.deaf.Swap(true) {
		one := uint64(1)
		unix.RawSyscall(unix.SYS_WRITE, uintptr(p.bell), uintptr(unsafe.Pointer(&one)), 8)
	}
}

// listen must be called before the loop looks for the last time before it waits: what comes after that look rings.
func (p *poller) listen() { p.deaf.Store(false) }

// wait sleeps for at most d, until something is readable or somebody rings, and returns what was reported, which is good
// until the next call.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	defer p.deaf.Store(true)
	p.n = 0
	if d <= 0 {
		p.fetch(uintptr(p.epoll))
		return p.reported()
	}
	// A timer that ends earlier than asked for only costs a look; setting one costs more.
	now := time.Now()
	if until := now.Add(d); !p.until.After(now) || p.until.After(until) {
		if err := p.setTimer(d); err != nil {
			return nil, err
		}
		p.until = until
	}
	if err := p.conn.Read(p.collect); err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	return p.reported()
}

// reported returns what the last fetch found.
func (p *poller) reported() ([]unix.EpollEvent, error) {
	if p.failed != 0 {
		return nil, fmt.Errorf("wait for events: %w", p.failed)
	}
	return p.ready[:p.n], nil
}

func (p *poller) setTimer(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(p.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set timer: %w", errno)
	}
	return nil
}

// fetch asks, without waiting, what is readable.
func (p *poller) fetch(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&p.ready[0])), uintptr(len(p.ready)), 0, 0, 0)
	if errno == unix.EINTR {
		return false // the netpoller asks again
	}
	if p.failed = errno; errno != 0 {
		return true
	}
	p.n = int(n)
	return n > 0
}
