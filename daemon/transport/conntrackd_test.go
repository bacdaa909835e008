package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"ctsync/daemon/nstest"
)

// startConntrackd runs a real conntrackd with the given link block until the end of the test.
// It returns the configuration file, by which the client finds the daemon.
func startConntrackd(t *testing.T, ns *nstest.NS, link string) string {
	t.Helper()
	nstest.RequireCommand(t, "conntrackd", "conntrackd")
	dir := t.TempDir()
	conf := filepath.Join(dir, "conntrackd.conf")
	text := fmt.Sprintf(`Sync {
	Mode FTFW {
	}
	%s
}
General {
	HashSize 8192
	HashLimit 65536
	Syslog off
	LogFile %s/log
	LockFile %s/lock
	UNIX {
		Path %s/ctl
	}
}
`, link, dir, dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := ns.Exec(context.Background(), "conntrackd", "-C", conf)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("conntrackd: %s\n%s", out.Bytes(), log)
		}
	})
	return conf
}

var badVersions = regexp.MustCompile(`Wrong protocol version:\s+50\b`)

// TestConntrackd hears the hello of a real conntrackd over every kind of link, and is heard by it.
func TestConntrackd(t *testing.T) {
	for _, tt := range []struct {
		name, link, from string
		cfg              Config
	}{
		{
			"multicast", "Multicast {\nIPv4_address 225.0.0.50\nGroup 3780\nIPv4_interface 10.1.0.2\nInterface sync0\n}",
			"10.1.0.2", Config{},
		},
		{
			"multicast IPv6", "Multicast {\nIPv6_address ff02::c7\nGroup 3780\nInterface sync0\n}",
			"fe80::2%sync0", Config{Group: addr("ff02::c7")},
		},
		{
			"unicast", "UDP {\nIPv4_address 10.1.0.2\nIPv4_Destination_Address 10.1.0.1\nPort 3780\nInterface sync0\n}",
			"10.1.0.2", Config{Peer: addr("10.1.0.2")},
		},
		{
			"unicast IPv6", "UDP {\nIPv6_address 2001:db8::2\nIPv6_Destination_Address 2001:db8::1\nPort 3780\nInterface sync0\n}",
			"2001:db8::2", Config{Peer: addr("2001:db8::2")},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			a := mustOpen(t, l.a, tt.cfg)
			atA := collect(t, a)
			conf := startConntrackd(t, l.b, tt.link)
			texts, sources := atA.wait(t, 1)
			first, src := texts[0], sources[0].Addr()
			if src != addr(tt.from) {
				t.Errorf("from %v, want %s", src, tt.from)
			}
			// version and type 1 and 10, length at least a header: a control message.
			if len(first) < 8 || first[0] != 0x1a || int(binary.BigEndian.Uint16([]byte(first[2:]))) > len(first) {
				t.Errorf("first datagram % x is no control message", first)
			}
			// It counts what is of a version that it does not know, so it shows how many datagrams it saw; those of
			// one run have to be apart again.
			const total = 50
			bad := slices.Repeat([]string{"\xf0\x00\x00\x08\x00\x00\x00\x00"}, total)
			sendText(t, a, bad...)
			stats := func() string { return l.b.Run(t, "conntrackd", "-C", conf, "-s", "network") }
			nstest.Eventually(t, patience, func() bool { return badVersions.FindString(stats()) != "" },
				func() string { return "conntrackd has not seen 50 datagrams:\n" + stats() })
			if st := a.Stats(); !a.send.gso.Load() || st.WrongSource+st.WrongInterface+st.Looped != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
