package query

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/coretest"
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// BenchmarkQuery asks a cache of a million flows; loop-ns is the longest visit to the loop, as CPU time.
func BenchmarkQuery(b *testing.B) {
	const n = 1_000_000
	var longest time.Duration
	d := looped(b, func(t time.Duration) { longest = max(longest, t) })
	fill(b, d, n)
	filter := parsed(b, "proto:tcp dport:443 !src:10.1.0.0/16")
	for _, q := range []control.FlowQuery{
		{Sort: "source", Limit: 50}, {Sort: "age", Desc: true, Limit: 50, Filter: filter}, {Sort: "timeout", Skip: 100_000, Limit: 50}, {Limit: 50, Filter: parsed(b, "mark:4 sport:999")}, {Group: "source"}, {Group: "port", Filter: filter},
	} {
		q.Table = control.TableExternal
		b.Run(fmt.Sprintf("%s%s,skip=%d,%v", q.Sort, q.Group, q.Skip, q.Filter), func(b *testing.B) {
			longest = 0
			for b.Loop() {
				var err error
				if q.Group != "" {
					_, err = d.Groups(context.Background(), q)
				} else {
					err = d.Flows(context.Background(), q, func(*flow.Flow, control.Meta) error { return nil })
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(longest.Nanoseconds()), "loop-ns")
		})
	}
}

// BenchmarkTap is the loop's work per event for watchers.
func BenchmarkTap(b *testing.B) {
	for _, watchers := range []int{0, 1, control.MaxWatchers} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			c := coretest.New()
			list := make([]*control.Watcher, watchers)
			for i := range list {
				list[i] = control.NewWatcher("")
				c.Tap.Watch(list[i])
			}
			blocks := []*ctnetlink.Block{coretest.Block(ctnetlink.EventNew, 1), coretest.Block(ctnetlink.EventUpdate, 1),
				coretest.Block(ctnetlink.EventDestroy, 1)}
			spare := control.NewEventBatch()
			for b.Loop() {
				for _, blk := range blocks {
					c.Apply(blk)
				}
				for _, w := range list {
					spare = w.Take(spare)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*3*ctnetlink.BlockSize), "ns/event")
		})
	}
}

// Ages and idle times sort as the numbers do that are shown.
func TestAgesSortAsShown(t *testing.T) {
	d := looped(t, nil)
	for i := range 5 {
		f := someFlow(i)
		if err := d.core.Peer.External.New(&f, int64(i)*int64(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sort := range []string{"age", "idle"} {
		list, _ := listing(t, d, control.FlowQuery{Table: control.TableExternal, Sort: sort, Limit: 1})
		oldest, _ := listing(t, d, control.FlowQuery{Table: control.TableExternal, Sort: sort, Limit: 1, Desc: true})
		youngest, first := someFlow(4), someFlow(0)
		if list[0].Orig != youngest.Orig || oldest[0].Orig != first.Orig {
			t.Errorf("%s: %v first, %v last", sort, list[0].Orig, oldest[0].Orig)
		}
	}
}

// A name that the peer sent does not steer the terminal.
func TestGroupNamesArePlain(t *testing.T) {
	g := newCounting(groupings["helper"], 10)
	g.add(&flow.Flow{Helper: [16]byte{0x1b, '[', '2', 'J', 0xff, 0, 'x'}})
	if a := g.answer(control.FlowQuery{Group: "helper"}); a.Groups[0].Key != "?[2J?" {
		t.Errorf("%q", a.Groups[0].Key)
	}
}
