package transport

import (
	"net/netip"
	"slices"
	"time"

	"ctsync/daemon/rtnetlink"
)

// sources decides who may talk to us. It is immutable; a Link replaces it when addresses change.
type sources struct {
	index  int            // the interface on which datagrams have to arrive
	peer   netip.Addr     // unicast: the only source; invalid for multicast
	own    []netip.Addr   // multicast: our addresses on the interface
	onLink []netip.Prefix // multicast: the networks connected to the interface
}

// verdict is what becomes of a datagram.
type verdict uint8

const (
	allowed verdict = iota
	wrongInterface
	wrongSource
	looped
)

func newSources(index int, peer netip.Addr, list []rtnetlink.Address) *sources {
	s := &sources{index: index, peer: peer}
	for _, a := range list {
		s.own = append(s.own, a.IP)
		if !slices.Contains(s.onLink, a.Prefix) {
			s.onLink = append(s.onLink, a.Prefix)
		}
	}
	return s
}

// judge decides about a datagram from src (without a zone) that arrived on the interface with that index.
func (s *sources) judge(src netip.Addr, index int) verdict {
	switch {
	case index != s.index:
		return wrongInterface
	case s.peer.IsValid():
		if src != s.peer {
			return wrongSource
		}
		return allowed
	case slices.Contains(s.own, src):
		return looped
	case src.Is6() && src.IsLinkLocalUnicast(): // on the link by definition, and routers do not forward it
		return allowed
	}
	for _, p := range s.onLink {
		if p.Contains(src) {
			return allowed
		}
	}
	return wrongSource
}

// refreshEvery bounds how often strangers can make the reader look up the addresses of the interface.
const refreshEvery = time.Second

// judge asks the current sources, and once more after reading the addresses anew if they may be out of date: an
// operator who gives the sync interface another network shall not have to restart anything.
func (l *Link) judge(src netip.Addr, index int) verdict {
	v := l.sources.Load().judge(src, index)
	if v != wrongSource || !l.multicast() {
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

// refreshSources reads the addresses of the interface anew.
func (l *Link) refreshSources() ([]rtnetlink.Address, error) {
	list, err := l.addrs.List(l.dev.index)
	if err != nil {
		return nil, err
	}
	l.sources.Store(newSources(l.dev.index, l.cfg.Peer, list))
	return list, nil
}
