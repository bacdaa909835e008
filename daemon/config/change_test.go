package config_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/config"
	"ctsync/daemon/flow"
)

func TestChanges(t *testing.T) {
	tests := []struct {
		old, now string
		want     []config.Change
	}{
		{tables, tables, nil},
		{"cache-limit = 0\ncoalesce = '5000us'\n" + tables, tables, nil},
		{"listen-address = ['192.0.2.1', '192.0.2.2']\n" + tables, "listen-address = ['192.0.2.2', '192.0.2.1']\n" + tables, []config.Change{
			{"listen-address", "192.0.2.1 192.0.2.2", "192.0.2.2 192.0.2.1", false},
		}},
		{"ignore-address = ['own', '192.0.2.1', '2001:db8::/32', '192.0.2.1/32']\naccept-protocol = ['udp', 'icmp6']\n" + tables,
			"ignore-address = ['2001:db8::/32', '192.0.2.1', 'own']\naccept-protocol = ['ipv6-icmp', 'udp', 'udp']\n" + tables, nil},
		{"ignore-address = ['192.0.2.1']\n" + tables, "ignore-address = ['192.0.2.0/24', 'own']\naccept-protocol = ['tcp', 'icmp6']\n" + tables, []config.Change{
			{"accept-protocol", "", "tcp icmpv6", false},
			{"ignore-address", "192.0.2.1", "192.0.2.0/24 own", false},
		}},
		{tables, "cache-limit = 5\ndisable-external-cache = true\npurge-timeout = 10\nsweep-interval = '2m'\ndisable-syslog = true\nstartup-resync = false\ntcp-window-tracking = true\nkeepalived-config = '/k'\nrestore-labels = false\n" + tables, []config.Change{
			{"cache-limit", "0", "5", false},
			{"disable-external-cache", "false", "true", false},
			{"disable-syslog", "false", "true", false},
			{"keepalived-config", "/etc/keepalived/keepalived.conf", "/k", false},
			{"purge-timeout", "60", "10", false},
			{"restore-labels", "true", "false", false},
			{"startup-resync", "true", "false", false},
			{"sweep-interval", "1m0s", "2m0s", false},
			{"tcp-window-tracking", "false", "true", false},
		}},
		{tables, "coalesce = '2ms'\nevent-listen-queue-size = 9\nsync-queue-size = 2\nsocket = '/s'\nsocket-group = 0\nstate-directory = '/d'\n" + tables, []config.Change{
			{"coalesce", "5ms", "2ms", false},
			{"event-listen-queue-size", "64", "9", false},
			{"socket", "/run/ctsync/ctsync.sock", "/s", true},
			{"socket-group", "", "0", true},
			{"state-directory", "/var/lib/ctsync", "/d", true},
			{"sync-queue-size", "8", "2", false},
		}},
		{tables, "control-group = 0\nmetrics-group = 0\n" + tables, []config.Change{
			{"control-group", "", "0", true}, {"metrics-group", "", "0", true},
		}},
		{"expect-sync = ['sip', 'ftp']\n" + tables, "expect-sync = ['ftp', 'sip']\n" + tables, nil},
		{tables, "expect-sync = ['sip', 'ftp']\n" + tables, []config.Change{{"expect-sync", "", "ftp sip", false}}},
		{tables, "listen-address = ['192.0.2.1']\n[failover-mechanism.vrrp]\nsync-group = 'other'\n[interface.eth1]\nport = 9\npeer = '192.0.2.2'", []config.Change{
			{"listen-address", "", "192.0.2.1", false},
			{"mcast-group", "225.0.0.50", "", false},
			{"[failover-mechanism.vrrp] sync-group", "syncgrp", "other", false},
			{"interface", "eth0", "eth1", false},
			{"[interface.eth1] peer", "", "192.0.2.2", false},
			{"[interface.eth1] port", "3780", "9", false},
		}},
		{tables, "[failover-mechanism.vrrp]\ninstance = 'VI_1'\n[interface.eth0]", []config.Change{
			{"[failover-mechanism.vrrp] sync-group", "syncgrp", "", false},
			{"[failover-mechanism.vrrp] instance", "", "VI_1", false},
		}},
		{tables, tables + "[interface.eth1]\n[interface.eth2]\nport = 3781\n", []config.Change{
			{"interface", "eth0", "eth0 eth1 eth2", false},
			{"[interface.eth2] port", "3780", "3781", false},
		}},
		{tables + "port = 9\n[interface.eth1]\nport = 7", tables + "port = 8", []config.Change{
			{"interface", "eth0 eth1", "eth0", false},
			{"[interface.eth0] port", "9", "8", false},
		}},
	}
	for _, tt := range tests {
		old, now := parse(t, tt.old), parse(t, tt.now)
		got := now.Changes(old)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("changes from\n%sto\n%s(-want +got):\n%s", tt.old, tt.now, diff)
		}
		var restart []string
		for _, c := range tt.want {
			if c.Restart {
				restart = append(restart, c.Key)
			}
		}
		if diff := cmp.Diff(restart, now.NeedRestart(old)); diff != "" {
			t.Errorf("NeedRestart (-want +got):\n%s", diff)
		}
	}
}

// A field that Changes forgets would be dropped on a reload without a word.
func TestChangesKnowsEveryField(t *testing.T) {
	var mutate func(c *config.Config, v reflect.Value, path string)
	mutate = func(c *config.Config, v reflect.Value, path string) {
		before := reflect.ValueOf(v.Interface())
		switch x := v.Addr().Interface().(type) {
		case *int:
			*x += 1 << 20
		case *bool:
			*x = !*x
		case *string:
			*x += "x"
		case *time.Duration:
			*x += time.Second
		case *netip.Addr:
			*x = netip.MustParseAddr("192.0.2.77")
		case *[]string:
			*x = append(*x, "ftp")
		case *[]netip.Addr:
			*x = append(*x, netip.MustParseAddr("192.0.2.77"))
		case *[]flow.Place:
			*x = append(*x, flow.Place{Net: netip.MustParsePrefix("192.0.2.0/24"), Sides: flow.ReplySrc})
		case *[]uint8:
			*x = append(*x, flow.TCPSynSent)
		case *uint32:
			*x |= flow.StatusAssured
		case *config.Filter:
			for i := range v.NumField() {
				mutate(c, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
			return
		case *[]flow.Proto:
			*x = append(*x, flow.SCTP)
		case *netip.AddrPort:
			*x = netip.MustParseAddrPort("192.0.2.77:1")
		case *[]config.Interface:
			for i := range v.Index(0).NumField() {
				mutate(c, v.Index(0).Field(i), path+"."+v.Index(0).Type().Field(i).Name)
			}
			return
		default:
			t.Fatalf("%s has a type this test does not know: %s", path, v.Type())
		}
		changes := c.Changes(base())
		if len(changes) != 1 {
			t.Errorf("%d changes after %s changed, want 1", len(changes), path)
		} else if taken := len(base().TakeLive(c).Changes(base())) == 1; taken == changes[0].Restart {
			t.Errorf("%s: TakeLive applies it: %v, needs a restart: %v", path, taken, changes[0].Restart)
		}
		v.Set(before)
	}
	c := base()
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		mutate(c, v.Field(i), v.Type().Field(i).Name)
	}
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
