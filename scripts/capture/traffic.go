package main

import (
	"context"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// standing is how many flows there are at the beginning.
const standing = 1200

// traffic makes flows like those of a router in front of an office. They are the same in every run.
type traffic struct {
	ns   lab.NS
	rand *rand.Rand
}

func newTraffic() *traffic { return &traffic{rand: rand.New(rand.NewPCG(1, 2))} }

// begin makes n flows at once and returns how many the kernel accepted: some have the same tuple.
func (t *traffic) begin(n int) (taken int, err error) {
	err = t.ns.Do(func() error {
		c, err := ctnetlink.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		flows := make([]flow.Flow, n)
		for i := range flows {
			flows[i] = t.one()
		}
		errs := make([]unix.Errno, n)
		err = c.Create(flows, errs)
		for _, e := range errs {
			if e == 0 {
				taken++
			}
		}
		return err
	})
	return taken, err
}

// flow makes new flows until ctx ends, at a varying rate.
func (t *traffic) flow(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		n := 12 + int(10*math.Sin(float64(i)/40)) + t.rand.IntN(8)
		_, _ = t.begin(n) // fails at the end, when the namespace is removed
		time.Sleep(100 * time.Millisecond)
	}
}

// services are the destinations of the flows. One with more rows gets more flows.
var services = []struct {
	proto flow.Proto
	dst   string
	port  uint16
	state uint8
}{
	{flow.TCP, "203.0.113.80", 443, flow.TCPEstablished}, {flow.TCP, "203.0.113.80", 443, flow.TCPEstablished},
	{flow.TCP, "203.0.113.17", 443, flow.TCPEstablished}, {flow.TCP, "198.51.100.25", 993, flow.TCPEstablished},
	{flow.TCP, "203.0.113.44", 22, flow.TCPEstablished}, {flow.TCP, "192.0.2.61", 80, 7},
	{flow.TCP, "192.0.2.61", 443, 5}, {flow.UDP, "198.51.100.53", 53, 0}, {flow.UDP, "198.51.100.53", 53, 0},
	{flow.UDP, "203.0.113.9", 443, 0}, {flow.ICMP, "203.0.113.1", 0, 0},
	{flow.TCP, "2001:db8:44::80", 443, flow.TCPEstablished}, {flow.UDP, "2001:db8:53::53", 53, 0},
}

func (t *traffic) one() flow.Flow {
	s := services[t.rand.IntN(len(services))]
	dst := netip.MustParseAddr(s.dst)
	f := flow.Flow{
		Has:     flow.HasReply | flow.HasStatus | flow.HasTimeout,
		Status:  flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed,
		Timeout: uint32(20 + t.rand.IntN(160)),
		Orig: flow.Tuple{
			Dst: flow.AddrFrom(dst), SrcPort: uint16(32768 + t.rand.IntN(28000)), DstPort: s.port, Proto: s.proto,
			Family: flow.IPv4,
		},
	}
	host := byte(11 + t.rand.ExpFloat64()*9)
	if dst.Is6() {
		f.Orig.Family = flow.IPv6
		f.Orig.Src = flow.AddrFrom(netip.MustParseAddr("2001:db8:10:1::"))
		f.Orig.Src[15] = host
	} else {
		f.Orig.Src = flow.Addr{10, 10, 0, host}
	}
	switch s.proto {
	case flow.ICMP:
		f.Orig.DstPort = 8 << 8
	case flow.TCP:
		f.Has |= flow.HasTCPState
		f.TCPState = s.state
		if s.state == flow.TCPEstablished {
			f.Timeout = 428000 + uint32(t.rand.IntN(4000))
		}
	}
	f.Reply = f.Orig.Inverse()
	if !dst.Is6() {
		f.Reply.Dst = flow.AddrFrom(netip.MustParseAddr(lab.WANAddress))
		f.Status |= flow.StatusSrcNAT | flow.StatusSrcNATDone | flow.StatusDstNATDone
	}
	return f
}
