package ctnetlink

import (
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// maxIgnored bounds the port ids of Ignore.
const maxIgnored = 200

// maxProgram is how many instructions a classic BPF program may have (BPF_MAXINSNS).
const maxProgram = 4096

// Cover says how much of a flow.Filter the kernel applies to events.
type Cover uint8

// Covers. The reader of the events must apply what the kernel does not.
const (
	CoverNone      Cover = iota
	CoverProtocols       // the addresses do not fit into a program
	CoverWhole
)

func (c Cover) String() string {
	switch c {
	case CoverNone:
		return "none"
	case CoverProtocols:
		return "protocols"
	case CoverWhole:
		return "whole"
	}
	return fmt.Sprintf("Cover(%d)", uint8(c))
}

// Ignore makes the kernel drop events that the netlink sockets with these port ids asked for, before they take room in
// the buffer. It replaces the ids of an earlier call; without ids nothing is ignored. Events that wait in the buffer
// already are not affected, nor are those that such an entry raises later by itself: its updates by packets and its end
// by timeout carry port id 0 and arrive. It may be called from any goroutine, but not after Close.
func (l *Listener) Ignore(portIDs ...uint32) error {
	if len(portIDs) > maxIgnored {
		return fmt.Errorf("ignore netlink sockets: %d port ids, at most %d", len(portIDs), maxIgnored)
	}
	l.filterMu.Lock()
	defer l.filterMu.Unlock()
	l.ignored = append([]uint32(nil), portIDs...)
	return l.attach()
}

// Filter makes the kernel drop the NEW and UPDATE events of flows that f does not let pass, before they take room in
// the buffer; nobody counts them. DESTROY events pass. It replaces the filter of an earlier call, and the zero Filter
// lets all pass. The reader must apply f as well: events that wait already are not affected, and a filter that the
// kernel cannot hold is applied in part or not at all (ListenStats.Cover). It may be called from any goroutine, but
// not after Close.
func (l *Listener) Filter(f flow.Filter) error {
	l.filterMu.Lock()
	defer l.filterMu.Unlock()
	l.filter = f
	return l.attach()
}

// attach makes a program of l.ignored and as much of l.filter as fits, and gives it to the kernel.
func (l *Listener) attach() error {
	var none flow.Filter
	if len(l.ignored) == 0 && l.filter.Equal(&none) {
		l.cover.Store(uint32(CoverWhole))
		return l.detach()
	}
	protocols := l.filter.WithoutAddresses()
	var err error
	for _, try := range []struct {
		cover  Cover
		filter *flow.Filter
	}{{CoverWhole, &l.filter}, {CoverProtocols, &protocols}, {CoverNone, &none}} {
		var raw []bpf.RawInstruction
		if raw, err = filterProgram(l.ignored, try.filter); err != nil {
			return fmt.Errorf("assemble netlink filter: %w", err)
		}
		if len(raw) > maxProgram {
			continue
		}
		err = attachProgram(l.fd, raw)
		if errors.Is(err, unix.ENOMEM) { // the new program and the old one are more than net.core.optmem_max
			if err = l.detach(); err == nil {
				err = attachProgram(l.fd, raw)
			}
		}
		if !errors.Is(err, unix.ENOMEM) {
			l.cover.Store(uint32(try.cover))
			break
		}
	}
	if err != nil {
		// The old program would go on dropping what may pass now.
		err = errors.Join(err, l.detach())
		l.cover.Store(uint32(CoverNone))
		return fmt.Errorf("attach netlink filter: %w", err)
	}
	return nil
}

func (l *Listener) detach() error {
	err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: there was none
		return fmt.Errorf("detach netlink filter: %w", err)
	}
	return nil
}

func attachProgram(fd int, raw []bpf.RawInstruction) error {
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog)
}
