// Package config reads ctsync's configuration file: strict parse, validation, defaults, and watching it for changes.
//
// The file is TOML. Its keys are those of VyOS's conntrack-sync, so that an operator of VyOS or conntrackd can write it
// without help. Nothing in it is ignored: Load refuses an unknown key, a wrong type and an impossible value, each with
// file, line, column and what was probably meant, and reports all problems of a file at once.
//
// A MB is 1 048 576 bytes, as in VyOS.
package config

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/owned"
)

// DefaultPath is where the daemon looks for its configuration file.
const DefaultPath = "/etc/ctsync/ctsync.toml"

// DefaultKeepalived is where keepalived looks for its configuration file.
const DefaultKeepalived = "/etc/keepalived/keepalived.conf"

// maxFile bounds what Load reads, in bytes. A real file has a few hundred; the bound is for a path that names a device.
const maxFile = 64 << 10

// Config is a validated configuration. A key that is not in the file has its default.
type Config struct {
	// Filter says which flows are replicated.
	Filter
	// EventListenQueueSize (event-listen-queue-size, MB in the file) is the limit in bytes to which the receive buffer
	// of the ctnetlink event socket may grow. The default of 64 MB is more than that of VyOS: an event takes 1,280
	// bytes there, and only events that wait use memory.
	EventListenQueueSize int
	// SyncQueueSize (sync-queue-size, MB in the file) is the size in bytes of each socket buffer of a sync link. The
	// default of 8 MB is more than that of VyOS: conntrackd sends a bulk as fast as it can, and only datagrams that
	// wait use memory.
	SyncQueueSize int
	// McastGroup (mcast-group) is the IPv4 or IPv6 group of multicast links. It is the zero Addr if the interfaces have
	// a Peer.
	McastGroup netip.Addr
	// ListenAddress (listen-address) holds local addresses of the links in the order of the file, without duplicates.
	// The zone of a link-local one may be the interface of a link. Listen returns the ones that a link may use.
	ListenAddress []netip.Addr
	// StartupResync (startup-resync) makes the daemon request the peer's whole table at start. The default is true. It
	// is false in VyOS and conntrackd, where a restarted standby stays empty until flows change.
	StartupResync bool
	// DisableSyslog (disable-syslog) sends no log lines to syslog.
	DisableSyslog bool
	// Socket (socket) is the absolute path of the control socket.
	Socket string
	// SocketGID (socket-group, a name or a number in the file) is the group that may use the control socket. -1 is the
	// group that the daemon runs as: an unprivileged daemon cannot give its socket to a group that it is not a member
	// of.
	SocketGID int
	// ControlGID (control-group, a name or a number in the file) is the group whose members may act through the control
	// socket and not only read. -1 is the group that the daemon runs as.
	ControlGID int
	// MetricsGID (metrics-group, a name or a number in the file) is the group whose members may connect, too, to read the
	// metrics and nothing else. -1 is the group ctsync-exporter, if there is one.
	MetricsGID int
	// ExpectSync (expect-sync) holds the protocols whose expectations are replicated: ExpectAll alone, or any of ftp,
	// h323, nfs, sip and sqlnet. It is empty by default.
	ExpectSync []string
	// DisableExternalCache (disable-external-cache) injects the peer's flows into the kernel as they come.
	DisableExternalCache bool
	// CacheLimit (cache-limit) bounds the entries of each cache. 0 is twice nf_conntrack_max.
	CacheLimit int
	// Coalesce (coalesce) is the longest time for which the reader gathers events while they come fast. 0 passes on
	// each event at once.
	Coalesce time.Duration
	// StateDirectory (state-directory) is the absolute path of the directory for what a restart must not lose, such as
	// the history of transitions.
	StateDirectory string
	// SweepInterval (sweep-interval) is the time between two background comparisons of the internal cache with the
	// kernel.
	SweepInterval time.Duration
	// PurgeTimeout (purge-timeout, seconds in the file as in VyOS) is how long a router that is no longer master keeps
	// in its kernel the flows that it no longer serves.
	PurgeTimeout time.Duration
	// TCPWindowTracking (tcp-window-tracking) restores TCP flows without the be-liberal flag, so that the kernel
	// checks their sequence numbers against the restored window.
	TCPWindowTracking bool
	// SyncGroup (sync-group in [failover-mechanism.vrrp]) is the keepalived sync group whose transitions decide the
	// role, Instance (instance) the vrrp_instance of which the same is true. One of them is "".
	SyncGroup, Instance string
	// KeepalivedConfig (keepalived-config) is the absolute path of keepalived's configuration, in which the daemon
	// looks for SyncGroup or Instance.
	KeepalivedConfig string
	// RestoreForeignNAT (restore-foreign-nat) restores flows that are translated to an address of the other router, which
	// cannot work here.
	RestoreForeignNAT bool
	// RestoreLabels (restore-labels) restores the connection labels of the peer's flows.
	RestoreLabels bool
	// Interfaces are the dedicated links to the peer in the order of the file, 1 to MaxInterfaces. Either all have a
	// Peer or none has.
	Interfaces []Interface
}

// MaxInterfaces is how many dedicated links there may be. It is conntrackd's limit.
const MaxInterfaces = 4

// DefaultPort is the UDP port of a link that names none.
const DefaultPort = 3780

// Interface is one dedicated link to the peer, [interface.NAME].
type Interface struct {
	// Name is the name of the network interface, at most 15 bytes (IFNAMSIZ less its NUL).
	Name string
	// Port (port) is the UDP port at both ends.
	Port int
	// Peer (peer) is the unicast address of the other router, or the zero Addr for a multicast link. A link-local
	// address has no zone: it is on Name.
	Peer netip.Addr
	// McastPeer (mcast-peer) is the address from which the other router sends to McastGroup: nobody else is heard. The
	// zero Addr is whoever is heard first.
	McastPeer netip.Addr
}

// table returns the header of the link's table in the file.
func (i *Interface) table() string { return "[interface." + quoteKey(i.Name) + "]" }

// Default returns a Config with all defaults. SyncGroup, Instance and Interfaces have no default and are empty.
func Default() *Config {
	return &Config{
		Filter:               Filter{IgnoreProtocol: []flow.Proto{flow.IGMP, flow.VRRP}},
		EventListenQueueSize: 64 << 20,
		SyncQueueSize:        8 << 20,
		McastGroup:           netip.AddrFrom4([4]byte{225, 0, 0, 50}),
		StartupResync:        true,
		Socket:               "/run/ctsync/ctsync.sock",
		SocketGID:            -1,
		ControlGID:           -1,
		MetricsGID:           -1,
		Coalesce:             5 * time.Millisecond,
		StateDirectory:       "/var/lib/ctsync",
		SweepInterval:        60 * time.Second,
		PurgeTimeout:         60 * time.Second,
		KeepalivedConfig:     DefaultKeepalived,
		RestoreForeignNAT:    true,
		RestoreLabels:        true,
	}
}

// Listen returns the addresses of listen-address from which link may send, without zones: those of its family whose
// zone, if they have one, is its interface. It is empty only if listen-address is.
func (c *Config) Listen(link *Interface) []netip.Addr {
	var list []netip.Addr
	for _, a := range c.ListenAddress {
		if a.Is4() == c.Remote(link).Is4() && (a.Zone() == "" || a.Zone() == link.Name) {
			list = append(list, a.WithZone(""))
		}
	}
	return list
}

// Remote returns the address that a link sends to: its peer or the group.
func (c *Config) Remote(link *Interface) netip.Addr {
	if link.Peer.IsValid() {
		return link.Peer
	}
	return c.McastGroup
}

// Load reads and parses the file at path. The error is Problems if the file could be read.
func Load(path string) (*Config, error) {
	f, err := owned.OpenRegular(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse parses the text of a configuration file. name is the name of the file in messages. The error is Problems, in
// the order of the file, and the Config is nil then.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > maxFile {
		return nil, Problems{{File: name, Text: fmt.Sprintf("larger than %d bytes: not a configuration file", maxFile)}}
	}
	p := &parser{cfg: Default(), given: make(map[string]*node)}
	if root := p.document(data); root != nil {
		p.top(root)
		p.relations()
	}
	if problems := p.sorted(name); len(problems) > 0 {
		return nil, problems
	}
	return p.cfg, nil
}
