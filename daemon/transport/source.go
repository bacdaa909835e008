package transport

import (
	"net/netip"
	"slices"
	"time"

	"ctsync/daemon/rtnetlink"
)

// sources decides which datagrams are accepted. It is immutable; a Link replaces it when addresses change.
type sources struct {
	index  int            // the interface on which datagrams must arrive
	peer   netip.Addr     // the only source; invalid for multicast without Config.From
	own    []netip.Addr   // multicast: our addresses on the interface
	onLink []netip.Prefix // multicast: the networks connected to the interface
}

// Refusal says why a link drops a datagram.
type Refusal uint8

// Why datagrams are dropped. The zero value says that one is not.
const (
	allowed        Refusal = iota
	WrongInterface         // it arrived on another interface
	WrongSource            // unicast or Config.From: not from the peer; multicast: from no network of the interface
	Looped                 // multicast from our own address
)

func newSources(index int, cfg *Config, list []rtnetlink.Address) *sources {
	s := &sources{index: index, peer: cfg.Peer}
	if !s.peer.IsValid() {
		s.peer = cfg.From
	}
	for _, a := range list {
		s.own = append(s.own, a.IP)
		if !slices.Contains(s.onLink, a.Prefix) {
			s.onLink = append(s.onLink, a.Prefix)
		}
	}
	return s
}

// judge decides about a datagram from src (without a zone) that arrived on the interface with that index.
func (s *sources) judge(src netip.Addr, index int) Refusal {
	switch {
	case index != s.index:
		return WrongInterface
	case src == s.peer:
		return allowed
	case slices.Contains(s.own, src):
		return Looped
	case s.peer.IsValid():
		return WrongSource
	case src.Is6() && src.IsLinkLocalUnicast(): // on the link by definition: routers do not forward it
		return allowed
	}
	for _, p := range s.onLink {
		if p.Contains(src) {
			return allowed
		}
	}
	return WrongSource
}

// refreshEvery limits how often datagrams of strangers make the reader look up the addresses of the interface.
const refreshEvery = time.Second

// judge decides about a datagram like sources. Before it drops multicast of a stranger, it reads the addresses of the
// interface again: an operator who adds a network to the sync interface need not restart anything.
func (l *Link) judge(src netip.Addr, index int) Refusal {
	v := l.sources.Load().judge(src, index)
	if v != WrongSource || !l.multicast() {
		return v
	}
	if now := time.Now(); now.Sub(l.recv.refreshed) >= refreshEvery {
		l.recv.refreshed = now
		if _, err := l.refreshSources(); err == nil {
			v = l.sources.Load().judge(src, index)
		}
	}
	return v
}

// refreshSources reads the addresses of the interface again and returns them.
func (l *Link) refreshSources() ([]rtnetlink.Address, error) {
	list, err := l.addrs.List(l.dev.index)
	if err != nil {
		return nil, err
	}
	l.sources.Store(newSources(l.dev.index, &l.cfg, list))
	return list, nil
}
