package rtnetlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

// watched opens a watch in ns that ends with the test.
func watched(t *testing.T, ns *nstest.NS, groups Groups) (changed <-chan struct{}, failed <-chan error) {
	t.Helper()
	var err error
	ns.Do(func() { changed, failed, err = Watch(t.Context(), groups) })
	if err != nil {
		t.Fatal(err)
	}
	return changed, failed
}

// count returns how many signals come until there is none for a second.
func count(changed <-chan struct{}) (n int) {
	for {
		select {
		case <-changed:
			n++
		case <-time.After(time.Second):
			return n
		}
	}
}

// addresses adds so many addresses to lo at once.
func addresses(t *testing.T, ns *nstest.NS, n int) {
	t.Helper()
	var batch strings.Builder
	for i := range n {
		fmt.Fprintf(&batch, "address add 10.%d.%d.1/32 dev lo\n", i>>8, i&0xff)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.Run(t, "ip", "-batch", file)
}

func TestWatch(t *testing.T) {
	ns := nstest.New(t)
	both, _ := watched(t, ns, Links|Addresses)
	only, _ := watched(t, ns, Addresses)
	if n := count(both); n > 0 {
		t.Errorf("%d signals without a change", n)
	}
	ns.Run(t, "ip", "link", "set", "lo", "mtu", "1400")
	if n := count(both); n != 1 {
		t.Errorf("change of a link: %d signals", n)
	}
	if n := count(only); n != 0 {
		t.Errorf("change of a link: %d signals that an address changed", n)
	}
	ns.Run(t, "ip", "address", "add", "10.1.0.1/24", "dev", "lo")
	if n := count(only); n != 1 {
		t.Errorf("change of an IPv4 address: %d signals", n)
	}
	ns.Run(t, "ip", "address", "add", "2001:db8::1/64", "dev", "lo", "nodad")
	if n := count(only); n < 1 {
		t.Error("change of an IPv6 address: no signal")
	}
}

// TestWatchGathers makes many changes at once: the caller is woken at once and then every 20 ms, not for each.
func TestWatchGathers(t *testing.T) {
	ns := nstest.New(t)
	changed, failed := watched(t, ns, Addresses)
	start := time.Now()
	addresses(t, ns, 1000)
	n := count(changed)
	most := int((time.Since(start)-time.Second)/pause) + 2
	if n < 1 || n > most {
		t.Errorf("%d signals for 1000 changes, want 1 to %d", n, most)
	}
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}

// TestWatchOverflow: what the kernel could not queue is a change like any other.
func TestWatchOverflow(t *testing.T) {
	ns := nstest.New(t)
	var conns [2]*netlink.Conn
	for i := range conns {
		var err error
		ns.Do(func() { conns[i], err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: uint32(Addresses)}) })
		if err != nil {
			t.Fatal(err)
		}
		if err := conns[i].SetReadBuffer(1); err != nil {
			t.Fatal(err)
		}
	}
	addresses(t, ns, 100)
	if _, err := conns[0].Receive(); !errors.Is(err, unix.ENOBUFS) {
		t.Fatalf("the socket did not overflow: %v", err)
	}
	conns[0].Close()
	changed, failed := watch(t.Context(), conns[1])
	if n := count(changed); n < 1 {
		t.Error("no signal")
	}
	addresses := func() { ns.Run(t, "ip", "address", "add", "192.0.2.1/24", "dev", "lo") }
	addresses()
	if n := count(changed); n != 1 {
		t.Errorf("%d signals after the overflow", n)
	}
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}

// TestWatchEnds: the watch ends with its context, says nothing of it, and leaves no goroutine.
func TestWatchEnds(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	_, failed, err := Watch(ctx, Links)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	goleak.VerifyNone(t, before)
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}
