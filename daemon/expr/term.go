package expr

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ctsync/daemon/flow"
)

// relation is an operator between key and value.
type relation uint8

const (
	relNone relation = iota
	relIs
	relNot
	relBelow
	relAtMost
	relAbove
	relAtLeast
)

// String returns the operator. ":" and "=" are the same.
func (r relation) String() string {
	return [...]string{"", "=", "!=", "<", "<=", ">", ">="}[r]
}

// term is a key with its values, or a text if key is nil. The kind of the key decides which of the sets holds the
// values. A set is ordered and has no overlaps, so that equal terms are equal structs.
type term struct {
	key *Key
	rel relation

	numbers   []numbers    // that match, also those of a comparison
	bound     uint64       // of a comparison, as it was written
	masked    []masked     // marks
	four, six flow.AddrSet // addresses
	bits      [4]uint64    // protocols, labels, or indices in Key.Values
	names     []string     // helpers, lower case

	text string // lower case
	find text   // what that text matches
}

// numbers is a run of numbers, both ends included.
type numbers struct{ first, last uint64 }

// masked is a mark of which only the bits in mask count.
type masked struct{ value, mask uint32 }

func (t *term) match(f *flow.Flow, a flow.Ages) bool {
	if t.key == nil {
		return t.find.match(f)
	}
	return t.key.test(t, f, a) != (t.rel == relNot)
}

// holds reports whether v is one of the numbers.
func (t *term) holds(v uint64) bool {
	for i := range t.numbers {
		if n := &t.numbers[i]; v >= n.first && v <= n.last {
			return true
		}
	}
	return false
}

// has reports whether bit i is set.
func (t *term) has(i uint8) bool { return t.bits[i>>6]>>(i&63)&1 != 0 }

func (t *term) set(i uint8) { t.bits[i>>6] |= 1 << (i & 63) }

// covers reports whether a, of this family, is one of the addresses.
func (t *term) covers(a *flow.Addr, family flow.Family) bool {
	switch family {
	case flow.IPv4:
		return t.four.Has(a)
	case flow.IPv6:
		return t.six.Has(a)
	}
	return false // the reply tuple of a flow without one
}

// add adds a value. The error says what was expected.
func (t *term) add(word string) error {
	switch k := t.key; k.kind {
	case kindAddress:
		return t.addAddress(word)
	case kindProto:
		p, err := flow.ParseProto(word)
		if err != nil {
			return k.hint(word, protoNames())
		}
		t.set(uint8(p))
	case kindName:
		i := slices.Index(k.Values, valueName(word))
		if i < 0 {
			return k.hint(valueName(word), k.Values)
		}
		t.set(uint8(i))
	case kindHelper:
		if len(word) > len(flow.Flow{}.Helper)-1 {
			return k.hint(word, nil)
		}
		t.names = append(t.names, strings.ToLower(word))
	case kindMark:
		if value, mask, ok := strings.Cut(word, "/"); ok && (t.rel == relIs || t.rel == relNot) {
			v, err := strconv.ParseUint(value, 0, 32)
			m, merr := strconv.ParseUint(mask, 0, 32)
			if cmp.Or(err, merr) != nil {
				return k.hint(word, nil)
			}
			t.masked = append(t.masked, masked{uint32(v & m), uint32(m)})
			return nil
		}
		return t.addNumbers(word)
	default:
		return t.addNumbers(word)
	}
	return nil
}

// valueName returns a name as Key.Values spells it.
func valueName(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }

func (t *term) addNumbers(word string) error {
	k := t.key
	first, last, isRange := strings.Cut(word, "-")
	if !isRange {
		last = first
	}
	a, ok := k.kind.parse(first)
	b, also := k.kind.parse(last)
	if !ok || !also || a > b || b > k.most || isRange && t.rel != relIs && t.rel != relNot {
		return k.hint(word, nil)
	}
	t.bound = a
	switch t.rel {
	case relBelow:
		if a == 0 {
			return nil // no number is below 0
		}
		a, b = 0, a-1
	case relAtMost:
		a = 0
	case relAbove:
		a, b = a+1, ^uint64(0)
	case relAtLeast:
		b = ^uint64(0)
	default:
		t.bound = 0
	}
	t.numbers = append(t.numbers, numbers{a, b})
	return nil
}

func (t *term) addAddress(word string) error {
	r, family, ok := parseRange(word)
	switch {
	case !ok:
		return t.key.hint(word, nil)
	case family == flow.IPv4:
		t.four = append(t.four, r)
	default:
		t.six = append(t.six, r)
	}
	return nil
}

// parseRange reads an address, a network, or a range of addresses.
func parseRange(word string) (r flow.Range, family flow.Family, ok bool) {
	family = flow.IPv4
	if p, err := netip.ParsePrefix(word); err == nil {
		if !p.Addr().Is4() {
			family = flow.IPv6
		}
		return flow.RangeOf(p), family, true
	}
	first, last, isRange := strings.Cut(word, "-")
	if !isRange {
		last = first
	}
	a, err := netip.ParseAddr(first)
	b, lerr := netip.ParseAddr(last)
	if cmp.Or(err, lerr) != nil || a.Zone()+b.Zone() != "" || a.Is4() != b.Is4() || b.Less(a) {
		return r, 0, false
	}
	if !a.Is4() {
		family = flow.IPv6
	}
	return flow.NewRange(flow.AddrFrom(a), flow.AddrFrom(b)), family, true
}

// finish sorts the values and joins those that overlap.
func (t *term) finish() {
	t.four, t.six = flow.NewAddrSet(t.four, flow.IPv4), flow.NewAddrSet(t.six, flow.IPv6)
	slices.Sort(t.names)
	t.names = slices.Compact(t.names)
	slices.SortFunc(t.masked, func(a, b masked) int {
		return cmp.Or(cmp.Compare(a.mask, b.mask), cmp.Compare(a.value, b.value))
	})
	t.masked = slices.Compact(t.masked)
	slices.SortFunc(t.numbers, func(a, b numbers) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for _, r := range t.numbers {
		if n > 0 && (t.numbers[n-1].last == ^uint64(0) || r.first <= t.numbers[n-1].last+1) {
			t.numbers[n-1].last = max(t.numbers[n-1].last, r.last)
			continue
		}
		t.numbers[n] = r
		n++
	}
	t.numbers = t.numbers[:n]
	if t.key.kind == kindLabel {
		for _, r := range t.numbers {
			for b := r.first; b <= r.last; b++ {
				t.set(uint8(b))
			}
		}
		t.numbers = nil
	}
}
