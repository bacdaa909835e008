package transport

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/nstest"
)

// dropped compares the counters of what was not delivered.
func dropped(t *testing.T, l *Link, wantInterface, wantSource, wantLooped uint64) {
	t.Helper()
	counts := func() [3]uint64 {
		st := l.Stats()
		return [3]uint64{st.WrongInterface, st.WrongSource, st.Looped}
	}
	want := [3]uint64{wantInterface, wantSource, wantLooped}
	nstest.Eventually(t, patience, func() bool { return counts() == want }, func() string {
		return fmt.Sprintf("dropped for interface, source, loop: %v, want %v", counts(), want)
	})
}

func TestUnicastSource(t *testing.T) {
	l := newLab(t)
	l.b.Run(t, "ip", "address", "add", "10.1.0.3/24", "dev", "sync0")
	l.b.Run(t, "ip", "address", "add", "2001:db8::3/64", "dev", "sync0", "nodad")
	for _, tt := range []struct{ self, peer, other, to string }{
		{"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.1:3780"},
		{"2001:db8::1", "2001:db8::2", "2001:db8::3", "[2001:db8::1]:3780"},
	} {
		t.Run(tt.peer, func(t *testing.T) {
			a := mustOpen(t, l.a, Config{Peer: addr(tt.peer)})
			atA := collect(t, a)
			stranger(t, l.b, tt.other, tt.to, "stranger")
			stranger(t, l.b, tt.other, tt.to, "stranger again")
			stranger(t, l.b, tt.peer, tt.to, "peer")
			atA.wait(t, 1)
			dropped(t, a, 0, 2, 0)
			if texts, _ := atA.all(); len(texts) != 1 || texts[0] != "peer" {
				t.Errorf("received %q", texts)
			}
			atA.mu.Lock()
			defer atA.mu.Unlock()
			if d := cmp.Diff([]string{tt.other + " stranger", tt.other + " stranger again"}, atA.refused); d != "" {
				t.Errorf("refused (-want +got):\n%s", d)
			}
		})
	}
}

// TestMulticastFrom names the only sender that is heard on the group.
func TestMulticastFrom(t *testing.T) {
	l := newLab(t)
	l.b.Run(t, "ip", "address", "add", "10.1.0.3/24", "dev", "sync0")
	a, b := mustOpen(t, l.a, Config{From: addr("10.1.0.2")}), mustOpen(t, l.b, Config{})
	other := mustOpen(t, l.b, Config{Listen: []netip.Addr{addr("10.1.0.3")}})
	atA := collect(t, a)
	sendText(t, other, "neighbour")
	sendText(t, b, "peer")
	atA.wait(t, 1)
	dropped(t, a, 0, 1, 0)
	if atA.has("neighbour") || !atA.has("peer") {
		t.Error("another one than the peer is heard")
	}
}

// TestMulticastSource sends from an address outside the link, and then makes it one inside.
func TestMulticastSource(t *testing.T) {
	l := newLab(t)
	l.b.Run(t, "ip", "address", "add", "203.0.113.9/24", "dev", "sync0")
	a, b := mustOpen(t, l.a, Config{}), mustOpen(t, l.b, Config{})
	off := mustOpen(t, l.b, Config{Listen: []netip.Addr{addr("203.0.113.9")}})
	atA := collect(t, a)
	sendText(t, off, "stranger", "stranger") // one coalesced arrival, two datagrams
	sendText(t, b, "peer")
	atA.wait(t, 1)
	dropped(t, a, 0, 2, 0)
	if atA.has("stranger") {
		t.Error("a stranger was heard")
	}
	l.a.Run(t, "ip", "address", "add", "203.0.113.1/24", "dev", "sync0")
	nstest.Eventually(t, patience, func() bool {
		sendText(t, off, "neighbour")
		return atA.has("neighbour")
	}, func() string { return "a network that was added is not taken for the link's" })
	l.a.Run(t, "ip", "address", "del", "203.0.113.1/24", "dev", "sync0")
	if err := a.Valid(); err != nil { // reads the addresses again
		t.Fatal(err)
	}
	before := a.Stats().WrongSource
	sendText(t, off, "stranger once more")
	nstest.Eventually(t, patience, func() bool { return a.Stats().WrongSource > before },
		func() string { return "a network that was taken away is still the link's" })
}

// TestWrongInterface reaches a's sockets by another interface of a, from the right source or not.
func TestWrongInterface(t *testing.T) {
	l := newLab(t)
	c := nstest.New(t)
	nstest.Veth(t, l.a, "other0", []string{"10.2.0.1/24"}, c, "other0", []string{"10.2.0.3/24", "10.1.0.2/32"})
	c.Run(t, "ip", "route", "add", "10.1.0.1/32", "dev", "other0")
	// The reverse path must not save us here: the point is the interface.
	l.a.Sysctl(t, "net.ipv4.conf.all.rp_filter", "0")
	l.a.Sysctl(t, "net.ipv4.conf.other0.rp_filter", "0")
	t.Run("unicast", func(t *testing.T) {
		a, b := mustOpen(t, l.a, Config{Peer: addr("10.1.0.2")}), mustOpen(t, l.b, Config{Peer: addr("10.1.0.1")})
		atA := collect(t, a)
		nstest.Eventually(t, patience, func() bool { // until ARP works
			stranger(t, c, "10.1.0.2", "10.1.0.1:3780", "the peer's address by another interface")
			return a.Stats().WrongInterface > 0
		}, func() string { return "nothing arrived by the other interface" })
		sendText(t, b, "peer")
		atA.wait(t, 1)
		if texts, _ := atA.all(); len(texts) != 1 || texts[0] != "peer" {
			t.Errorf("received %q", texts)
		}
	})
	t.Run("multicast", func(t *testing.T) {
		a, b := mustOpen(t, l.a, Config{}), mustOpen(t, l.b, Config{})
		// Another program of this router has joined the group on the other interface, so the kernel takes it there.
		var member *net.UDPConn
		var err error
		l.a.Do(func() {
			var dev *net.Interface
			if dev, err = net.InterfaceByName("other0"); err == nil {
				member, err = net.ListenMulticastUDP("udp4", dev, &net.UDPAddr{IP: DefaultGroup.AsSlice(), Port: 4444})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer member.Close()
		atA := collect(t, a)
		sendLooped(t, c, "other0", "225.0.0.50", "by another interface")
		sendText(t, b, "peer")
		atA.wait(t, 1)
		dropped(t, a, 0, 0, 0) // the socket never sees it
		if texts, _ := atA.all(); len(texts) != 1 || texts[0] != "peer" {
			t.Errorf("received %q", texts)
		}
	})
}

// TestLooped hears what this router itself sent to the group.
func TestLooped(t *testing.T) {
	l := newLab(t)
	a := mustOpen(t, l.a, Config{})
	atA := collect(t, a)
	sendLooped(t, l.a, "sync0", "225.0.0.50", "ourselves")
	dropped(t, a, 0, 0, 1)
	if n := atA.count(); n != 0 {
		t.Errorf("received %d datagrams", n)
	}
}

// TestGroupTakesNoUnicast: a socket bound to the group hears nothing that is sent to the router itself.
func TestGroupTakesNoUnicast(t *testing.T) {
	l := newLab(t)
	a, b := mustOpen(t, l.a, Config{}), mustOpen(t, l.b, Config{})
	atA := collect(t, a)
	stranger(t, l.b, "10.1.0.2", "10.1.0.1:3780", "unicast")
	sendText(t, b, "multicast")
	atA.wait(t, 1)
	if atA.has("unicast") {
		t.Error("unicast datagram was delivered")
	}
	dropped(t, a, 0, 0, 0)
}
