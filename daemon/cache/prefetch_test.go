package cache

import (
	"fmt"
	"testing"

	"ctsync/daemon/flow"
)

// TestPrefetchFindsRecords: most records are found where the search begins, none of them a wrong one, and flows that
// are not there, or are none, do no harm. A cache without flows has no index yet.
func TestPrefetchFindsRecords(t *testing.T) {
	const n = 50_000
	x, found := NewExternal(0), 0
	for filled := range 2 {
		for from := 0; from < n; from += PrefetchMost {
			var a ahead
			list := make([]flow.Flow, PrefetchMost)
			for i := range list {
				list[i] = nth(from+i, []flow.Family{flow.IPv4, flow.IPv6, 0}[i%3], 4)
			}
			x.prefetch(&a, append(list, flow.Flow{}))
			for i := range list {
				ref, _ := x.find(&list[i].Orig)
				if a.ref[i] != 0 && a.ref[i] != ref {
					t.Fatalf("flow %d: record %#x, want %#x", from+i, a.ref[i], ref)
				}
				if a.ref[i] != 0 {
					found++
				}
			}
			for i := range list {
				if filled == 0 && list[i].Orig.Family != 0 {
					must(t, x.New(&list[i], 0))
				}
			}
		}
		if filled == 0 && found > 0 {
			t.Errorf("%d flows found that are not there", found)
		}
	}
	if want := n * 2 / 3 * 7 / 10; found < want {
		t.Errorf("%d flows found, want at least %d", found, want)
	}
}

// BenchmarkPrefetch is the messages of a datagram, one flow each: what BenchmarkExternal does one at a time.
func BenchmarkPrefetch(b *testing.B) {
	const messages = 16
	for _, most := range []int{0, messages} {
		b.Run(fmt.Sprint("update ", messages, " of which prefetched ", most), func(b *testing.B) {
			x := fillExternal(million, flow.IPv4, 4)
			list := make([]flow.Flow, messages)
			b.ReportAllocs()
			b.ResetTimer()
			defer cpu(b)()
			for i := 0; i < b.N; i += messages {
				for j := range list {
					list[j] = nth((i+j)*7919%million, flow.IPv4, 4)
				}
				x.Prefetch(list[:most])
				for j := range list {
					if err := x.Update(&list[j], 0); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
