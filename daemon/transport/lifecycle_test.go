package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

func TestConfigRefused(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		cfg        Config
	}{
		{"no interface", "interface", Config{}},
		{"interface name too long", "15 characters", Config{Interface: "abcdefghijklmnop"}},
		{"port", "65536", Config{Interface: "lo", Port: 65536}},
		{"negative buffer", "-1", Config{Interface: "lo", RecvBuffer: -1}},
		{"peer and group", "one or the other", Config{Interface: "lo", Peer: addr("10.0.0.2"), Group: DefaultGroup}},
		{"group is unicast", "not a multicast", Config{Interface: "lo", Group: addr("10.0.0.2")}},
		{"peer is multicast", "not a unicast", Config{Interface: "lo", Peer: DefaultGroup}},
		{"peer is unspecified", "not a unicast", Config{Interface: "lo", Peer: addr("::")}},
		{"listen is unspecified", "not a unicast", Config{Interface: "lo", Listen: []netip.Addr{addr("0.0.0.0")}}},
		{"families differ", "family", Config{Interface: "lo", Peer: addr("10.0.0.2"), Listen: []netip.Addr{addr("2001:db8::1")}}},
		{"peer is listen", "this router itself", Config{Interface: "lo", Peer: addr("10.0.0.2"), Listen: []netip.Addr{addr("10.0.0.2")}}},
		{"zone of another interface", "zone", Config{Interface: "lo", Peer: addr("fe80::1%eth7")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Open(tt.cfg)
			if err == nil {
				l.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestOpenMissing(t *testing.T) {
	l := newLab(t)
	l.a.Run(t, "ip", "link", "add", "bare0", "type", "veth", "peer", "name", "bare1")
	taken := mustOpen(t, l.a, Config{Peer: addr("10.1.0.2"), Port: 4001})
	files := openFiles(t)
	for _, tt := range []struct {
		name string
		cfg  Config
		want error
	}{
		{"no interface", Config{Interface: "none0"}, ErrNoInterface},
		{"multicast without an address", Config{Interface: "bare0"}, ErrNoAddress},
		{"listen address not there", Config{Peer: addr("10.1.0.2"), Listen: []netip.Addr{addr("10.1.0.77")}}, ErrNoAddress},
		{"IPv6 listen address not there", Config{Peer: addr("fe80::2"), Listen: []netip.Addr{addr("fe80::77")}}, ErrNoAddress},
		{"multicast listen address not there", Config{Listen: []netip.Addr{addr("10.1.0.77")}}, ErrNoAddress},
		{"multicast listen address on another interface", Config{Listen: []netip.Addr{addr("127.0.0.1")}}, ErrNoAddress},
		{"port taken", taken.cfg, unix.EADDRINUSE},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link, err := openIn(l.a, tt.cfg)
			if err == nil {
				link.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := openIn(l.a, Config{Peer: addr("10.1.0.1")}); err == nil || !strings.Contains(err.Error(), "own sync0") {
		t.Errorf("our own address as the peer: %v", err)
	}
	if n := openFiles(t); n != files {
		t.Errorf("%d descriptors open, were %d", n, files)
	}
}

// TestDownAtStart opens links on an interface that is down; they work once it is up. IPv6 has no address until then.
func TestDownAtStart(t *testing.T) {
	l := newLab(t)
	for _, cfg := range []struct{ a, b Config }{
		{Config{}, Config{}},
		{Config{Peer: addr("10.1.0.2")}, Config{Peer: addr("10.1.0.1")}},
	} {
		l.a.Run(t, "ip", "link", "set", "sync0", "down")
		a, b := mustOpen(t, l.a, cfg.a), mustOpen(t, l.b, cfg.b)
		if up, text := a.Up(); up || text != "DOWN" {
			t.Errorf("interface down: %v %s", up, text)
		}
		nstest.Eventually(t, patience, func() bool { // the kernel takes up to a second to say so
			up, text := b.Up()
			return !up && text == "NO-CARRIER"
		}, func() string { return "the other end is down and the carrier is not" })
		if err := a.Valid(); err != nil {
			t.Errorf("interface down: %v", err)
		}
		sendText(t, a, "lost", "lost")
		if st := a.Stats(); st.SendErrors != 2 || st.SendUnreachable != 2 || st.DatagramsSent != 0 {
			t.Errorf("interface down: %+v", st)
		}
		atB := collect(t, b)
		l.a.Run(t, "ip", "link", "set", "sync0", "up")
		l.carrier(t)
		nstest.Eventually(t, patience, func() bool {
			sendText(t, a, "works")
			return atB.has("works")
		}, func() string { return "link does not come up" })
		nstest.Eventually(t, patience, func() bool { // Debian 12's kernel says so up to a second later
			up, text := a.Up()
			return up && text == "RUNNING"
		}, func() string { return "the interface is up, but not RUNNING" })
		b.Close()
	}
}

// TestAddressComesLater opens links before the interface has an address: refused, and they keep the port of another
// link free.
func TestAddressComesLater(t *testing.T) {
	l := newLab(t)
	l.a.Run(t, "ip", "address", "flush", "dev", "sync0")
	for _, cfg := range []Config{
		{}, {Group: addr("ff02::c7")}, {Group: addr("ff15::c7")}, {Peer: addr("10.1.0.2")}, {Peer: addr("2001:db8::2")},
	} {
		if _, err := openIn(l.a, cfg); !errors.Is(err, ErrNoAddress) {
			t.Errorf("%+v without an address: %v", cfg, err)
		}
	}
	l.a.Run(t, "ip", "address", "add", "10.1.0.1/24", "dev", "sync0")
	a, b := mustOpen(t, l.a, Config{Peer: addr("10.1.0.2")}), mustOpen(t, l.b, Config{Peer: addr("10.1.0.1")})
	atA, atB := collect(t, a), collect(t, b)
	sendText(t, a, "there")
	sendText(t, b, "back")
	atA.wait(t, 1)
	atB.wait(t, 1)
}

// TestTwoLinks has two links of each kind between two routers, with one port: each hears its own interface alone, and
// takes the listen address that is on it.
func TestTwoLinks(t *testing.T) {
	l := newLab(t)
	nstest.Veth(t, l.a, "sync1", []string{"10.3.0.1/24", "2001:db8:3::1/64", "fe80::1/64"},
		l.b, "sync1", []string{"10.3.0.2/24", "2001:db8:3::2/64", "fe80::2/64"})
	l.carrierOn(t, "sync1")
	listen := []netip.Addr{addr("192.0.2.7"), addr("10.3.0.1"), addr("10.1.0.1")}
	for name, cfg := range map[string][2]Config{ // of a's and b's end of sync1; sync0 has those of the other network
		"multicast":           {{}, {}},
		"multicast, listen":   {{Listen: listen}, {}},
		"multicast IPv6":      {{Group: addr("ff02::c7")}, {Group: addr("ff02::c7")}},
		"multicast IPv6 site": {{Group: addr("ff05::c7")}, {Group: addr("ff05::c7")}},
		"unicast":             {{Peer: addr("10.3.0.2")}, {Peer: addr("10.3.0.1")}},
		"unicast, listen":     {{Peer: addr("10.3.0.2"), Listen: listen}, {Peer: addr("10.3.0.1")}},
		"unicast IPv6":        {{Peer: addr("2001:db8:3::2")}, {Peer: addr("2001:db8:3::1")}},
		"unicast link-local":  {{Peer: addr("fe80::2")}, {Peer: addr("fe80::1")}},
	} {
		t.Run(name, func(t *testing.T) {
			var ends [2][2]*Link // of sync0 and sync1
			var heard [2]*received
			for i, dev := range []string{"sync0", "sync1"} {
				for j, ns := range []*nstest.NS{l.a, l.b} {
					c := cfg[j]
					c.Interface = dev
					if i == 0 && c.Peer.IsValid() && !c.Peer.IsLinkLocalUnicast() {
						c.Peer = addr(strings.NewReplacer("10.3.", "10.1.", "2001:db8:3:", "2001:db8:").Replace(c.Peer.String()))
					}
					ends[i][j] = mustOpen(t, ns, c)
				}
				heard[i] = collect(t, ends[i][1])
			}
			sendText(t, ends[0][0], "by sync0")
			sendText(t, ends[1][0], "by sync1")
			for i, h := range heard {
				texts, sources := h.wait(t, 1)
				if want := fmt.Sprintf("by sync%d", i); len(texts) != 1 || texts[0] != want {
					t.Errorf("sync%d heard %q from %v", i, texts, sources)
				}
				if cfg[0].Listen != nil && sources[0].Addr() != ends[i][0].Local() {
					t.Errorf("sync%d sends from %v, not from %v", i, sources[0], ends[i][0].Local())
				}
				dropped(t, ends[i][1], 0, 0, 0)
			}
		})
	}
}

// TestMulticastAddressChanges takes the address that a multicast link sends from: a new link has the new one.
func TestMulticastAddressChanges(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct{ group, before, after string }{
		{"225.0.0.50", "10.1.0.1/24", "10.1.0.5/24"},
		{"ff02::c7", "fe80::1/64", "fe80::5/64"},
		{"ff15::c7", "2001:db8::1/64", "2001:db8::5/64"},
	} {
		t.Run(tt.group, func(t *testing.T) {
			old := mustOpen(t, l.a, Config{Group: addr(tt.group)})
			l.a.Run(t, "ip", "address", "del", tt.before, "dev", "sync0")
			if err := old.Valid(); !errors.Is(err, ErrNoAddress) {
				t.Errorf("address gone: %v", err)
			}
			args := []string{"address", "add", tt.after, "dev", "sync0"}
			if old.Local().Is6() {
				args = append(args, "nodad")
			}
			l.a.Run(t, "ip", args...)
			if got := mustOpen(t, l.a, Config{Group: addr(tt.group)}).Local(); got != netip.MustParsePrefix(tt.after).Addr() {
				t.Errorf("sends from %v", got)
			}
		})
	}
}

// TestValid changes the interface under a link so that a new link is needed, and opens that.
func TestValid(t *testing.T) {
	l := newLab(t)
	unicast := Config{Peer: addr("10.1.0.2")}
	a := mustOpen(t, l.a, unicast)
	l.a.Run(t, "ip", "address", "del", "10.1.0.1/24", "dev", "sync0")
	if err := a.Valid(); !errors.Is(err, ErrNoAddress) {
		t.Errorf("address gone: %v", err)
	}
	sendText(t, a, "from nowhere", "from nowhere")
	if st := a.Stats(); st.SendUnreachable != 2 || !a.send.gso.Load() {
		t.Errorf("send without the source address: %+v", st)
	}
	l.a.Run(t, "ip", "address", "add", "10.1.0.1/24", "dev", "sync0")
	if err := a.Valid(); err != nil {
		t.Errorf("address back: %v", err)
	}
	l.a.Run(t, "ip", "link", "set", "sync0", "mtu", "1400")
	if err := a.Valid(); err == nil || !strings.Contains(err.Error(), "1400") {
		t.Errorf("MTU changed: %v", err)
	}
	l.a.Run(t, "ip", "link", "del", "sync0")
	if err := a.Valid(); !errors.Is(err, ErrNoInterface) {
		t.Errorf("interface gone: %v", err)
	}
	if up, text := a.Up(); up || text != "DOWN" {
		t.Errorf("interface gone: %v %s", up, text)
	}
	sendText(t, a, "into", "the", "void")
	if st := a.Stats(); st.SendErrors != 5 {
		t.Errorf("%d datagrams counted as lost, want 5", st.SendErrors)
	}
	nstest.Veth(t, l.a, "sync0", []string{"10.1.0.1/24"}, l.b, "sync0", []string{"10.1.0.2/24"})
	if err := a.Valid(); !errors.Is(err, ErrNoInterface) {
		t.Errorf("interface made again: %v", err)
	}
	a.Close()
	l.carrier(t)
	again, b := mustOpen(t, l.a, unicast), mustOpen(t, l.b, Config{Peer: addr("10.1.0.1")})
	atB := collect(t, b)
	sendText(t, again, "again")
	atB.wait(t, 1)
}

// TestClose: a closed link says so, and leaves nothing behind.
func TestClose(t *testing.T) {
	l := newLab(t)
	files, goroutines := openFiles(t), goleak.IgnoreCurrent()
	for _, cfg := range []Config{{}, {Group: addr("ff02::c7")}, {Peer: addr("10.1.0.2")}, {Peer: addr("fe80::2")}} {
		link, err := openIn(l.a, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		if more, err := link.Read(&b); more || err != nil || b.n != 0 {
			t.Errorf("read %d of a quiet link, more %v, error %v", b.n, more, err)
		}
		for range 2 {
			if err := link.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := link.Read(&b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
		if err := link.Send([]byte("x"), []int{1}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("send after close: %v", err)
		}
		if link.Valid() == nil {
			t.Error("closed link is valid")
		}
		link.Stats()
	}
	if n := openFiles(t); n != files {
		t.Errorf("%d descriptors open, were %d", n, files)
	}
	goleak.VerifyNone(t, goroutines)
}

// TestBuffers asks for more than the system's limit, with CAP_NET_ADMIN and without.
func TestBuffers(t *testing.T) {
	const asked = 64 << 20
	l := newLab(t)
	st := mustOpen(t, l.a, Config{SendBuffer: asked, RecvBuffer: asked / 2}).Stats()
	if st.SendBuffer != (Buffer{asked, asked}) || st.RecvBuffer != (Buffer{asked / 2, asked / 2}) {
		t.Errorf("granted %+v and %+v", st.SendBuffer, st.RecvBuffer)
	}
	if st := mustOpen(t, l.a, Config{}).Stats(); st.RecvBuffer.Asked != 0 || st.RecvBuffer.Granted <= 0 {
		t.Errorf("system default: %+v", st.RecvBuffer)
	}
	var link *Link
	var err error
	l.a.Do(func() {
		err = withoutNetAdmin(func() { link, err = Open(Config{Interface: "sync0", RecvBuffer: asked}) })
	})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	if b := link.Stats().RecvBuffer; b.Asked != asked || b.Granted <= 0 || b.Granted >= asked {
		t.Errorf("without CAP_NET_ADMIN: %+v", b)
	}
}

// withoutNetAdmin runs f on this thread, which must be locked, without CAP_NET_ADMIN in effect.
func withoutNetAdmin(f func()) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return err
	}
	less := caps
	less[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&hdr, &less[0]); err != nil {
		return err
	}
	f()
	return unix.Capset(&hdr, &caps[0])
}

// TestSendingSocketHearsNothing: nobody can fill the queue of a socket that is never read.
func TestSendingSocketHearsNothing(t *testing.T) {
	l := newLab(t)
	a := mustOpen(t, l.a, Config{Peer: addr("10.1.0.2")})
	sa, err := unix.Getsockname(a.send.fd)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(addr("10.1.0.1"), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 3 {
		stranger(t, l.b, "10.1.0.2", to.String(), "noise")
	}
	nstest.Eventually(t, patience, func() bool { return kernelDrops(a.send.fd) == 3 },
		func() string { return "noise did not arrive" })
	if n, err := unix.IoctlGetInt(a.send.fd, unix.TIOCINQ); err != nil || n != 0 {
		t.Errorf("%d bytes are queued (%v)", n, err)
	}
}
