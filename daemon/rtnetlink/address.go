package rtnetlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	rtnl "github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Address is one address of an interface.
type Address struct {
	IP     netip.Addr
	Prefix netip.Prefix // the network it connects to; on a point-to-point interface that of the other end
	Index  int          // of the interface
	Flags  uint32       // IFA_F_TENTATIVE and so on, see rtnetlink(7)
}

// Conn lists addresses. It keeps one socket, so that it asks the namespace in which it was dialed from any thread.
// Its methods may be called from any goroutine.
type Conn struct{ conn *netlink.Conn }

// Dial opens the socket of a Conn.
func Dial() (*Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	// The kernel then lists one interface only. One before Linux 4.20 does not know the option and lists all of them.
	_ = conn.SetOption(netlink.GetStrictCheck, true)
	return &Conn{conn}, nil
}

// Close closes the socket and ends a List under way.
func (c *Conn) Close() error { return c.conn.Close() }

// Own returns the IPv4 and IPv6 addresses of all interfaces of this network namespace, without zones.
func Own() ([]netip.Addr, error) {
	c, err := Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	list, err := c.List(0)
	if err != nil {
		return nil, err
	}
	own := make([]netip.Addr, len(list))
	for i := range list {
		own[i] = list[i].IP
	}
	return own, nil
}

var errInterrupted = errors.New("the addresses changed meanwhile")

// List returns the IPv4 and IPv6 addresses of the interface with that index, of all interfaces if it is 0, in the
// order of the kernel. It fails with ENODEV if there is no such interface, and when the addresses change again and
// again while they are read.
func (c *Conn) List(index int) ([]Address, error) {
	var list []Address
	var err error
	for range 5 {
		if list, err = c.dump(uint32(index)); !errors.Is(err, errInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return list, nil
}

func (c *Conn) dump(index uint32) ([]Address, error) {
	body, err := (&rtnl.AddressMessage{Index: index}).MarshalBinary()
	if err != nil {
		return nil, err
	}
	replies, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETADDR, Flags: netlink.Request | netlink.Dump},
		Data:   body,
	})
	if err != nil {
		return nil, err
	}
	var list []Address
	for _, r := range replies {
		if r.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, errInterrupted
		}
		if len(r.Data) == 0 || r.Data[0] != unix.AF_INET && r.Data[0] != unix.AF_INET6 {
			continue // an address of another family (Phonet), which the library cannot read
		}
		var m rtnl.AddressMessage
		if err := m.UnmarshalBinary(r.Data); err != nil {
			return nil, err
		}
		if a, ok := addressOf(&m); ok && (index == 0 || m.Index == index) {
			list = append(list, a)
		}
	}
	return list, nil
}

// addressOf converts what the kernel says of an address; ok is false if the message holds none.
func addressOf(m *rtnl.AddressMessage) (a Address, ok bool) {
	if m.Attributes == nil {
		return Address{}, false
	}
	network, local := ipOf(m.Attributes.Address), ipOf(m.Attributes.Local)
	if !network.IsValid() {
		network = local
	}
	if !local.IsValid() { // IPv6 has it only on point-to-point interfaces
		local = network
	}
	prefix, err := network.Prefix(int(m.PrefixLength))
	// IFA_FLAGS has all 32 flags, the header room for 8 of them.
	a = Address{IP: local, Prefix: prefix, Index: int(m.Index), Flags: m.Attributes.Flags | uint32(m.Flags)}
	return a, err == nil && prefix.IsValid()
}

func ipOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}
