package query

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// maxGroups is how many keys of a grouping are kept apart: some 10 MB.
const maxGroups = 1 << 16

// groupKey is what flows are counted by; of it the fields that the grouping is about are set.
type groupKey struct {
	addr   flow.Addr
	number uint32
	family flow.Family
	proto  flow.Proto
	name   [16]byte
}

// grouping says how to get the key of a flow, and how to write it.
type grouping struct {
	of    func(f *flow.Flow) groupKey
	write func(k *groupKey) string
}

// groupings are those of control.GroupKeys.
var groupings = map[string]grouping{
	"source":              {func(f *flow.Flow) groupKey { return groupKey{addr: f.Orig.Src, family: f.Orig.Family} }, addressText},
	"destination":         {func(f *flow.Flow) groupKey { return groupKey{addr: f.Orig.Dst, family: f.Orig.Family} }, addressText},
	"source-network":      {func(f *flow.Flow) groupKey { return network(f.Orig.Src, f.Orig.Family) }, networkText},
	"destination-network": {func(f *flow.Flow) groupKey { return network(f.Orig.Dst, f.Orig.Family) }, networkText},
	"port":                {portKey, portText},
	"protocol":            {func(f *flow.Flow) groupKey { return groupKey{proto: f.Orig.Proto} }, func(k *groupKey) string { return k.proto.Name() }},
	"state":               {stateKey, stateText},
	"zone":                {func(f *flow.Flow) groupKey { return groupKey{number: uint32(f.Orig.Zone)} }, numberText},
	"mark":                {func(f *flow.Flow) groupKey { return groupKey{number: f.Mark} }, numberText},
	"helper":              {func(f *flow.Flow) groupKey { return groupKey{name: f.Helper} }, helperText},
	"family":              {func(f *flow.Flow) groupKey { return groupKey{family: f.Orig.Family} }, func(k *groupKey) string { return k.family.String() }},
}

// networkBytes is how much of an address is a network: /24 and /64.
func networkBytes(family flow.Family) int {
	if family == flow.IPv4 {
		return 3
	}
	return 8
}

func network(a flow.Addr, family flow.Family) groupKey {
	clear(a[networkBytes(family):])
	return groupKey{addr: a, family: family}
}

func portKey(f *flow.Flow) groupKey {
	k := groupKey{proto: f.Orig.Proto}
	if f.Orig.Proto.HasPorts() {
		k.number = uint32(f.Orig.DstPort)
	}
	return k
}

// stateKey has a number beyond all states for the flows of a protocol that has none.
func stateKey(f *flow.Flow) groupKey {
	s, ok := f.State()
	if !ok {
		return groupKey{proto: f.Orig.Proto, number: 1 << 8}
	}
	return groupKey{proto: f.Orig.Proto, number: uint32(s)}
}

func addressText(k *groupKey) string { return k.addr.IP(k.family).String() }

func networkText(k *groupKey) string {
	return netip.PrefixFrom(k.addr.IP(k.family), 8*networkBytes(k.family)).String()
}

func numberText(k *groupKey) string { return strconv.FormatUint(uint64(k.number), 10) }

func portText(k *groupKey) string {
	if !k.proto.HasPorts() {
		return k.proto.Name()
	}
	return k.proto.Name() + "/" + strconv.FormatUint(uint64(k.number), 10)
}

func stateText(k *groupKey) string {
	if k.number == 1<<8 {
		return k.proto.Name()
	}
	return k.proto.Name() + " " + flow.StateName(k.proto, uint8(k.number))
}

func helperText(k *groupKey) string {
	if k.name[0] == 0 {
		return "none"
	}
	return flow.HelperName(&k.name)
}

// counting is a grouping in progress. Its memory is bounded: the flows of keys beyond the first maxGroups are counted
// together.
type counting struct {
	by      grouping
	limit   int
	index   map[groupKey]int // in counts
	keys    []groupKey
	counts  []control.Count
	all     control.Count
	unnamed control.Count
}

func newCounting(by grouping, limit int) *counting {
	return &counting{by: by, limit: limit, index: map[groupKey]int{}}
}

func (g *counting) add(f *flow.Flow) {
	one := control.Count{Flows: 1, Packets: f.Packets[0] + f.Packets[1], Bytes: f.Bytes[0] + f.Bytes[1]}
	g.addKey(g.by.of(f), &one)
}

func (g *counting) addKey(k groupKey, one *control.Count) {
	addCount(&g.all, one)
	i, known := g.index[k]
	if !known {
		if len(g.keys) == g.limit {
			addCount(&g.unnamed, one)
			return
		}
		i = len(g.keys)
		g.index[k] = i
		g.keys, g.counts = append(g.keys, k), append(g.counts, control.Count{})
	}
	addCount(&g.counts[i], one)
}

func addCount(t, c *control.Count) {
	t.Flows += c.Flows
	t.Packets += c.Packets
	t.Bytes += c.Bytes
}

// answer sorts the groups and puts those beyond the limit together.
func (g *counting) answer(q control.FlowQuery) control.Groups {
	a := control.Groups{By: q.Group, Count: g.all, Groups: make([]control.Group, 0, len(g.keys)), Unnamed: g.unnamed}
	order, desc := q.Sort, q.Desc
	if order == "" {
		order, desc = "flows", true
	}
	at := make([]int, len(g.keys))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(x, y int) int {
		c := compareGroups(order, &g.counts[x], &g.counts[y])
		if c == 0 && order == "key" {
			c = compareKeys(&g.keys[x], &g.keys[y])
		}
		switch {
		case c == 0:
			return compareKeys(&g.keys[x], &g.keys[y])
		case desc:
			return -c
		}
		return c
	})
	limit := q.Limit
	if limit == 0 {
		limit = control.MaxSorted
	}
	for n, i := range at {
		if n < limit {
			a.Groups = append(a.Groups, control.Group{Key: g.by.write(&g.keys[i]), Count: g.counts[i]})
			continue
		}
		a.OtherCount++
		addCount(&a.Other, &g.counts[i])
	}
	return a
}

func compareGroups(order string, x, y *control.Count) int {
	switch order {
	case "flows":
		return cmp.Compare(x.Flows, y.Flows)
	case "packets":
		return cmp.Compare(x.Packets, y.Packets)
	case "bytes":
		return cmp.Compare(x.Bytes, y.Bytes)
	}
	return 0
}

func compareKeys(x, y *groupKey) int {
	if x.addr != y.addr {
		return cmp.Or(cmp.Compare(x.family, y.family), bytes.Compare(x.addr[:], y.addr[:]))
	}
	return cmp.Or(
		cmp.Compare(x.family, y.family), cmp.Compare(x.proto, y.proto), cmp.Compare(x.number, y.number),
		bytes.Compare(x.name[:], y.name[:]),
	)
}

// Groups counts the flows that q asks for.
func (r *Reader) Groups(ctx context.Context, q control.FlowQuery) (control.Groups, error) {
	if err := r.hasTable(ctx, q.Table); err != nil {
		return control.Groups{}, err
	}
	if err := kernelTells(&q); err != nil {
		return control.Groups{}, err
	}
	g := newCounting(groupings[q.Group], maxGroups)
	var err error
	if wantsAll(&q) {
		key := briefEntries(func(k *groupKey, e *cache.Entry) { *k = g.by.of(&e.Flow) })
		err = copyOut(ctx, r, &q, key, func(keys []groupKey, _ moment) error {
			for _, k := range keys {
				g.addKey(k, &control.Count{Flows: 1})
			}
			return nil
		})
	} else {
		err = r.wanted(ctx, q, func(e *cache.Entry, _ moment) error { g.add(&e.Flow); return nil })
	}
	if err != nil {
		return control.Groups{}, err
	}
	return g.answer(q), nil
}
