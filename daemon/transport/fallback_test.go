package transport

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestSegmentationRefused sends where the kernel refuses UDP_SEGMENT: everything arrives all the same, and it is not
// tried again.
func TestSegmentationRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse func(t *testing.T, l lab, a *Link)
	}{
		{"the route carries less than the interface", func(t *testing.T, l lab, _ *Link) {
			l.a.Run(t, "ip", "route", "add", "10.1.0.2/32", "dev", "sync0", "mtu", "1000")
		}},
		{"no checksums", func(t *testing.T, _ lab, a *Link) {
			if err := unix.SetsockoptInt(a.send.fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			a, b := mustOpen(t, l.a, Config{Peer: addr("10.1.0.2")}), mustOpen(t, l.b, Config{Peer: addr("10.1.0.1")})
			if !a.send.gso.Load() {
				t.Skip("this kernel has no UDP_SEGMENT")
			}
			tt.refuse(t, l, a)
			atB := collect(t, b)
			want := burst(20, a.MaxPayload())
			sendText(t, a, want...)
			texts, _ := atB.wait(t, len(want))
			for i, d := range texts {
				if d != want[i] {
					t.Errorf("datagram %d differs", i)
				}
			}
			if st := a.Stats(); st.DatagramsSent != 20 || st.SendErrors != 0 {
				t.Errorf("%+v", st)
			}
			if a.send.gso.Load() {
				t.Error("UDP_SEGMENT is tried again")
			}
		})
	}
}

// TestMaybeSegmentation lists what is worth a second try without UDP_SEGMENT, EIO being what a device without checksum
// offload or a route through IPsec answers.
func TestMaybeSegmentation(t *testing.T) {
	for errno, want := range map[unix.Errno]bool{
		unix.EIO: true, unix.EINVAL: true, unix.EMSGSIZE: true, unix.EOPNOTSUPP: true, unix.ENOPROTOOPT: true,
		unix.EAGAIN: false, unix.ENOBUFS: false, unix.ENETUNREACH: false, unix.EPERM: false,
	} {
		if got := maybeSegmentation(errno); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
	}
}

// TestBlocked sends against the firewall of the sending router.
func TestBlocked(t *testing.T) {
	l := newLab(t)
	a := mustOpen(t, l.a, Config{})
	l.a.Run(t, "nft", "add table ip t; add chain ip t out { type filter hook output priority 0; }; "+
		"add rule ip t out udp dport 3780 drop")
	sendText(t, a, "one", "two", "three")
	if st := a.Stats(); st.SendBlocked != 3 || st.SendErrors != 3 || st.DatagramsSent != 0 {
		t.Errorf("%+v", st)
	}
}

// TestQueueFull sends faster than a shaped interface lets out.
func TestQueueFull(t *testing.T) {
	l := newLab(t)
	a := mustOpen(t, l.a, Config{SendBuffer: 8 << 10})
	l.a.Run(t, "tc", "qdisc", "add", "dev", "sync0", "root", "tbf", "rate", "64kbit", "burst", "2kb", "limit", "1mb")
	for range 100 {
		sendText(t, a, string(make([]byte, 1000)))
	}
	st := a.Stats()
	if st.SendQueueFull == 0 || st.SendErrors != st.SendQueueFull || st.DatagramsSent+st.SendErrors != 100 {
		t.Errorf("%+v", st)
	}
}
