package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Change is one key whose value differs between two configurations.
type Change struct {
	Key      string // as in the file, with its table: "cache-limit", "[interface.eth0] port"
	Old, New string // as in the file; "" if the key was not set
	Restart  bool   // the change takes effect only at the next start of the daemon
}

// setting is one key's value, comparable.
type setting struct {
	key, value string
	restart    bool
}

// settings lists every key. A change needs a restart if the running daemon would have to move its control socket or
// its state.
func (c *Config) settings() []setting {
	list := []setting{
		{"accept-address", placeText(c.AcceptAddress, false), false},
		{"accept-protocol", protocolText(c.AcceptProtocol), false},
		{"accept-state", stateText(c.AcceptState), false},
		{"accept-status", statusText(c.AcceptStatus), false},
		{"cache-limit", strconv.Itoa(c.CacheLimit), false},
		{"coalesce", c.Coalesce.String(), false},
		{"control-group", group(c.ControlGID), true},
		{"disable-external-cache", strconv.FormatBool(c.DisableExternalCache), false},
		{"disable-syslog", strconv.FormatBool(c.DisableSyslog), false},
		{"event-listen-queue-size", megabytes(c.EventListenQueueSize), false},
		{"expect-sync", strings.Join(slices.Sorted(slices.Values(c.ExpectSync)), " "), false},
		{"ignore-address", placeText(c.IgnoreAddress, c.IgnoreOwn), false},
		{"ignore-protocol", protocolText(c.IgnoreProtocol), false},
		{"ignore-state", stateText(c.IgnoreState), false},
		{"keepalived-config", c.KeepalivedConfig, false},
		{"listen-address", addresses(c.ListenAddress), false},
		{"mcast-group", address(c.McastGroup), false},
		{"metrics-group", group(c.MetricsGID), true},
		{"purge-timeout", strconv.Itoa(int(c.PurgeTimeout.Seconds())), false},
		{"restore-foreign-nat", strconv.FormatBool(c.RestoreForeignNAT), false},
		{"restore-labels", strconv.FormatBool(c.RestoreLabels), false},
		{"socket", c.Socket, true},
		{"socket-group", group(c.SocketGID), true},
		{"startup-resync", strconv.FormatBool(c.StartupResync), false},
		{"state-directory", c.StateDirectory, true},
		{"sweep-interval", c.SweepInterval.String(), false},
		{"sync-queue-size", megabytes(c.SyncQueueSize), false},
		{"tcp-window-tracking", strconv.FormatBool(c.TCPWindowTracking), false},
		{vrrpTable + " sync-group", c.SyncGroup, false},
		{vrrpTable + " instance", c.Instance, false},
		{"interface", strings.Join(c.names(), " "), false},
	}
	for i := range c.Interfaces {
		l := &c.Interfaces[i]
		list = append(list, setting{l.table() + " peer", address(l.Peer), false},
			setting{l.table() + " mcast-peer", address(l.McastPeer), false},
			setting{l.table() + " port", strconv.Itoa(l.Port), false})
	}
	return list
}

// absent returns the old value of a key of a link that did not exist: the default.
func absent(key string) string {
	if strings.HasSuffix(key, " port") {
		return strconv.Itoa(DefaultPort)
	}
	return ""
}

// Changes lists the keys whose value differs from old, in the order of settings. It omits the keys of a link that was
// removed: the change of "interface" shows that.
func (c *Config) Changes(old *Config) []Change {
	var changes []Change
	before := map[string]string{}
	for _, was := range old.settings() {
		before[was.key] = was.value
	}
	for _, now := range c.settings() {
		was, known := before[now.key]
		if !known {
			was = absent(now.key)
		}
		if was != now.value {
			changes = append(changes, Change{Key: now.key, Old: was, New: now.value, Restart: now.restart})
		}
	}
	return changes
}

// NeedRestart lists the keys that differ from old and whose change needs a restart.
func (c *Config) NeedRestart(old *Config) []string {
	var keys []string
	for _, change := range c.Changes(old) {
		if change.Restart {
			keys = append(keys, change.Key)
		}
	}
	return keys
}

// TakeLive returns the configuration in force after a reload: loaded, but with those settings of c that a running
// daemon keeps until its next start.
func (c *Config) TakeLive(loaded *Config) *Config {
	force := *loaded
	force.Socket, force.SocketGID, force.ControlGID = c.Socket, c.SocketGID, c.ControlGID
	force.MetricsGID, force.StateDirectory = c.MetricsGID, c.StateDirectory
	return &force
}

func megabytes(bytes int) string { return strconv.Itoa(bytes >> 20) }

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// addresses keeps the order, because a link uses the first address that its interface has.
func addresses(list []netip.Addr) string {
	var texts []string
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}

// network returns a network as text, a single address without its length.
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
