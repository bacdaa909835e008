package rtnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Network is one that an interface is in.
type Network struct {
	Prefix netip.Prefix
	Device string
}

// Answered returns the addresses for which this router answers, those of its interfaces, of its local routes and of its
// proxied neighbours, and the networks of its interfaces.
func Answered() (own []netip.Prefix, networks []Network, err error) {
	c, err := Dial()
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	list, err := c.List(0)
	if err != nil {
		return nil, nil, err
	}
	devices, err := net.Interfaces()
	if err != nil {
		return nil, nil, fmt.Errorf("list interfaces: %w", err)
	}
	names := map[int]string{}
	for _, d := range devices {
		names[d.Index] = d.Name
	}
	for _, a := range list {
		own = append(own, netip.PrefixFrom(a.IP, a.IP.BitLen()))
		if !a.IP.IsLoopback() && !a.IP.IsLinkLocalUnicast() {
			networks = append(networks, Network{a.Prefix, names[a.Index]})
		}
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, list := range []func(uint8) ([]netip.Prefix, error){c.localRoutes, c.proxied} {
			more, err := list(family)
			if err != nil && !absent(err) {
				return nil, nil, err
			}
			own = append(own, more...)
		}
	}
	return own, networks, nil
}

// absent reports whether a kernel has no such table, as without IPv6.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// localRoutes returns the destinations of the routes of type local in table local (rtnetlink(7), struct rtmsg).
func (c *Conn) localRoutes(family uint8) ([]netip.Prefix, error) {
	request := make([]byte, unix.SizeofRtMsg)
	request[0], request[4], request[7] = family, unix.RT_TABLE_LOCAL, unix.RTN_LOCAL
	replies, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request | netlink.Dump}, Data: request,
	})
	if err != nil {
		return nil, fmt.Errorf("list local routes: %w", err)
	}
	var list []netip.Prefix
	for _, r := range replies {
		// Kernels before Linux 4.20 list all routes.
		if len(r.Data) < unix.SizeofRtMsg || r.Data[0] != family || r.Data[4] != unix.RT_TABLE_LOCAL ||
			r.Data[7] != unix.RTN_LOCAL {
			continue
		}
		if a, ok := address(r.Data[unix.SizeofRtMsg:], unix.RTA_DST); ok {
			list = append(list, netip.PrefixFrom(a, int(r.Data[1])))
		}
	}
	return list, nil
}

// proxied returns the addresses of neighbours for which this router answers (struct ndmsg).
func (c *Conn) proxied(family uint8) ([]netip.Prefix, error) {
	request := make([]byte, unix.SizeofNdMsg)
	request[0], request[10] = family, unix.NTF_PROXY
	replies, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETNEIGH, Flags: netlink.Request | netlink.Dump}, Data: request,
	})
	if err != nil {
		return nil, fmt.Errorf("list proxied neighbours: %w", err)
	}
	var list []netip.Prefix
	for _, r := range replies {
		if len(r.Data) < unix.SizeofNdMsg || r.Data[0] != family || r.Data[10]&unix.NTF_PROXY == 0 {
			continue
		}
		if a, ok := address(r.Data[unix.SizeofNdMsg:], unix.NDA_DST); ok {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return list, nil
}

// address returns the address in the attribute of that type.
func address(attributes []byte, kind uint16) (a netip.Addr, ok bool) {
	for len(attributes) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(attributes))
		if size < unix.SizeofRtAttr || size > len(attributes) {
			return a, false
		}
		if binary.NativeEndian.Uint16(attributes[2:]) == kind {
			return netip.AddrFromSlice(attributes[unix.SizeofRtAttr:size])
		}
		attributes = attributes[min((size+3)&^3, len(attributes)):]
	}
	return a, false
}
