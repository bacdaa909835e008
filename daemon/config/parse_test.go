package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/config"
	"ctsync/daemon/flow"
)

// tables is what every file must have. The lines of a case come before it.
const tables = `[failover-mechanism.vrrp]
sync-group = "syncgrp"
[interface.eth0]
`

// base is the configuration of tables alone.
func base() *config.Config {
	c := config.Default()
	c.SyncGroup = "syncgrp"
	c.Interfaces = []config.Interface{{Name: "eth0", Port: config.DefaultPort}}
	return c
}

var addressesEqual = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestParseGood(t *testing.T) {
	tests := []struct {
		name, text string
		want       func(c *config.Config)
	}{
		{"least", tables, func(*config.Config) {}},
		{"the reference page's example", "mcast-group = '225.0.0.50'\n" + tables, func(*config.Config) {}},
		{"unicast", tables + "peer = '198.51.100.2'\nport = 3781", func(c *config.Config) {
			c.Interfaces[0].Peer, c.Interfaces[0].Port = netip.MustParseAddr("198.51.100.2"), 3781
			c.McastGroup = netip.Addr{}
		}},
		{"named on the group", tables + "mcast-peer = '198.51.100.2'", func(c *config.Config) {
			c.Interfaces[0].McastPeer = netip.MustParseAddr("198.51.100.2")
		}},
		{"IPv6 group", "mcast-group = 'ff02::50'\nlisten-address = ['198.51.100.1', 'fe80::1%eth0']\n" + tables, func(c *config.Config) {
			c.McastGroup = netip.MustParseAddr("ff02::50")
			c.ListenAddress = []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("fe80::1%eth0")}
		}},
		{"IPv6 peer with the link as its zone", tables + "peer = 'fe80::2%eth0'", func(c *config.Config) {
			c.Interfaces[0].Peer = netip.MustParseAddr("fe80::2")
			c.McastGroup = netip.Addr{}
		}},
		{"several links, in the order of the file", "listen-address = ['198.51.100.1', '203.0.113.1', '192.0.2.1']\n" + tables + "peer = '198.51.100.2'\n[interface.eth2]\npeer = '203.0.113.2'\nport = 3781\n[interface.eth1]\npeer = '198.51.100.2'\nport = 3782", func(c *config.Config) {
			c.McastGroup = netip.Addr{}
			for _, a := range []string{"198.51.100.1", "203.0.113.1", "192.0.2.1"} {
				c.ListenAddress = append(c.ListenAddress, netip.MustParseAddr(a))
			}
			c.Interfaces = []config.Interface{
				{Name: "eth0", Port: 3780, Peer: netip.MustParseAddr("198.51.100.2")},
				{Name: "eth2", Port: 3781, Peer: netip.MustParseAddr("203.0.113.2")},
				{Name: "eth1", Port: 3782, Peer: netip.MustParseAddr("198.51.100.2")},
			}
		}},
		{"one link-local address on several links", "listen-address = ['fe80::1']\n" + tables + "peer = 'fe80::2'\n[interface.eth1]\npeer = 'fe80::2%eth1'", func(c *config.Config) {
			c.McastGroup = netip.Addr{}
			c.ListenAddress = []netip.Addr{netip.MustParseAddr("fe80::1")}
			c.Interfaces = []config.Interface{
				{Name: "eth0", Port: 3780, Peer: netip.MustParseAddr("fe80::2")},
				{Name: "eth1", Port: 3780, Peer: netip.MustParseAddr("fe80::2")},
			}
		}},
		{"inline tables and dotted keys", "failover-mechanism.vrrp.sync-group = 'g 1'\ninterface = {\"eth0.5\" = {port = 0xEC4}}", func(c *config.Config) {
			c.SyncGroup, c.Interfaces[0].Name = "g 1", "eth0.5"
		}},
		{"every protocol", "accept-protocol = ['udp', 'tcp', 'icmp', 'sctp', 'dccp', 'icmp6', 'ipv6-icmp', 'tcp']\n" + tables, func(c *config.Config) {
			c.AcceptProtocol = []flow.Proto{flow.ICMP, flow.TCP, flow.UDP, flow.DCCP, flow.ICMPv6, flow.SCTP}
		}},
		{"ignored addresses", "ignore-address = ['192.0.2.0/24', 'own', '2001:db8::1', '198.51.100.7', '::/0']\n" + tables, func(c *config.Config) {
			c.IgnoreOwn = true
			for _, p := range []string{"192.0.2.0/24", "2001:db8::1/128", "198.51.100.7/32", "::/0"} {
				c.IgnoreAddress = append(c.IgnoreAddress, flow.Place{Net: netip.MustParsePrefix(p), Sides: flow.OrigSides})
			}
		}},
		{"protocols as conntrackd writes them", "accept-protocol = ['TCP', 'IPv6-ICMP', 'VRRP', 'OSPFIGP', '50', 47, 'IPSEC-AH']\n" + tables, func(c *config.Config) {
			c.AcceptProtocol = []flow.Proto{flow.TCP, flow.GRE, 50, 51, flow.ICMPv6, 89, flow.VRRP}
		}},
		{"no protocol ignored", "ignore-protocol = []\n" + tables, func(c *config.Config) { c.IgnoreProtocol = nil }},
		{"states and status", "ignore-state = ['SYN_SENT', 'closed', 'time-wait', 'LISTEN']\naccept-status = ['assured', 'replied']\n" + tables, func(c *config.Config) {
			c.IgnoreState = []uint8{flow.TCPSynSent, flow.TCPTimeWait, flow.TCPClose, flow.TCPSynSent2}
			c.AcceptStatus = flow.StatusAssured | flow.StatusSeenReply
		}},
		{"sides of addresses", "accept-address = ['src:10.0.0.0/8', 'reply-src:fd00::1', 'dst: 192.0.2.1', 'reply-dst:198.51.100.0/24', 'fd00::/8']\n" + tables, func(c *config.Config) {
			for _, p := range []struct {
				net   string
				sides flow.Sides
			}{
				{"10.0.0.0/8", flow.OrigSrc}, {"fd00::1/128", flow.ReplySrc}, {"192.0.2.1/32", flow.OrigDst},
				{"198.51.100.0/24", flow.ReplyDst}, {"fd00::/8", flow.OrigSides},
			} {
				c.AcceptAddress = append(c.AcceptAddress, flow.Place{Net: netip.MustParsePrefix(p.net), Sides: p.sides})
			}
		}},
		{"nothing filtered", "accept-protocol = []\nignore-address = []\n" + tables, func(*config.Config) {}},
		{"values that ask for what this version does", "expect-sync = []\ndisable-external-cache = false\nmode = 'ftfw'\n" + tables,
			func(*config.Config) {}},
		{"everything else", `
event-listen-queue-size = 65
sync-queue-size = 4
startup-resync = false
disable-syslog = true
disable-external-cache = true
socket = "/tmp/x/../s"
socket-group = 27
cache-limit = 1_000_000
coalesce = "0s"
state-directory = "/tmp/state/"
sweep-interval = "1m30s"
purge-timeout = 5
tcp-window-tracking = true
expect-sync = ["ftp", "h323"]
keepalived-config = "/usr/local/etc/keepalived/keepalived.conf"
restore-labels = false
` + tables, func(c *config.Config) {
			c.EventListenQueueSize, c.SyncQueueSize = 65<<20, 4<<20
			c.StartupResync, c.DisableSyslog, c.TCPWindowTracking, c.DisableExternalCache = false, true, true, true
			c.ExpectSync = []string{"ftp", "h323"}
			c.KeepalivedConfig, c.RestoreLabels = "/usr/local/etc/keepalived/keepalived.conf", false
			c.Socket, c.SocketGID, c.StateDirectory = "/tmp/s", 27, "/tmp/state"
			c.CacheLimit, c.Coalesce, c.SweepInterval, c.PurgeTimeout = 1000000, 0, 90*time.Second, 5*time.Second
		}},
		{"groups", "control-group = 28\nmetrics-group = 29\n" + tables, func(c *config.Config) { c.ControlGID, c.MetricsGID = 28, 29 }},
		{"group by name", "socket-group = 'root'\n" + tables, func(c *config.Config) { c.SocketGID = 0 }},
		{"carriage returns", strings.ReplaceAll("cache-limit = 7\n"+tables, "\n", "\r\n"), func(c *config.Config) { c.CacheLimit = 7 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.Parse("f", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			want := base()
			tt.want(want)
			if diff := cmp.Diff(want, got, addressesEqual); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListenPicksForEachLink(t *testing.T) {
	const both = "listen-address = ['198.51.100.1', '2001:db8::1', 'fe80::1%eth0', '198.51.100.3']\n"
	for _, tt := range []struct{ text, want string }{
		{both + tables, "[198.51.100.1 198.51.100.3]"},
		{both + "mcast-group = 'ff02::50'\n" + tables, "[2001:db8::1 fe80::1]"},
		{both + tables + "peer = '2001:db8::2'", "[2001:db8::1 fe80::1]"},
		{both + "mcast-group = 'ff02::50'\n[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.eth1]\n[interface.eth0]", "[2001:db8::1]"},
		{tables, "[]"},
	} {
		c := parse(t, tt.text)
		if got := fmt.Sprint(c.Listen(&c.Interfaces[0])); got != tt.want {
			t.Errorf("Listen() = %s, want %s, with\n%s", got, tt.want, tt.text)
		}
	}
}

// The whole text of an error is compared: it is what an operator has to go by.
func TestParseBad(t *testing.T) {
	for _, tt := range badFiles {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("f", []byte(tt.text))
			if c != nil {
				t.Error("a Config came with the error")
			}
			if err == nil {
				t.Fatalf("no error, want\n%s", tt.want)
			}
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Errorf("%T is not Problems", err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctsync.toml")
	if _, err := config.Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v, want os.ErrNotExist", err)
	}
	if _, err := config.Load(filepath.Dir(path)); err == nil {
		t.Error("a directory was loaded")
	}
	write(t, path, "nonsense = 1\n"+tables)
	if _, err := config.Load(path); err == nil || err.Error() != path+`:1:1: unknown key "nonsense"` {
		t.Errorf("the path is not in the message: %v", err)
	}
	write(t, path, tables)
	if c, err := config.Load(path); err != nil || c.SyncGroup != "syncgrp" {
		t.Errorf("Load = %+v, %v", c, err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil ||
		err.Error() != path+": larger than 65536 bytes: not a configuration file" {
		t.Errorf("endless file: %v", err)
	}
	if _, err := config.Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "it is a device") {
		t.Errorf("device: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A pipe in the place of the file would make the daemon wait for its writer.
func TestLoadOfAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctsync.toml")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), "it is a FIFO") {
		t.Errorf("error %v", err)
	}
}
