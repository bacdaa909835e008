package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ctsync/daemon/rtnetlink"
)

// DefaultPort is the UDP port of both ends unless Config.Port says otherwise.
const DefaultPort = 3780

// DefaultGroup is the multicast group used when Config names neither a peer nor a group.
var DefaultGroup = netip.AddrFrom4([4]byte{225, 0, 0, 50})

// What may be missing when a link is opened. It may appear later: Open again then.
var (
	ErrNoInterface = errors.New("no such interface")
	ErrNoAddress   = errors.New("no usable address")
)

// Config says where a link goes. Peer and Group exclude each other; without either the link uses DefaultGroup.
type Config struct {
	Interface string     // name of the interface; its MTU sizes the datagrams
	Port      int        // UDP port at both ends, 0 = DefaultPort
	Peer      netip.Addr // unicast: the other router
	Group     netip.Addr // multicast: the group both routers join
	From      netip.Addr // multicast: the only sender that is heard; invalid = any that is on the link
	// Listen holds own addresses. The link sends from the first of them that its interface has, and a unicast link
	// receives on it. A unicast link takes the only one even if another interface has it. None = see Open.
	Listen []netip.Addr

	// Virtual are addresses that may vanish in a failover: the link sends from another one if it can choose. They
	// matter when the link is opened, and a change of them is no reason to open it again.
	Virtual []netip.Addr

	// SendBuffer and RecvBuffer are the sizes of the socket buffers in bytes, like conntrackd's SndSocketBuffer and
	// RcvSocketBuffer (the kernel doubles the number for its own overhead). 0 leaves the system default.
	SendBuffer, RecvBuffer int
}

// Equal reports whether c and o are the same configuration but for Virtual, so that the link need not be opened again.
func (c Config) Equal(o Config) bool {
	return c.Interface == o.Interface && c.Port == o.Port && c.Peer == o.Peer && c.Group == o.Group && c.From == o.From &&
		slices.Equal(c.Listen, o.Listen) && c.SendBuffer == o.SendBuffer && c.RecvBuffer == o.RecvBuffer
}

// Link is one open link. One goroutine reads; the other methods may be called from any goroutine.
type Link struct {
	cfg    Config
	remote netip.Addr // group or peer, without a zone
	local  netip.Addr // own address, without a zone, that the link sends from
	dev    device     // the interface as it was when the link was opened

	addrs   *rtnetlink.Conn
	sources atomic.Pointer[sources]
	localOn bool // local is an address of this interface, so Valid checks that it still is

	recv receiver
	send sender

	mu     sync.Mutex // guards the descriptors against Close; taken after recv.mu and send.mu
	closed bool
}

// Open makes the sockets of a link. The interface must exist but need not be up.
//
// Without Config.Listen the link chooses an address of the interface, of the family of the peer or group: one whose
// prefix holds the peer, and preferably one that stays where it is in a failover. An error wraps ErrNoInterface or
// ErrNoAddress if the same configuration may work later (an interface not made yet, an address not given yet or still
// tentative).
func Open(cfg Config) (*Link, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	l := &Link{cfg: cfg, remote: cfg.Peer}
	if l.multicast() {
		l.remote = cfg.Group
	}
	l.recv.fd, l.send.fd = -1, -1
	if err := l.open(); err != nil {
		l.Close()
		return nil, fmt.Errorf("open link %s: %w", cfg.Interface, err)
	}
	return l, nil
}

func (l *Link) open() error {
	family := unix.AF_INET
	if l.remote.Is6() {
		family = unix.AF_INET6
	}
	var err error
	for _, fd := range []*int{&l.recv.fd, &l.send.fd} {
		if *fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return fmt.Errorf("make UDP socket: %w", err)
		}
		if family == unix.AF_INET6 { // leaves the port to IPv4 sockets of others
			if err := setInts(*fd, []intOption{{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, "IPV6_V6ONLY"}}); err != nil {
				return err
			}
		}
	}
	if l.dev, err = readDevice(l.send.fd, l.cfg.Interface); err != nil {
		return err
	}
	if l.addrs, err = rtnetlink.Dial(); err != nil {
		return err
	}
	list, err := l.addrs.List(l.dev.index)
	if err != nil {
		return err
	}
	if l.multicast() {
		err = l.openMulticast(list)
	} else {
		err = l.openUnicast(list)
	}
	if err != nil {
		return err
	}
	l.localOn = hasAddress(list, l.local)
	l.sources.Store(newSources(l.dev.index, &l.cfg, list))
	if err := l.recv.prepare(family, l.cfg.RecvBuffer); err != nil {
		return err
	}
	return l.send.prepare(l.remote, l.cfg.Port, l.dev, l.cfg.SendBuffer)
}

// multicast reports whether this is a multicast link; the other kind is unicast.
func (l *Link) multicast() bool { return !l.cfg.Peer.IsValid() }

// complete checks a configuration and fills in its defaults. Zones are removed: the scope of a link-local address is
// the interface of the link.
func (c Config) complete() (Config, error) {
	if len(c.Interface) == 0 || len(c.Interface) >= unix.IFNAMSIZ {
		return c, fmt.Errorf("interface %q: name must have 1 to %d characters", c.Interface, unix.IFNAMSIZ-1)
	}
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	if c.Port < 0 || c.Port > 65535 {
		return c, fmt.Errorf("port %d: must be within 1 and 65535", c.Port)
	}
	if c.SendBuffer < 0 || c.RecvBuffer < 0 {
		return c, fmt.Errorf("socket buffers %d and %d: must not be negative", c.SendBuffer, c.RecvBuffer)
	}
	if c.Peer.IsValid() && c.Group.IsValid() {
		return c, fmt.Errorf("peer %v and group %v: a link has one or the other", c.Peer, c.Group)
	}
	if !c.Peer.IsValid() && !c.Group.IsValid() {
		c.Group = DefaultGroup
	}
	c.Listen = slices.Clone(c.Listen)
	addrs := []*netip.Addr{&c.Peer, &c.Group, &c.From}
	for i := range c.Listen {
		addrs = append(addrs, &c.Listen[i])
	}
	for _, addr := range addrs {
		if zone := addr.Zone(); zone != "" && zone != c.Interface {
			return c, fmt.Errorf("address %v: zone differs from interface %s", *addr, c.Interface)
		}
		*addr = addr.WithZone("").Unmap()
	}
	return c, c.checkAddresses()
}

func (c *Config) checkAddresses() error {
	remote := c.Peer
	if !remote.IsValid() {
		remote = c.Group
		if !remote.IsMulticast() {
			return fmt.Errorf("group %v: not a multicast address", remote)
		}
	} else if remote.IsMulticast() || remote.IsUnspecified() {
		return fmt.Errorf("peer %v: not a unicast address", remote)
	}
	for _, listen := range c.Listen {
		switch {
		case !listen.IsValid() || listen.IsMulticast() || listen.IsUnspecified():
			return fmt.Errorf("listen address %v: not a unicast address", listen)
		case listen.Is4() != remote.Is4():
			return fmt.Errorf("listen address %v: not of the family of %v", listen, remote)
		case listen == remote:
			return fmt.Errorf("peer %v: is the listen address of this router itself", remote)
		}
	}
	return nil
}

// Local returns the own address that the link sends from, without a zone: the source of every datagram that the peer
// gets by this link. It is always valid and never changes.
func (l *Link) Local() netip.Addr { return l.local }

// Close waits for a Read or Send under way and closes the sockets. A second Close does nothing.
func (l *Link) Close() error {
	l.recv.mu.Lock()
	defer l.recv.mu.Unlock()
	l.send.mu.Lock()
	defer l.send.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	for _, fd := range []*int{&l.recv.fd, &l.send.fd} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	if l.addrs != nil {
		errs = append(errs, l.addrs.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close link %s: %w", l.cfg.Interface, err)
	}
	return nil
}
