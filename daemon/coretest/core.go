// Package coretest has two cores joined by memory, and a kernel that is a map, for the tests of core and of what works
// on it.
package coretest

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"ctsync/daemon/config"
	"ctsync/daemon/core"
	"ctsync/daemon/link"
	"ctsync/daemon/loop"
	"ctsync/daemon/transport"
)

// The addresses of the two cores of a pair.
var (
	AddrA = netip.MustParseAddr("10.0.0.1")
	AddrB = netip.MustParseAddr("10.0.0.2")
)

// Link is a link that keeps what is sent until the test delivers it. The zero value is ready for use.
type Link struct {
	Buf  []byte
	Ends []int // of each datagram in Buf

	Address netip.Addr // ours
	Size    int        // bytes of a datagram; 0 = 1468
}

// Send implements link.Link.
func (l *Link) Send(buf []byte, ends []int) error {
	base := len(l.Buf)
	l.Buf = append(l.Buf, buf[:ends[len(ends)-1]]...)
	for _, e := range ends {
		l.Ends = append(l.Ends, base+e)
	}
	return nil
}

// MaxPayload implements link.Link.
func (l *Link) MaxPayload() int {
	if l.Size == 0 {
		return 1468
	}
	return l.Size
}

// The rest of link.Link: a link that is always up and from which nothing can be read.
func (l *Link) FD() int                             { return -1 }
func (l *Link) Read(*transport.Batch) (bool, error) { return false, io.EOF }
func (l *Link) Local() netip.Addr                   { return l.Address }
func (l *Link) Alternatives() []netip.Addr          { return nil }
func (l *Link) Stats() transport.Stats              { return transport.Stats{} }
func (l *Link) Up() (bool, string)                  { return true, "RUNNING" }
func (l *Link) Valid() error                        { return nil }
func (l *Link) Close() error                        { return nil }

// Each calls fn for every datagram that was sent, in order, and forgets them.
func (l *Link) Each(fn func(datagram []byte)) {
	at := 0
	for _, e := range l.Ends {
		fn(l.Buf[at:e])
		at = e
	}
	l.Drop()
}

// Drop forgets what was sent.
func (l *Link) Drop() { l.Buf, l.Ends = l.Buf[:0], l.Ends[:0] }

// Options are those of a core with the default configuration and one multicast link, without kernel, inbox and log.
func Options() core.Options {
	cfg := config.Default()
	cfg.Interfaces = []config.Interface{{Name: "sync0", Port: config.DefaultPort}}
	start := time.Now()
	return core.Options{
		Config: cfg, FlowLimit: 1 << 20, ExpectLimit: 1 << 10, Log: slog.New(slog.DiscardHandler),
		Now: func() int64 { return int64(time.Since(start)) }, Wall: time.Now,
	}
}

// New returns a core without its links.
func New(change ...func(*core.Options)) *core.Core {
	o := Options()
	for _, f := range change {
		f(&o)
	}
	return core.New(o)
}

// Open gives a core its links: the configurations and what carries their datagrams.
func Open(c *core.Core, cfgs []transport.Config, links ...*Link) {
	channels := make([]*link.Channel, len(cfgs))
	for i := range channels {
		channels[i] = link.NewChannel()
	}
	c.ChangeLinks(func(s *link.Set, now int64) {
		s.Follow(channels, cfgs, now)
		for i, l := range links {
			s.Opened(channels[i], l, make(chan error, 1), now)
		}
	})
}

// NewOpen returns a core whose one link, "sync0", is memory.
func NewOpen(change ...func(*core.Options)) (*core.Core, *Link) {
	c, l := New(change...), &Link{}
	Open(c, link.Configs(c.Config), l)
	return c, l
}

// Inbox gives a core an inbox, for New. Run runs its loop.
func Inbox(t testing.TB) func(*core.Options) {
	t.Helper()
	in, err := loop.NewInbox[*core.Core]()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return func(o *core.Options) { o.Inbox = in }
}

// Serve takes the calls of others for a core whose loop does not run, until the test ends. around, which may be nil, is
// called with each run of the calls that wait, on one thread.
func Serve(t testing.TB, c *core.Core, in *loop.Inbox[*core.Core], around func(run func())) {
	t.Helper()
	if around == nil {
		around = func(run func()) { run() }
	}
	Run(t, func(ctx context.Context) error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer in.Close()
		defer context.AfterFunc(ctx, in.Poller.Ring)()
		for sleep := time.Duration(0); ctx.Err() == nil; {
			if _, err := in.Poller.Wait(sleep); err != nil {
				return err
			}
			if in.Waiting() {
				around(func() { in.Run(c, 1) })
			}
			in.Poller.Listen()
			if sleep = time.Minute; in.Waiting() || ctx.Err() != nil {
				sleep = 0
			}
		}
		return nil
	})
}

// Drive does work that enters the loop of a core which does not run: it takes the calls of work here. That is much
// faster than Serve, and deterministic.
func Drive(c *core.Core, in *loop.Inbox[*core.Core], work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	for {
		select {
		case err := <-done:
			return err
		default:
			in.Run(c, 1)
			runtime.Gosched()
		}
	}
}

// Run runs tasks until the test ends, and waits for them then.
func Run(t testing.TB, tasks ...func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, task := range tasks {
		all.Go(func() {
			if err := task(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); all.Wait() })
}

// Pair is two cores whose links are memory.
type Pair struct {
	A, B   *core.Core
	LA, LB *Link
}

// NewPair returns two cores that have found each other.
func NewPair(t testing.TB, change ...func(*core.Options)) *Pair {
	t.Helper()
	p := &Pair{}
	p.A, p.LA = NewOpen(change...)
	p.B, p.LB = NewOpen(change...)
	for range 10 {
		p.Exchange()
	}
	if !p.A.Answers() || !p.B.Answers() {
		t.Fatal("the two do not find each other")
	}
	return p
}

// Exchange lets both say what they have to say, and delivers it.
func (p *Pair) Exchange() {
	for _, c := range []*core.Core{p.A, p.B} {
		c.Transmit()
		c.Tick()
	}
	p.LA.Each(func(d []byte) { p.B.Receive(p.B.Links.Channels()[0], AddrA, d) })
	p.LB.Each(func(d []byte) { p.A.Receive(p.A.Links.Channels()[0], AddrB, d) })
}
