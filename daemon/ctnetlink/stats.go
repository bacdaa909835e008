package ctnetlink

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// CPUStat holds what conntrack counted on one CPU of this namespace since boot (struct ip_conntrack_stat); all
// counters wrap at 2^32.
type CPUStat struct {
	CPU           int
	Found         uint32 // lookups that found an entry (the kernel counts them only where a tuple was taken)
	Invalid       uint32 // packets that could not be tracked
	Insert        uint32
	InsertFailed  uint32 // the entry was there already
	Drop          uint32 // packets dropped: no memory, or insertion failed
	EarlyDrop     uint32 // entries evicted from a full table
	Error         uint32 // ICMP errors that matched nothing
	SearchRestart uint32 // lookups repeated because the table was resized
	ClashResolve  uint32 // insertion races that were resolved
	ChainTooLong  uint32 // insertions refused: hash chain too long
}

// Count returns how many entries the namespace has and how many it may have (nf_conntrack_max).
func (c *Conn) Count() (entries, max uint32, err error) {
	b, at := openMessage(c.out[:0], msgCtGetStats, 0, unix.AF_UNSPEC)
	closeMessage(b, at)
	ok := false
	err = c.ask(b, func(msg []byte) { entries, max, ok = decodeCount(msg) })
	if err == nil && !ok {
		err = ErrMalformed
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count flows: %w", err)
	}
	return entries, max, nil
}

func decodeCount(msg []byte) (entries, max uint32, ok bool) {
	if len(msg) < headerLen {
		return 0, 0, false
	}
	a := attrs{rest: msg[headerLen:]}
	for a.next() {
		switch a.typ {
		case ctaStatsGlobalEntries:
			entries = a.be32()
			ok = true
		case ctaStatsGlobalMaxEntries:
			max = a.be32()
		}
	}
	if !ok || a.bad {
		return 0, 0, false
	}
	return entries, max, true
}

// CPUStats appends the counters of each CPU to s.
func (c *Conn) CPUStats(s []CPUStat) ([]CPUStat, error) {
	b, at := openMessage(c.out[:0], msgCtGetStatsCPU, unix.NLM_F_DUMP, unix.AF_UNSPEC)
	closeMessage(b, at)
	bad := false
	_, err := c.dump(b, func(msg []byte) {
		var v CPUStat
		if !decodeCPUStat(msg, &v) {
			bad = true
			return
		}
		s = append(s, v)
	})
	if err == nil && bad {
		err = ErrMalformed
	}
	if err != nil {
		return s, fmt.Errorf("read conntrack statistics: %w", err)
	}
	return s, nil
}

func decodeCPUStat(msg []byte, v *CPUStat) bool {
	if len(msg) < headerLen {
		return false
	}
	v.CPU = int(binary.BigEndian.Uint16(msg[nlHeaderLen+2:]))
	fields := [...]*uint32{
		ctaStatsFound: &v.Found, ctaStatsInvalid: &v.Invalid, ctaStatsInsert: &v.Insert,
		ctaStatsInsertFailed: &v.InsertFailed, ctaStatsDrop: &v.Drop, ctaStatsEarlyDrop: &v.EarlyDrop,
		ctaStatsError: &v.Error, ctaStatsSearchRestart: &v.SearchRestart, ctaStatsClashResolve: &v.ClashResolve,
		ctaStatsChainTooLong: &v.ChainTooLong,
	}
	a := attrs{rest: msg[headerLen:]}
	for a.next() {
		if int(a.typ) < len(fields) && fields[a.typ] != nil {
			*fields[a.typ] = a.be32()
		}
	}
	return !a.bad
}
