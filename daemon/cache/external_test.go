package cache

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ctsync/daemon/flow"
)

// shelf is the external cache as a plain map.
type shelf struct {
	x       *External
	keys    []flow.Tuple
	entries map[flow.Tuple]Entry
	stats   Stats
	heard   map[flow.Tuple]bool // since BeginSweep
	now     int64
}

// insert expects what New or Update returned for f; a flow takes room unless it replaces one.
func (m *shelf) insert(t *rapid.T, f flow.Flow, replaces bool, err error) {
	if !replaces && len(m.entries) >= m.x.Limit() {
		if !errors.Is(err, ErrFull) {
			t.Fatalf("insert into a full cache: %v", err)
		}
		m.stats.CreateFailed++
		m.stats.Full++
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.entries[f.Orig] = Entry{Flow: asKept(f), Created: m.now, Updated: m.now, Read: m.now}
	m.heard[f.Orig] = true
	m.stats.Created++
}

func (m *shelf) create(t *rapid.T, f flow.Flow) {
	_, replaces := m.entries[f.Orig]
	if replaces {
		m.stats.Destroyed++
	}
	m.insert(t, f, replaces, m.x.New(&f, m.now))
}

func (m *shelf) update(t *rapid.T, f flow.Flow) {
	err := m.x.Update(&f, m.now)
	e, ok := m.entries[f.Orig]
	if !ok {
		m.insert(t, f, false, err)
		return
	}
	before := e.Flow
	e.Flow.Merge(&f)
	if f.Has.Is(flow.HasReply) && f.Reply != f.Orig.Inverse() {
		e.Flow.Reply = f.Reply
	}
	e.Flow = asKept(e.Flow)
	var got Entry // TestIdle is about its times
	if r, _ := m.x.Lookup(&f.Orig); !m.x.Load(r, &got) || got.Updated < e.Updated || got.Updated > m.now {
		t.Fatalf("updated at %d, before at %d", got.Updated, e.Updated)
	}
	if Differences(&before, &e.Flow) != 0 && got.Updated != m.now {
		t.Fatalf("changed, and updated at %d", got.Updated)
	}
	e.Flow.Timeout, e.Updated, e.Read = got.Flow.Timeout, got.Updated, got.Read
	m.entries[f.Orig] = e
	m.heard[f.Orig] = true
	m.stats.Updated++
}

func (m *shelf) gone(k flow.Tuple) {
	if _, ok := m.entries[k]; ok {
		delete(m.entries, k)
		delete(m.heard, k)
		m.stats.Destroyed++
	}
}

func (m *shelf) sweep() {
	for from, more := Ref(0), true; more; more = from != 0 {
		_, from = m.x.Sweep(from, 2, 0)
	}
	for _, k := range m.keys {
		if !m.heard[k] {
			m.gone(k)
		}
	}
}

func (m *shelf) check(t *rapid.T) {
	got := map[flow.Tuple]Entry{}
	for from := Ref(0); ; {
		from = m.x.Scan(from, 3, func(e *Entry) bool {
			if _, ok := got[e.Flow.Orig]; ok {
				t.Fatalf("%v is there twice", e.Flow.Orig)
			}
			if r, ok := m.x.Lookup(&e.Flow.Orig); !ok || r != e.Ref {
				t.Fatalf("lookup of %v: %d, %v", e.Flow.Orig, r, ok)
			}
			c := *e
			c.Ref = 0
			got[e.Flow.Orig] = c
			return true
		})
		if from == 0 {
			break
		}
	}
	if d := gocmp.Diff(m.entries, got); d != "" {
		t.Fatalf("entries (-want +got):\n%s", d)
	}
	s := m.x.Stats()
	want := m.stats
	want.Active = uint64(len(m.entries))
	want.Objects, want.Total, want.Limit, want.Bytes = want.Active, want.Active, uint64(m.x.Limit()), s.Bytes
	if s != want || m.x.Len() != len(m.entries) {
		t.Fatalf("stats (-want +got):\n%s", gocmp.Diff(want, s))
	}
}

func TestExternalIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &shelf{x: NewExternal(100), keys: pool(t), entries: map[flow.Tuple]Entry{}, heard: map[flow.Tuple]bool{}}
		collide(&m.x.store, rapid.IntRange(0, 2).Draw(t, "hash"))
		key := func() flow.Tuple { return m.keys[rapid.IntRange(0, len(m.keys)-1).Draw(t, "key")] }
		content := func() flow.Flow {
			has := rapid.SampledFrom([]flow.Attr{
				0, flow.HasReply, flow.HasMark | flow.HasReply, flow.HasMaster, kept | flow.HasUse,
			}).Draw(t, "has")
			f := uniform(key(), has, rapid.Uint8Range(0, 3).Draw(t, "value"))
			if has.Is(flow.HasReply) && rapid.Bool().Draw(t, "nat") {
				f.Reply.DstPort++
			}
			return f
		}
		t.Repeat(map[string]func(*rapid.T){
			"new":    func(t *rapid.T) { m.create(t, content()) },
			"update": func(t *rapid.T) { m.update(t, content()) },
			"destroy": func(t *rapid.T) {
				k := key()
				_, ok := m.entries[k]
				if m.x.Destroy(&k, m.now) != ok {
					t.Fatal("destroy did not report", ok)
				}
				if !ok {
					m.stats.DestroyFailed++
				}
				m.gone(k)
			},
			"remove": func(t *rapid.T) {
				k := key()
				r, _ := m.x.Lookup(&k)
				m.x.Remove(r)
				m.gone(k)
			},
			"reset": func(t *rapid.T) {
				if len(m.entries) > 6 {
					m.x.Reset()
					collide(&m.x.store, rapid.IntRange(0, 2).Draw(t, "hash"))
					m.stats.Destroyed += uint64(len(m.entries))
					clear(m.entries)
					clear(m.heard)
				}
			},
			"limit":       func(t *rapid.T) { m.x.SetLimit(rapid.IntRange(1, 24).Draw(t, "limit")) },
			"begin sweep": func(*rapid.T) { m.x.BeginSweep(); clear(m.heard) },
			"sweep":       func(*rapid.T) { m.sweep() },
			"time":        func(*rapid.T) { m.now += second },
			"":            m.check,
		})
	})
}

// TestScanWhileChanging removes and inserts between and within slices: what was there all the time comes exactly once.
func TestScanWhileChanging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewExternal(0)
		const n = 200
		for i := range n {
			f := nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 3)
			mustRapid(t, x.New(&f, 0))
		}
		stays := func(i int) bool { return i%3 == 0 }
		got := map[flow.Tuple]int{}
		for from := Ref(0); ; {
			from = x.Scan(from, rapid.IntRange(1, 20).Draw(t, "slice"), func(e *Entry) bool {
				got[e.Flow.Orig]++
				i := rapid.IntRange(0, n-1).Draw(t, "i")
				if f := nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 3); !stays(i) {
					if !x.Destroy(&f.Orig, 0) {
						mustRapid(t, x.New(&f, 0))
					}
				}
				return rapid.IntRange(0, 9).Draw(t, "go on") > 0
			})
			if from == 0 {
				break
			}
		}
		for i := range n {
			f := nth(i, []flow.Family{flow.IPv4, flow.IPv6}[i%2], 3)
			if c := got[f.Orig]; stays(i) && c != 1 {
				t.Fatalf("flow %d came %d times", i, c)
			}
		}
	})
}

func mustRapid(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// page reads a page of s in slices: its refs first and the entries afterwards, or, when whole, all at once.
func page(s *store, o Order, desc bool, skip, limit, slice int, whole bool, match func(*Entry) bool) []Entry {
	p := NewPager(o, desc, skip, limit, whole)
	for from, more := Ref(0), true; more; more = from != 0 {
		from = s.Scan(from, slice, func(e *Entry) bool {
			if match == nil || match(e) {
				p.Add(e)
			}
			return true
		})
	}
	var list []Entry
	if whole {
		p.Entries(func(e *Entry) error { list = append(list, *e); return nil })
		return list
	}
	for _, r := range p.Refs() {
		var e Entry
		if s.Load(r, &e) {
			list = append(list, e)
		}
	}
	return list
}

func TestPage(t *testing.T) {
	// What the orders compare, written differently from rankOf.
	byAddr := func(a, b flow.Addr) int { return slices.Compare(a[:], b[:]) }
	compare := map[Order]func(a, b *Entry) int{
		BySource: func(a, b *Entry) int {
			x, y := &a.Flow.Orig, &b.Flow.Orig
			return cmp.Or(cmp.Compare(x.Family, y.Family), byAddr(x.Src, y.Src), cmp.Compare(x.SrcPort, y.SrcPort))
		},
		ByDestination: func(a, b *Entry) int {
			x, y := &a.Flow.Orig, &b.Flow.Orig
			return cmp.Or(cmp.Compare(x.Family, y.Family), byAddr(x.Dst, y.Dst), cmp.Compare(x.DstPort, y.DstPort))
		},
		ByProtocol: func(a, b *Entry) int {
			x, y := &a.Flow.Orig, &b.Flow.Orig
			return cmp.Or(cmp.Compare(x.Proto, y.Proto), cmp.Compare(x.DstPort, y.DstPort))
		},
		ByState: func(a, b *Entry) int {
			x, y := &a.Flow, &b.Flow
			return cmp.Or(cmp.Compare(x.Orig.Proto, y.Orig.Proto), cmp.Compare(x.TCPState, y.TCPState),
				cmp.Compare(x.SCTPState, y.SCTPState))
		},
		ByCreated:         func(a, b *Entry) int { return cmp.Compare(a.Created, b.Created) },
		BySourcePort:      func(a, b *Entry) int { return cmp.Compare(a.Flow.Orig.SrcPort, b.Flow.Orig.SrcPort) },
		ByDestinationPort: func(a, b *Entry) int { return cmp.Compare(a.Flow.Orig.DstPort, b.Flow.Orig.DstPort) },
		ByID:              func(a, b *Entry) int { return cmp.Compare(a.Flow.ID, b.Flow.ID) },
		ByNAT: func(a, b *Entry) int {
			nat := func(e *Entry) int {
				switch s, d := e.Flow.SNAT(), e.Flow.DNAT(); {
				case s && d:
					return 3
				case d:
					return 2
				case s:
					return 1
				}
				return 0
			}
			return cmp.Compare(nat(a), nat(b))
		},
		ByHelper: func(a, b *Entry) int { return bytes.Compare(a.Flow.Helper[:], b.Flow.Helper[:]) },
		ByPackets: func(a, b *Entry) int {
			return cmp.Compare(a.Flow.Packets[0]+a.Flow.Packets[1], b.Flow.Packets[0]+b.Flow.Packets[1])
		},
		ByBytes: func(a, b *Entry) int {
			return cmp.Compare(a.Flow.Bytes[0]+a.Flow.Bytes[1], b.Flow.Bytes[0]+b.Flow.Bytes[1])
		},
		ByUpdated: func(a, b *Entry) int { return cmp.Compare(a.Updated, b.Updated) },
		ByTimeout: func(a, b *Entry) int {
			end := func(e *Entry) int64 {
				if !e.Flow.Has.Is(flow.HasTimeout) {
					return 1 << 62
				}
				return e.Updated + int64(e.Flow.Timeout)*second
			}
			return cmp.Compare(end(a), end(b))
		},
		ByMark: func(a, b *Entry) int { return cmp.Compare(a.Flow.Mark, b.Flow.Mark) },
		ByZone: func(a, b *Entry) int { return cmp.Compare(a.Flow.Orig.Zone, b.Flow.Orig.Zone) },
	}
	rapid.Check(t, func(t *rapid.T) {
		x := NewExternal(0)
		for i := range rapid.IntRange(0, 40).Draw(t, "entries") {
			k := genTuple(rapid.SampledFrom([]flow.Family{flow.IPv4, flow.IPv6}).Draw(t, "family")).Draw(t, "tuple")
			k.SrcPort &= 1
			for _, a := range []*flow.Addr{&k.Src, &k.Dst} { // addresses that differ in one byte or two
				v := a[0]
				*a = flow.Addr{}
				a[rapid.IntRange(0, 15).Draw(t, "byte")] = v
			}
			k.Proto = flow.SCTP
			has := flow.HasMark | flow.HasSCTP
			if rapid.Bool().Draw(t, "timeout") {
				has |= flow.HasTimeout
			}
			if rapid.Bool().Draw(t, "helper") {
				has |= flow.HasHelper
			}
			f := uniform(k, has, rapid.Uint8Range(0, 5).Draw(t, "value"))
			if rapid.Bool().Draw(t, "reply") {
				f.Has |= flow.HasReply
				f.Reply = f.Orig.Inverse()
				f.Reply.SrcPort += rapid.Uint16Range(0, 1).Draw(t, "DNAT")
				f.Reply.DstPort += rapid.Uint16Range(0, 1).Draw(t, "SNAT")
			}
			mustRapid(t, x.Update(&f, int64(i/2)*second-10*second))
		}
		order := Order(rapid.IntRange(0, len(compare)-1).Draw(t, "order"))
		desc := rapid.Bool().Draw(t, "desc")
		match := func(e *Entry) bool { return e.Flow.Mark != 3 }
		var all []Entry
		x.Scan(0, 1000, func(e *Entry) bool {
			if match(e) {
				all = append(all, *e)
			}
			return true
		})
		slices.SortStableFunc(all, func(a, b Entry) int {
			c := cmp.Or(compare[order](&a, &b), cmp.Compare(a.Ref, b.Ref))
			if desc {
				return -c
			}
			return c
		})
		ranks := map[Ref]Rank{}
		p := NewPager(order, desc, 0, 1, false)
		x.Scan(0, 1000, func(e *Entry) bool { ranks[e.Ref] = p.Rank(e); return true })
		x.ScanBrief(0, 1000, func(e *Entry) bool {
			if p.Rank(e) != ranks[e.Ref] {
				t.Fatalf("order %d: a brief entry stands at %+v, the whole at %+v", order, p.Rank(e), ranks[e.Ref])
			}
			delete(ranks, e.Ref)
			return true
		})
		if len(ranks) != 0 {
			t.Fatalf("%d entries are not read in brief", len(ranks))
		}
		skip, limit := rapid.IntRange(-1, 50).Draw(t, "skip"), rapid.IntRange(-1, 50).Draw(t, "limit")
		lo := min(max(skip, 0), len(all))
		want := all[lo:min(lo+max(limit, 0), len(all))]
		for slice, whole := range map[int]bool{math.MaxInt: true, 7: false} {
			if got := page(&x.store, order, desc, skip, limit, slice, whole, match); !slices.Equal(got, want) {
				t.Fatalf("order %d, desc %v, skip %d, limit %d, slices of %d:\n%s",
					order, desc, skip, limit, slice, gocmp.Diff(want, got))
			}
		}
	})
}
