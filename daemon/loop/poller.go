package loop

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poller lets the loop sleep until a descriptor is readable, a moment has come, or somebody rings.
//
// It sleeps in Go's netpoller, but on an epoll instance of its own behind it. A descriptor registered with the
// netpoller itself would wake a thread for every event that arrives, even while the loop lets events gather. Here each
// descriptor is disarmed when it has been reported (EPOLLONESHOT) and stays silent until the loop arms it again. A
// blocking system call would keep a P busy, and while one is busy the runtime's monitor thread wakes up every 20 µs to
// look at it: measured at 20 000 events/s that was 40 % of the daemon's CPU time. For the same reason the loop's own
// system calls, which never block, are raw ones, and the timer is the kernel's: the runtime's would wake that thread as
// well.
type Poller struct {
	epoll int
	file  *os.File // of epoll
	conn  syscall.RawConn
	bell  int         // eventfd
	awake atomic.Bool // the loop looks by itself, nobody need ring
	timer int         // timerfd
	until time.Time   // what timer is set to

	ringing sync.Mutex // held while the bell is rung, so that it is not closed meanwhile
	closed  bool

	n       int           // of ready
	failed  syscall.Errno // why fetch got no answer, 0 = it got one
	ready   [8]unix.EpollEvent
	collect func(fd uintptr) bool // fetch, bound once
}

// Tokens of the poller's own descriptors. Callers choose theirs from 0 up.
const (
	bellToken  = -1
	timerToken = -2
)

// NewPoller opens the descriptors of a poller; Close closes them.
func NewPoller() (*Poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or os.NewFile would keep it from the netpoller
		unix.Close(epoll)
		return nil, fmt.Errorf("make epoll instance non-blocking: %w", err)
	}
	p := &Poller{epoll: epoll, bell: -1, timer: -1, file: os.NewFile(uintptr(epoll), "epoll")}
	p.collect = p.fetch
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.Close()
		return nil, fmt.Errorf("use epoll instance: %w", err)
	}
	if p.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.Close()
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		p.Close()
		return nil, fmt.Errorf("make timer: %w", err)
	}
	// Edge-triggered, so each ring and each expiry is reported once and nobody need read it.
	for token, fd := range map[int32]int{bellToken: p.bell, timerToken: p.timer} {
		if err := p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET, token); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Close closes the poller. A Ring that comes later does nothing. It may be called twice.
func (p *Poller) Close() {
	p.ringing.Lock()
	defer p.ringing.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.file.Close()
	for _, fd := range []int{p.bell, p.timer} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (p *Poller) control(op, fd int, events uint32, token int32) error {
	if err := unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: token}); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// Add watches fd: Wait reports its token once, as soon as fd is readable. Closing fd ends that.
func (p *Poller) Add(fd int, token int32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, token)
}

// Arm lets fd be reported once more.
func (p *Poller) Arm(fd int, token int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: token}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), unix.EPOLL_CTL_MOD, uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("watch descriptor: %w", errno)
	}
	return nil
}

// Ring wakes the loop. Any goroutine may call it; what the loop is to see must be in place before.
func (p *Poller) Ring() {
	if p.awake.Swap(true) {
		return // it is awake, or somebody else rang
	}
	p.ringing.Lock()
	defer p.ringing.Unlock()
	if p.closed {
		return // the number may belong to somebody else's descriptor by now
	}
	one := uint64(1)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(p.bell), uintptr(unsafe.Pointer(&one)), 8)
}

// Listen must be called before the loop looks for the last time before it waits: what comes after that look rings.
func (p *Poller) Listen() { p.awake.Store(false) }

// Wait sleeps for at most d, until a descriptor is readable or somebody rings. It returns the tokens that were
// reported, as Fd of each event, negative ones being the poller's own. The slice is valid until the next call.
func (p *Poller) Wait(d time.Duration) ([]unix.EpollEvent, error) {
	defer p.awake.Store(true)
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
func (p *Poller) reported() ([]unix.EpollEvent, error) {
	if p.failed != 0 {
		return nil, fmt.Errorf("wait for events: %w", p.failed)
	}
	return p.ready[:p.n], nil
}

func (p *Poller) setTimer(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(p.timer), 0,
		uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set timer: %w", errno)
	}
	return nil
}

// fetch asks, without waiting, what is readable.
func (p *Poller) fetch(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd,
		uintptr(unsafe.Pointer(&p.ready[0])), uintptr(len(p.ready)), 0, 0, 0)
	if errno == unix.EINTR {
		return false // the netpoller asks again
	}
	if p.failed = errno; errno != 0 {
		return true
	}
	p.n = int(n)
	return n > 0
}
