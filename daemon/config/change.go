package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ctsync/daemon/flow"
)

// Change is one key whose value differs between two configurations.
type Change struct {
	Key      string // as in the file, with its table: "cache-limit", "[interface.eth0] port"
	Old, New string // as in the file; "" where nothing was given
	Restart  bool   // the daemon takes it up at its next start only
}

// setting is one key's value, comparable.
type setting struct {
	key, value string
	restart    bool
}

// settings lists every key. A key whose change would mean to close a socket, to lose the peer's session or to move the
// state of a running daemon needs a restart.
func (c *Config) settings() []setting {
	return []setting{
		{"accept-protocol", protocols(c.AcceptProtocol), false},
		{"cache-limit", strconv.Itoa(c.CacheLimit), false},
		{"coalesce", c.Coalesce.String(), true},
		{"control-group", group(c.ControlGID), true},
		{"disable-syslog", strconv.FormatBool(c.DisableSyslog), false},
		{"event-listen-queue-size", megabytes(c.EventListenQueueSize), true},
		{"expect-sync", strings.Join(slices.Sorted(slices.Values(c.ExpectSync)), " "), false},
		{"ignore-address", ignored(c), false},
		{"listen-address", addresses(c.ListenAddress), true},
		{"mcast-group", address(c.McastGroup), true},
		{"metrics-listen", addrPort(c.MetricsListen), true},
		{"metrics-web-config", c.MetricsWebConfig, true},
		{"purge-timeout", strconv.Itoa(int(c.PurgeTimeout.Seconds())), false},
		{"socket", c.Socket, true},
		{"socket-group", group(c.SocketGID), true},
		{"startup-resync", strconv.FormatBool(c.StartupResync), false},
		{"state-directory", c.StateDirectory, true},
		{"sweep-interval", c.SweepInterval.String(), false},
		{"sync-queue-size", megabytes(c.SyncQueueSize), true},
		{"tcp-window-tracking", strconv.FormatBool(c.TCPWindowTracking), false},
		{vrrpTable + " sync-group", c.SyncGroup, false},
		{"interface", c.Interface.Name, true},
		{c.Interface.table() + " peer", address(c.Interface.Peer), true},
		{c.Interface.table() + " port", strconv.Itoa(c.Interface.Port), true},
	}
}

// Changes lists the keys whose value differs from old, in the order of the reference.
func (c *Config) Changes(old *Config) []Change {
	var changes []Change
	before := old.settings()
	for i, now := range c.settings() {
		if was := before[i]; was.value != now.value {
			changes = append(changes, Change{Key: now.key, Old: was.value, New: now.value, Restart: now.restart})
		}
	}
	return changes
}

// NeedRestart lists the keys that differ from old and that a running daemon does not take up.
func (c *Config) NeedRestart(old *Config) []string {
	var keys []string
	for _, change := range c.Changes(old) {
		if change.Restart {
			keys = append(keys, change.Key)
		}
	}
	return keys
}

// TakeLive returns c with the settings of loaded that a running daemon takes up: what is in force after a reload.
func (c *Config) TakeLive(loaded *Config) *Config {
	force := *c
	force.AcceptProtocol = loaded.AcceptProtocol
	force.IgnoreAddress, force.IgnoreOwn = loaded.IgnoreAddress, loaded.IgnoreOwn
	force.CacheLimit = loaded.CacheLimit
	force.DisableSyslog = loaded.DisableSyslog
	force.ExpectSync = loaded.ExpectSync
	force.PurgeTimeout = loaded.PurgeTimeout
	force.StartupResync = loaded.StartupResync
	force.SweepInterval = loaded.SweepInterval
	force.TCPWindowTracking = loaded.TCPWindowTracking
	force.SyncGroup = loaded.SyncGroup
	return &force
}

func megabytes(bytes int) string { return strconv.Itoa(bytes >> 20) }

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// addresses is independent of the order, which says nothing.
func addresses(list []netip.Addr) string {
	sorted := slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
	var texts []string
	for _, a := range sorted {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}

// protocols and ignored are independent of the order as well, and of how often something is said.
func protocols(list []flow.Proto) string {
	var texts []string
	for _, p := range slices.Compact(slices.Sorted(slices.Values(list))) {
		texts = append(texts, protocolName(p))
	}
	return strings.Join(texts, " ")
}

func ignored(c *Config) string {
	var texts []string
	for _, p := range c.IgnoreAddress {
		texts = append(texts, network(p))
	}
	if c.IgnoreOwn {
		texts = append(texts, ownWord)
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), " ")
}

// network writes a single address without its length.
func network(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func group(gid int) string {
	if gid < 0 {
		return ""
	}
	return fmt.Sprint(gid)
}
