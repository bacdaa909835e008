package ctnetlink

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Counters are what the kernel's conntrack counted in a network namespace since that was made (struct
// ip_conntrack_stat), summed over the CPUs. nil is a counter that this kernel does not report. Each CPU counts modulo
// 2^32.
type Counters struct {
	Found         *uint64 // lookups for a free tuple, such as NAT makes them, that found the tuple taken
	Invalid       *uint64 // packets that could not be tracked
	Insert        *uint64 // entries that came over netlink; the kernel does not count those of packets
	InsertFailed  *uint64 // the tuple was there already
	Drop          *uint64 // packets dropped: no memory, or insertion failed
	EarlyDrop     *uint64 // entries evicted from a full table
	Error         *uint64 // packets with an error, such as an ICMP error that belongs to no flow
	SearchRestart *uint64 // lookups repeated because the table changed meanwhile
	ClashResolve  *uint64 // insertion races that were resolved (Linux 5.10)
	ChainTooLong  *uint64 // insertions refused: hash chain too long (Linux 5.15)
}

// ReadCounters asks the kernel for the counters of the calling thread's network namespace, on a socket of its own. It
// is one request, answered at once, and needs CAP_NET_ADMIN.
func ReadCounters() (Counters, error) {
	var sum Counters
	fd, portID, err := open(0)
	if err != nil {
		return sum, err
	}
	c := Conn{fd: fd, portID: portID, in: newReceiver(1, dumpReadSize)}
	defer c.Close()
	request, at := openMessage(nil, msgCtGetStatsCPU, unix.NLM_F_DUMP, unix.AF_UNSPEC)
	closeMessage(request, at)
	malformed := false
	_, err = c.dump(request, func(msg []byte) { malformed = !sum.add(msg) || malformed })
	if err == nil && malformed {
		err = ErrMalformed
	}
	if err != nil {
		return Counters{}, fmt.Errorf("read conntrack counters: %w", err)
	}
	return sum, nil
}

// add adds the counters of one CPU. It reports whether msg could be read.
func (s *Counters) add(msg []byte) (ok bool) {
	if len(msg) < headerLen {
		return false
	}
	fields := [...]**uint64{
		ctaStatsFound: &s.Found, ctaStatsInvalid: &s.Invalid, ctaStatsInsert: &s.Insert,
		ctaStatsInsertFailed: &s.InsertFailed, ctaStatsDrop: &s.Drop, ctaStatsEarlyDrop: &s.EarlyDrop,
		ctaStatsError: &s.Error, ctaStatsSearchRestart: &s.SearchRestart, ctaStatsClashResolve: &s.ClashResolve,
		ctaStatsChainTooLong: &s.ChainTooLong,
	}
	a := attrs{rest: msg[headerLen:]}
	for a.next() {
		if int(a.typ) >= len(fields) || fields[a.typ] == nil {
			continue
		}
		n := fields[a.typ]
		if *n == nil {
			*n = new(uint64)
		}
		**n += uint64(a.be32())
	}
	return !a.bad
}
