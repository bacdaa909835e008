package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// key is a key of a table, and the function that reads its value into the Config.
type key struct {
	name string
	read func(*parser, *node)
}

// The tables of a configuration file as messages name them.
const (
	vrrpTable      = "[failover-mechanism.vrrp]"
	interfaceTable = "[interface.NAME]"
)

// The limits of a MB value. The kernel clamps a forced receive buffer at INT_MAX/2, a little under 1024 MB.
const (
	maxEventQueue = 1024
	maxSyncQueue  = 256
)

// maxCacheLimit bounds cache-limit: a cache can number so many entries, half of them of each family. At about 100 bytes
// per flow this is 3.4 GB for each cache.
const maxCacheLimit = 33_546_240

var topKeys = []key{
	{"accept-address", func(p *parser, n *node) { p.addressRules(n, &p.cfg.AcceptAddress, nil) }},
	{"accept-protocol", func(p *parser, n *node) { p.protocols(n, &p.cfg.AcceptProtocol) }},
	{"accept-state", func(p *parser, n *node) { p.tcpStates(n, &p.cfg.AcceptState) }},
	{"accept-status", (*parser).acceptStatus},
	{"cache-limit", func(p *parser, n *node) { p.integer(n, &p.cfg.CacheLimit, 0, maxCacheLimit) }},
	{"coalesce", func(p *parser, n *node) { p.duration(n, &p.cfg.Coalesce, 0, 100*time.Millisecond) }},
	{"control-group", func(p *parser, n *node) { p.group(n, &p.cfg.ControlGID) }},
	{"disable-external-cache", func(p *parser, n *node) { p.boolean(n, &p.cfg.DisableExternalCache) }},
	{"disable-syslog", func(p *parser, n *node) { p.boolean(n, &p.cfg.DisableSyslog) }},
	{"event-listen-queue-size", func(p *parser, n *node) { p.megabytes(n, &p.cfg.EventListenQueueSize, maxEventQueue) }},
	{"expect-sync", (*parser).expectSync},
	{"ignore-address", func(p *parser, n *node) { p.addressRules(n, &p.cfg.IgnoreAddress, &p.cfg.IgnoreOwn) }},
	{"ignore-protocol", func(p *parser, n *node) { p.protocols(n, &p.cfg.IgnoreProtocol) }},
	{"ignore-state", func(p *parser, n *node) { p.tcpStates(n, &p.cfg.IgnoreState) }},
	{"keepalived-config", func(p *parser, n *node) { p.path(n, &p.cfg.KeepalivedConfig) }},
	{"listen-address", (*parser).listenAddress},
	{"mcast-group", (*parser).mcastGroup},
	{"metrics-group", func(p *parser, n *node) { p.group(n, &p.cfg.MetricsGID) }},
	{"mode", (*parser).mode},
	{"purge-timeout", (*parser).purgeTimeout},
	{"restore-foreign-nat", func(p *parser, n *node) { p.boolean(n, &p.cfg.RestoreForeignNAT) }},
	{"restore-labels", func(p *parser, n *node) { p.boolean(n, &p.cfg.RestoreLabels) }},
	{"socket", (*parser).socket},
	{"socket-group", func(p *parser, n *node) { p.group(n, &p.cfg.SocketGID) }},
	{"startup-resync", func(p *parser, n *node) { p.boolean(n, &p.cfg.StartupResync) }},
	{"state-directory", func(p *parser, n *node) { p.path(n, &p.cfg.StateDirectory) }},
	{"sweep-interval", func(p *parser, n *node) { p.duration(n, &p.cfg.SweepInterval, time.Second, 24*time.Hour) }},
	{"sync-queue-size", func(p *parser, n *node) { p.megabytes(n, &p.cfg.SyncQueueSize, maxSyncQueue) }},
	{"tcp-window-tracking", func(p *parser, n *node) { p.boolean(n, &p.cfg.TCPWindowTracking) }},
}

var vrrpKeys = []key{
	{"instance", func(p *parser, n *node) { p.followed(n, &p.cfg.Instance, "vrrp_instance") }},
	{"sync-group", func(p *parser, n *node) { p.followed(n, &p.cfg.SyncGroup, "vrrp_sync_group") }},
}

var interfaceKeys = []key{
	{"mcast-peer", (*parser).mcastPeer},
	{"peer", (*parser).peer},
	{"port", func(p *parser, n *node) { p.integer(n, &p.link().Port, 1, 65535) }},
}

// top reads the whole document.
func (p *parser) top(root *node) {
	rest := &node{kind: unstable.Table}
	for _, f := range root.fields {
		switch f.key {
		case "failover-mechanism":
			p.failover(f)
		case "interface":
			p.interfaces(f)
		default:
			rest.fields = append(rest.fields, f)
		}
	}
	p.keys(rest, topKeys, "failover-mechanism", "interface")
}

// keys reads the fields of a table that may have these keys. more are further names to suggest instead of an unknown
// key.
func (p *parser) keys(table *node, keys []key, more ...string) {
	for _, f := range table.fields {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == f.key })
		if i < 0 && moved[f.key] != "" {
			p.movedKey(f)
			continue
		}
		if i < 0 {
			p.problem(f.at, "unknown key %q%s", f.key, unknownHint(f.key, keys, more))
			continue
		}
		before := len(p.problems)
		keys[i].read(p, f)
		if len(p.problems) == before {
			p.given[f.key] = f
		}
	}
}

// failover reads [failover-mechanism], which contains the table of the mechanism.
func (p *parser) failover(n *node) {
	p.given[n.key] = n
	if n.kind != unstable.Table || len(n.fields) == 0 {
		p.problem(n.at, "failover-mechanism is a table: write %s and below it sync-group = \"...\"", vrrpTable)
		return
	}
	for _, f := range n.fields {
		switch {
		case f.key == "sync-group" || f.key == "instance":
			p.problem(f.at, "%s belongs in %s", f.key, vrrpTable)
		case f.key != "vrrp":
			p.problem(f.at, "unknown failover mechanism %q: vrrp is the only one, write %s", f.key, vrrpTable)
		case f.kind != unstable.Table:
			p.problem(f.at, "vrrp is a table: write %s and below it sync-group = \"...\"", vrrpTable)
		case f.field("sync-group") == nil && f.field("instance") == nil:
			p.problem(f.at, "%s has no sync-group: it names the vrrp_sync_group of keepalived.conf", vrrpTable)
			fallthrough
		default:
			p.keys(f, vrrpKeys)
		}
	}
}

// interfaces reads every [interface.NAME]. It checks also the keys of one too many, to report all problems at once.
func (p *parser) interfaces(n *node) {
	p.given[n.key] = n
	if n.kind != unstable.Table || len(n.fields) == 0 {
		p.problem(n.at, "interface is a table: write [interface.eth0] for the link eth0")
		return
	}
	for _, f := range n.fields {
		if f.kind != unstable.Table {
			p.problem(f.at, "%q is in [interface], which names no interface: write [interface.eth0] for the link eth0",
				f.key)
			continue
		}
		p.linkTable(f)
		if len(p.links) == MaxInterfaces+1 {
			p.problem(f.at, "more than %d links: remove this one; conntrackd has the same limit", MaxInterfaces)
		}
	}
}

// linkTable reads one [interface.NAME].
func (p *parser) linkTable(n *node) {
	if bad := badInterfaceName(n.key); bad != "" {
		p.problem(n.at, "%q is not a valid interface name: %s", n.key, bad)
	}
	// In TOML [interface.eth0.5] is table 5 of eth0, but it was meant to be the VLAN eth0.5.
	n.fields = slices.DeleteFunc(n.fields, func(f *node) bool {
		vlan := f.kind == unstable.Table &&
			!slices.ContainsFunc(interfaceKeys, func(k key) bool { return k.name == f.key })
		if vlan {
			p.problem(f.at, "a name with a dot needs quotes: [interface.%q]", n.key+"."+f.key)
		}
		return vlan
	})
	p.cfg.Interfaces = append(p.cfg.Interfaces, Interface{Name: n.key, Port: DefaultPort})
	p.links = append(p.links, linkTable{at: n.at})
	p.keys(n, interfaceKeys)
}

// link returns the link whose table is being read.
func (p *parser) link() *Interface { return &p.cfg.Interfaces[len(p.cfg.Interfaces)-1] }

// badInterfaceName says why the kernel would refuse a name (dev_valid_name in net/core/dev.c), or "".
func badInterfaceName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "it is reserved"
	case len(name) > 15:
		return fmt.Sprintf("it has %d bytes, at most 15 are allowed", len(name))
	}
	for _, c := range name {
		if c <= ' ' || c == '/' || c == ':' || c == 0x7f || c == 0x85 || c == 0xa0 {
			return fmt.Sprintf("it contains %q", c)
		}
	}
	return ""
}
