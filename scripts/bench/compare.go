package main

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strconv"

	"ctsync/daemon/flow"
)

// entry is what the list of an external cache shows of a flow.
type entry struct {
	orig    flow.Tuple
	state   uint8 // of TCP
	mark    uint32
	assured bool
	replied bool
}

// restored is what must be equal in two kernels for a committed flow.
type restored struct {
	entry
	reply  flow.Tuple
	status uint32
}

// restoredStatus are the status bits that survive a commit.
const restoredStatus = flow.StatusSeenReply | flow.StatusAssured | flow.StatusSrcNAT | flow.StatusDstNAT

// prints are sorted fingerprints of the entries of a table: 8 MB for a million entries.
type prints []uint64

var seed = maphash.MakeSeed()

// different counts the entries that only one of the tables has. An entry with another attribute counts once.
func different(a, b prints) int {
	onlyA, onlyB := 0, 0
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			a, onlyA = a[1:], onlyA+1
		default:
			b, onlyB = b[1:], onlyB+1
		}
	}
	return max(onlyA+len(a), onlyB+len(b))
}

// inside reports whether a flow takes part in the comparison: it is no probe, and no traffic of the routers themselves.
func inside(t *flow.Tuple) bool {
	if t.Proto != flow.TCP && t.Proto != flow.UDP {
		return false
	}
	if t.Family == flow.IPv4 {
		return t.Src[0] == 10 && t.DstPort != probePort
	}
	return t.Src[0] == 0x20
}

// kernelPrints reads a kernel's table.
func kernelPrints(g *generator, of func(*flow.Flow) uint64) (prints, error) {
	for range 5 {
		var p prints
		interrupted, err := g.conn.Dump(0, func(f *flow.Flow) error {
			if inside(&f.Orig) {
				p = append(p, of(f))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !interrupted {
			slices.Sort(p)
			return p, nil
		}
	}
	return nil, fmt.Errorf("read the kernel's table: it changed its size during each dump")
}

func listed(f *flow.Flow) entry {
	return entry{orig: f.Orig, state: f.TCPState, mark: f.Mark,
		assured: f.Status&flow.StatusAssured != 0, replied: f.Status&flow.StatusSeenReply != 0}
}

func printListed(f *flow.Flow) uint64 { return maphash.Comparable(seed, listed(f)) }

func printRestored(f *flow.Flow) uint64 {
	return maphash.Comparable(seed, restored{entry: listed(f), reply: f.Reply, status: f.Status & restoredStatus})
}

// replica compares the kernel of one router with the external cache of the other's daemon.
func (t *trial) replica(from, to int) (int, error) {
	var want, got prints
	err := atOnce(func() (err error) {
		want, err = kernelPrints(t.gen[from], printListed)
		return err
	}, func() error {
		defer func() { slices.Sort(got) }()
		return t.pair[to].Daemon.External(t.ctx, func(line []byte) error {
			e, err := parseEntry(line)
			if err == nil && inside(&e.orig) {
				got = append(got, maphash.Comparable(seed, e))
			}
			return err
		})
	})
	return different(want, got), err
}

// twins compares the kernels of both routers.
func (t *trial) twins() (int, error) {
	var p [2]prints
	read := func(router int) func() error {
		return func() (err error) {
			p[router], err = kernelPrints(t.gen[router], printRestored)
			return err
		}
	}
	err := atOnce(read(0), read(1))
	return different(p[0], p[1]), err
}

// parseEntry reads a line of an external cache:
//
//	tcp 6 ESTABLISHED src=10.64.0.0 dst=203.0.113.100 sport=1024 dport=443 [ASSURED] mark=1 [active since 3s]
func parseEntry(line []byte) (e entry, err error) {
	e.replied = true
	for i, field := range bytes.Fields(line) {
		key, value, pair := bytes.Cut(field, []byte("="))
		switch {
		case i == 1:
			var proto uint64
			proto, err = strconv.ParseUint(string(field), 10, 8)
			e.orig.Proto = flow.Proto(proto)
		case i == 2 && e.orig.Proto == flow.TCP:
			e.state, err = flow.ParseState(flow.TCP, string(field))
		case pair:
			err = e.set(string(key), string(value))
		case string(field) == "[ASSURED]":
			e.assured = true
		case string(field) == "[UNREPLIED]":
			e.replied = false
		}
		if err != nil {
			return e, fmt.Errorf("read entry %q: %w", line, err)
		}
	}
	return e, nil
}

func (e *entry) set(key, value string) error {
	switch key {
	case "src", "dst":
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return err
		}
		e.orig.Family = flow.IPv6
		if ip.Is4() {
			e.orig.Family = flow.IPv4
		}
		if key == "src" {
			e.orig.Src = flow.AddrFrom(ip)
		} else {
			e.orig.Dst = flow.AddrFrom(ip)
		}
		return nil
	}
	n, err := strconv.ParseUint(value, 10, 32)
	switch key {
	case "sport":
		e.orig.SrcPort = uint16(n)
	case "dport":
		e.orig.DstPort = uint16(n)
	case "mark":
		e.mark = uint32(n)
	default:
		return nil
	}
	return err
}
