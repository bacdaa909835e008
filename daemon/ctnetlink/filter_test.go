package ctnetlink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"ctsync/daemon/flow"
)

// eventOf writes f as an event of kind that the netlink socket portID asked for.
func eventOf(f *flow.Flow, kind Kind, portID uint32) []byte {
	b := appendKernel(nil, f)
	typ, flags := uint16(msgCtNew), uint16(0)
	switch kind {
	case EventNew:
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	case EventDestroy:
		typ = msgCtDelete
	}
	binary.NativeEndian.PutUint16(b[4:], subsysCtnetlink<<8|typ)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[12:], portID)
	return b
}

// machine is a pair of local sockets, so that the kernel runs a program on what is sent from one to the other. x/net's
// machine does not know how to look for attributes.
type machine struct{ from, to int }

// newMachine returns a machine with the program of f.
func newMachine(t interface{ Fatal(...any) }, portIDs []uint32, f *flow.Filter) machine {
	raw, err := filterProgram(portIDs, f)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := attachProgram(fds[1], raw); err != nil && err != unix.ENOMEM {
		t.Fatal(err)
	} else if err != nil { // net.core.optmem_max is small
		unix.Close(fds[0])
		unix.Close(fds[1])
		return machine{-1, -1}
	}
	return machine{fds[0], fds[1]}
}

func (m machine) close() {
	unix.Close(m.from)
	unix.Close(m.to)
}

func kept(t interface{ Fatal(...any) }, m machine, msg []byte) bool {
	if _, err := unix.Write(m.from, msg); err != nil {
		t.Fatal("send", len(msg), err)
	}
	_, err := unix.Read(m.to, make([]byte, 4096))
	if err != nil && err != unix.EAGAIN {
		t.Fatal("receive", err)
	}
	return err == nil
}

// drawAddr draws an address of few different bytes, so that prefixes share their beginnings and flows hit them.
func drawAddr(t *rapid.T, four bool, label string) netip.Addr {
	b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}), 16, 16).Draw(t, label)
	if four {
		return netip.AddrFrom4([4]byte(b))
	}
	// Most of the beginning is common.
	for i := range rapid.IntRange(0, 15).Draw(t, label+" common") {
		b[i] = 0xfd
	}
	return netip.AddrFrom16([16]byte(b))
}

// near returns the prefix's first or last address, or one beside it.
func near(t *rapid.T, p netip.Prefix) netip.Addr {
	a := p.Masked().Addr()
	if rapid.Bool().Draw(t, "last") {
		b := a.AsSlice()
		for bit := p.Bits(); bit < a.BitLen(); bit++ {
			b[bit/8] |= 0x80 >> (bit % 8)
		}
		a, _ = netip.AddrFromSlice(b)
	}
	switch rapid.IntRange(-1, 1).Draw(t, "beside") {
	case -1:
		if a.Prev().IsValid() {
			return a.Prev()
		}
	case 1:
		if a.Next().IsValid() {
			return a.Next()
		}
	}
	return a
}

// TestFilterProgram runs the programs of random filters on random events: the kernel drops exactly what user space
// would, except DESTROY, and what our own sockets asked for.
func TestFilterProgram(t *testing.T) {
	protocols := []flow.Proto{
		flow.ICMP, flow.TCP, flow.UDP, flow.ICMPv6, flow.SCTP, flow.DCCP, flow.UDPLite, flow.GRE, 50, 255,
	}
	rapid.Check(t, func(t *rapid.T) {
		four := rapid.Bool().Draw(t, "IPv4")
		var r flow.Rules
		r.Accept = rapid.SliceOfN(rapid.SampledFrom(protocols), 0, 5).Draw(t, "accept")
		for range rapid.IntRange(0, 12).Draw(t, "prefixes") {
			a := drawAddr(t, rapid.Bool().Draw(t, "prefix of IPv4"), "prefix")
			r.Ignore = append(r.Ignore, netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")))
		}
		for range rapid.IntRange(0, 3).Draw(t, "endpoints") {
			r.Endpoints = append(r.Endpoints, flow.Endpoint{
				Proto: rapid.SampledFrom(protocols).Draw(t, "endpoint protocol"),
				Addr: netip.AddrPortFrom(
					drawAddr(t, rapid.Bool().Draw(t, "endpoint of IPv4"), "endpoint"),
					uint16(rapid.IntRange(1, 3).Draw(t, "endpoint port"))),
			})
		}
		drawMore(t, &r, protocols)
		f := flow.NewFilter(r)
		portIDs := rapid.SliceOfN(rapid.SampledFrom([]uint32{1, 0x01020304, 0xfffffffe}), 0, 2).Draw(t, "port ids")
		vm := newMachine(t, portIDs, &f)
		defer vm.close()
		for range 16 {
			fl := drawFlow(t, four, &r, protocols)
			kind := rapid.SampledFrom([]Kind{EventNew, EventUpdate, EventDestroy}).Draw(t, "kind")
			portID := rapid.SampledFrom([]uint32{0, 0, 0, 1, 0x04030201, 0xfffffffe}).Draw(t, "port id")
			want := !slices.Contains(portIDs, portID) && (kind == EventDestroy || f.Pass(&fl))
			if got := kept(t, vm, eventOf(&fl, kind, portID)); got != want {
				t.Fatalf("kept = %v, want %v: %v of %+v from %#x, rules %+v", got, want, kind, fl, portID, r)
			}
		}
	})
}

// drawMore draws the rules beside accepted protocols, ignored addresses and endpoints.
func drawMore(t *rapid.T, r *flow.Rules, protocols []flow.Proto) {
	if len(r.Accept) == 0 {
		r.IgnoreProto = rapid.SliceOfN(rapid.SampledFrom(protocols), 0, 3).Draw(t, "ignored protocols")
	}
	for _, places := range []*[]flow.Place{&r.IgnoreAt, &r.AcceptAt} {
		for range max(rapid.IntRange(-4, 4).Draw(t, "places"), 0) {
			a := drawAddr(t, rapid.Bool().Draw(t, "place of IPv4"), "place")
			*places = append(*places, flow.Place{
				Net:   netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")),
				Sides: flow.Sides(rapid.IntRange(1, 15).Draw(t, "sides")),
			})
		}
	}
	r.TCPStates = rapid.SliceOfN(rapid.Uint8Range(0, 9), 0, 3).Draw(t, "states")
	r.Status = rapid.SampledFrom([]uint32{0, flow.StatusSeenReply, flow.StatusAssured, 6}).Draw(t, "status bits")
}

func drawFlow(t *rapid.T, four bool, r *flow.Rules, protocols []flow.Proto) flow.Flow {
	addr := func(label string) netip.Addr {
		list := slices.Clone(r.Ignore)
		for _, p := range slices.Concat(r.IgnoreAt, r.AcceptAt) {
			list = append(list, p.Net)
		}
		for _, p := range list {
			if p.Addr().Is4() == four && rapid.Bool().Draw(t, label+" near") {
				return near(t, p)
			}
		}
		return drawAddr(t, four, label)
	}
	src, dst := addr("source"), addr("destination")
	orig := flow.Tuple{
		Family: flow.IPv4, Proto: rapid.SampledFrom(protocols).Draw(t, "protocol"),
		Src: flow.AddrFrom(src), Dst: flow.AddrFrom(dst),
		SrcPort: uint16(rapid.IntRange(0, 3).Draw(t, "source port")),
		DstPort: uint16(rapid.IntRange(0, 3).Draw(t, "destination port")),
	}
	if !four {
		orig.Family = flow.IPv6
	}
	for _, e := range r.Endpoints {
		if e.Addr.Addr().Is4() == four && rapid.Bool().Draw(t, "at an endpoint") {
			orig.Dst = flow.AddrFrom(e.Addr.Addr())
			if rapid.Bool().Draw(t, "at its port") {
				orig.Proto, orig.DstPort = e.Proto, e.Addr.Port()
			}
		}
	}
	if !orig.Proto.HasPorts() && !orig.Proto.IsICMP() && orig.Proto != flow.GRE {
		orig.SrcPort, orig.DstPort = 0, 0
	}
	fl := plain(orig)
	if rapid.Bool().Draw(t, "translated") {
		fl.Reply.Src, fl.Reply.Dst = flow.AddrFrom(addr("reply source")), flow.AddrFrom(addr("reply destination"))
	}
	fl.Has &^= flow.HasTCPState
	if orig.Proto == flow.TCP && rapid.Bool().Draw(t, "with state") {
		fl.TCPState, fl.Has = rapid.Uint8Range(0, 9).Draw(t, "state"), fl.Has|flow.HasTCPState
	}
	fl.Status = rapid.SampledFrom([]uint32{
		flow.StatusConfirmed, flow.StatusConfirmed | flow.StatusSeenReply,
		flow.StatusConfirmed | flow.StatusSeenReply | flow.StatusAssured,
	}).Draw(t, "status")
	fl.Orig.Zone = rapid.SampledFrom([]uint16{0, 7}).Draw(t, "zone")
	fl.Reply.Zone = rapid.SampledFrom([]uint16{0, 7}).Draw(t, "reply zone")
	return fl
}

// TestFilterProgramKeepsOddEvents: what does not look as expected is for user space to judge.
func TestFilterProgramKeepsOddEvents(t *testing.T) {
	f := flow.NewFilter(flow.Rules{
		Accept:    []flow.Proto{flow.SCTP},
		Ignore:    []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Endpoints: []flow.Endpoint{{Proto: flow.UDP, Addr: netip.MustParseAddrPort("10.2.0.1:80")}},
	})
	vm := newMachine(t, nil, &f)
	defer vm.close()
	v4 := plain(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:80"))
	v6 := plain(tuple(flow.UDP, "[fd01::1]:1001", "[fd02::1]:80"))
	for name, msg := range map[string][]byte{"IPv4": eventOf(&v4, EventNew, 0), "IPv6": eventOf(&v6, EventNew, 0)} {
		if kept(t, vm, msg) {
			t.Fatalf("%s: the event itself is kept", name)
		}
		end := 53 // the protocol number is the last byte that counts
		if name == "IPv6" {
			end = 77
		}
		for n := range msg {
			if got := kept(t, vm, msg[:n]); got != (n < end) {
				t.Errorf("%s: first %d bytes: kept = %v", name, n, got)
			}
		}
		odd := map[string]func(b []byte){
			"other family":          func(b []byte) { b[16] = unix.AF_BRIDGE },
			"other message":         func(b []byte) { b[4] = 5 },
			"other subsystem":       func(b []byte) { b[5]++ },
			"other first attribute": func(b []byte) { b[22] = ctaStatus },
			"not nested":            func(b []byte) { b[23] = 0 },
			"no addresses":          func(b []byte) { b[26] = ctaTupleProto },
			"other source":          func(b []byte) { b[30]++ },
			"longer source":         func(b []byte) { b[28]++ },
			"no protocol number":    func(b []byte) { b[end-3] = ctaProtoSrcPort },
		}
		for what, change := range odd {
			b := slices.Clone(msg)
			change(b)
			if !kept(t, vm, b) {
				t.Errorf("%s, %s: dropped", name, what)
			}
		}
	}
}

// TestFilterProgramSize: some hundreds of addresses fit, and steps of any length are jumped over.
func TestFilterProgramSize(t *testing.T) {
	for _, n := range []int{1, 30, 250, 3000} {
		for _, four := range []bool{true, false} {
			var r flow.Rules
			for i := range n {
				a := netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, byte(i >> 8), byte(i), 15: 1})
				if four {
					a = netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
				}
				r.Ignore = append(r.Ignore, netip.PrefixFrom(a, a.BitLen()))
			}
			f := flow.NewFilter(r)
			raw, err := filterProgram([]uint32{1}, &f)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d addresses, IPv4 %v: %d instructions", n, four, len(raw))
			if fits := len(raw) <= maxProgram; fits != (n <= 250) {
				t.Errorf("%d addresses, IPv4 %v: %d instructions", n, four, len(raw))
			}
			if len(raw) > maxProgram {
				continue
			}
			vm := newMachine(t, nil, &f)
			if vm.from < 0 {
				continue
			}
			defer vm.close()
			for i := range n + 1 {
				src, pass := fmt.Sprintf("10.%d.%d.1:1", i>>8, i&255), "10.255.0.1:1"
				if !four {
					src, pass = fmt.Sprintf("[2001:db8:%x::1]:1", i), "[2001:db9::1]:1"
				}
				for _, fl := range []flow.Flow{plain(tuple(flow.TCP, src, pass)), plain(tuple(flow.TCP, pass, src))} {
					if got := kept(t, vm, eventOf(&fl, EventNew, 0)); got != (i == n) {
						t.Fatalf("%d addresses, IPv4 %v: number %d: kept = %v", n, four, i, got)
					}
				}
			}
		}
	}
}

// BenchmarkFilterProgram makes the program of a few dozen networks of each family.
func BenchmarkFilterProgram(b *testing.B) {
	f := flow.NewFilter(dozens())
	for b.Loop() {
		if _, err := filterProgram([]uint32{1}, &f); err != nil {
			b.Fatal(err)
		}
	}
}

// dozens is what a large configuration asks for.
func dozens() flow.Rules {
	r := flow.Rules{
		Accept:    []flow.Proto{flow.TCP, flow.UDP, flow.ICMP, flow.ICMPv6},
		Endpoints: []flow.Endpoint{{Proto: flow.UDP, Addr: netip.MustParseAddrPort("198.51.100.2:3780")}},
	}
	for i := range 48 {
		r.Ignore = append(r.Ignore,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(2 * i), 0}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, byte(2 * i)}), 48))
	}
	return r
}
