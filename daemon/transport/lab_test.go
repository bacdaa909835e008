package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// lab is two routers, a and b, joined by interfaces that are called sync0 at both ends.
type lab struct{ a, b *nstest.NS }

func newLab(t testing.TB) lab {
	t.Helper()
	l := lab{nstest.New(t), nstest.New(t)}
	for _, ns := range []*nstest.NS{l.a, l.b} {
		ns.Sysctl(t, "net.ipv6.conf.default.addr_gen_mode", "1") // the only link-local address is ours
	}
	nstest.Veth(t, l.a, "sync0", []string{"10.1.0.1/24", "2001:db8::1/64", "fe80::1/64"},
		l.b, "sync0", []string{"10.1.0.2/24", "2001:db8::2/64", "fe80::2/64"})
	l.carrier(t)
	return l
}

// carrier waits until both ends run: what is sent before is lost.
func (l lab) carrier(t testing.TB) {
	t.Helper()
	l.carrierOn(t, "sync0")
}

func (l lab) carrierOn(t testing.TB, dev string) {
	t.Helper()
	for _, ns := range []*nstest.NS{l.a, l.b} {
		nstest.Eventually(t, patience, func() bool {
			return strings.Contains(ns.Run(t, "ip", "link", "show", dev), "LOWER_UP")
		}, func() string { return "no carrier" })
	}
}

func (l lab) setMTU(t testing.TB, mtu string) {
	t.Helper()
	l.a.Run(t, "ip", "link", "set", "sync0", "mtu", mtu)
	l.b.Run(t, "ip", "link", "set", "sync0", "mtu", mtu)
}

// openIn opens a link inside a namespace.
func openIn(ns *nstest.NS, cfg Config) (l *Link, err error) {
	if cfg.Interface == "" {
		cfg.Interface = "sync0"
	}
	ns.Do(func() { l, err = Open(cfg) })
	return l, err
}

func mustOpen(t testing.TB, ns *nstest.NS, cfg Config) *Link {
	t.Helper()
	l, err := openIn(ns, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// received is what came in over a link.
type received struct {
	mu        sync.Mutex
	sources   []netip.AddrPort
	datagrams []string
	refused   []string // "source datagram"
	inRuns    int      // datagrams that arrived together with others by UDP_GRO
}

// await waits a moment for datagrams. It reports false when the link is closed.
func await(l *Link) bool {
	fd := l.FD()
	if fd < 0 {
		return false
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	unix.Poll(poll, 20) // a vain wait is seen in what is read
	return true
}

// readSome reads what comes next.
func readSome(t testing.TB, l *Link, b *Batch) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; {
		if _, err := l.Read(b); err != nil {
			t.Fatal(err)
		}
		if b.n > 0 {
			return
		}
		await(l)
	}
	t.Fatal("nothing arrives")
}

// collect reads from a link until the end of the test.
func collect(t testing.TB, l *Link) *received {
	r := &received{}
	done := make(chan struct{})
	var stopped atomic.Bool
	go func() {
		defer close(done)
		var b Batch
		for await(l) {
			if _, err := l.Read(&b); errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				t.Errorf("read: %v", err)
				return
			}
			if stopped.Load() {
				return
			}
			r.mu.Lock()
			for _, a := range b.arrived[:b.n] {
				if a.segment > 0 {
					r.inRuns += (len(a.data) + a.segment - 1) / a.segment
				}
			}
			b.Each(func(src netip.AddrPort, d []byte) {
				r.sources = append(r.sources, src)
				r.datagrams = append(r.datagrams, string(d))
			})
			b.Refused(func(src netip.Addr, _ Refusal, d []byte) { r.refused = append(r.refused, src.String()+" "+string(d)) })
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		stopped.Store(true)
		<-done
	})
	return r
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.datagrams)
}

func (r *received) coalesced() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inRuns
}

// all returns the datagrams so far and where each came from.
func (r *received) all() ([]string, []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.datagrams), slices.Clone(r.sources)
}

func (r *received) has(datagram string) bool {
	texts, _ := r.all()
	return slices.Contains(texts, datagram)
}

// wait waits for n datagrams and returns all.
func (r *received) wait(t testing.TB, n int) ([]string, []netip.AddrPort) {
	t.Helper()
	nstest.Eventually(t, patience, func() bool { return r.count() >= n },
		func() string { return fmt.Sprintf("%d of %d datagrams", r.count(), n) })
	return r.all()
}

// sendText sends each string as one datagram.
func sendText(t testing.TB, l *Link, texts ...string) {
	t.Helper()
	var ends []int
	n := 0
	for _, s := range texts {
		n += len(s)
		ends = append(ends, n)
	}
	if err := l.Send([]byte(strings.Join(texts, "")), ends); err != nil {
		t.Fatal(err)
	}
}

// stranger sends one datagram by an ordinary socket of Go, from the given local address.
func stranger(t testing.TB, ns *nstest.NS, from, to, text string) {
	t.Helper()
	var err error
	ns.Do(func() {
		local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr(from), 0))
		var c *net.UDPConn
		if c, err = net.DialUDP("udp", local, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
			return
		}
		defer c.Close()
		_, err = c.Write([]byte(text))
	})
	if err != nil {
		t.Fatalf("send from %s to %s: %v", from, to, err)
	}
}

// sendLooped sends one multicast datagram by an interface and leaves the kernel's loop-back on.
func sendLooped(t testing.TB, ns *nstest.NS, dev, group, text string) {
	t.Helper()
	var err error
	ns.Do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		var d device
		if d, err = readDevice(fd, dev); err != nil {
			return
		}
		by := unix.IPMreqn{Ifindex: int32(d.index)}
		if err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &by); err != nil {
			return
		}
		err = unix.Sendto(fd, []byte(text), 0, &unix.SockaddrInet4{Port: DefaultPort, Addr: addr(group).As4()})
	})
	if err != nil {
		t.Fatalf("send to %s by %s: %v", group, dev, err)
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
