package ctnetlink

import (
	"maps"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/nstest"
)

// named returns the counters that s has, under the names of conntrack -S.
func (s *Counters) named() map[string]uint64 {
	all := map[string]*uint64{
		"found": s.Found, "invalid": s.Invalid, "insert": s.Insert, "insert_failed": s.InsertFailed, "drop": s.Drop,
		"early_drop": s.EarlyDrop, "error": s.Error, "search_restart": s.SearchRestart, "clash_resolve": s.ClashResolve,
		"chaintoolong": s.ChainTooLong,
	}
	has := map[string]uint64{}
	for name, n := range all {
		if n != nil {
			has[name] = *n
		}
	}
	return has
}

// TestCounters compares with conntrack(8), which prints the counters that the kernel reports, a line for each CPU.
func TestCounters(t *testing.T) {
	nstest.RequireCommand(t, "conntrack", "conntrack")
	ns := nstest.New(t)
	fs := many(100)
	mustApply(t, dial(t, ns).Create, fs)

	var got Counters
	var err error
	ns.Do(func() { got, err = ReadCounters() })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{}
	for _, m := range regexp.MustCompile(`(\w+)=(\d+)`).FindAllStringSubmatch(ns.Run(t, "conntrack", "-S"), -1) {
		n, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want[m[1]] += n
	}
	maps.DeleteFunc(want, func(name string, _ uint64) bool { return name == "cpu" })
	if d := cmp.Diff(want, got.named()); d != "" {
		t.Errorf("(-conntrack +ours)\n%s", d)
	}
	if got.Insert == nil || *got.Insert != uint64(len(fs)) {
		t.Errorf("%v insertions counted, want %d", want["insert"], len(fs))
	}
}

// cpuCounters is the message of one CPU in which each of the attributes has its number times factor.
func cpuCounters(factor uint32, attributes ...uint16) []byte {
	b, at := openMessage(nil, msgCtGetStatsCPU, 0, 0)
	for _, typ := range attributes {
		b = appendBE32(b, typ, uint32(typ)*factor)
	}
	closeMessage(b, at)
	return b
}

// TestCountersAddUp: each counter is the sum over the CPUs, and one that the kernel does not report is none.
func TestCountersAddUp(t *testing.T) {
	all := []uint16{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}
	for name, tc := range map[string]struct {
		reported []uint16
		want     map[string]uint64
	}{
		"a new kernel": {all, map[string]uint64{
			"found": 2002, "invalid": 4004, "insert": 8008, "insert_failed": 9009, "drop": 10010, "early_drop": 11011,
			"error": 12012, "search_restart": 13013, "clash_resolve": 14014, "chaintoolong": 15015,
		}},
		"Linux 5.4": {all[:13], map[string]uint64{
			"found": 2002, "invalid": 4004, "insert": 8008, "insert_failed": 9009, "drop": 10010, "early_drop": 11011,
			"error": 12012, "search_restart": 13013,
		}},
		"none": {nil, map[string]uint64{}},
	} {
		var sum Counters
		if !sum.add(cpuCounters(1000, tc.reported...)) || !sum.add(cpuCounters(1, tc.reported...)) {
			t.Errorf("%s: not read", name)
		}
		if d := cmp.Diff(tc.want, sum.named()); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
	var cut Counters
	if b := cpuCounters(1, 2); cut.add(b[:len(b)-1]) || cut.add(b[:headerLen-1]) {
		t.Error("a message that is cut off was read")
	}
}
