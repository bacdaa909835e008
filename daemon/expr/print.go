package expr

import (
	"net/netip"
	"strings"

	"ctsync/daemon/flow"
)

// String returns the expression as Parse reads it back. All spellings of an expression print alike: without "and", with
// "!" for not, and with lists in ascending order. An expression that matches every flow is "".
func (e *Expr) String() string {
	var b strings.Builder
	e.root.print(&b)
	return b.String()
}

func (n *node) print(b *strings.Builder) {
	separator := " "
	switch n.kind {
	case nodeTerm:
		n.term.print(b)
		return
	case nodeNot:
		b.WriteByte('!')
		n.kids[0].printInside(b)
		return
	case nodeOr:
		separator = " or "
	}
	for i := range n.kids {
		if i > 0 {
			b.WriteString(separator)
		}
		if n.kind == nodeAnd {
			n.kids[i].printInside(b)
		} else {
			n.kids[i].print(b)
		}
	}
}

// printInside prints a part of an "and" or a "!", in parentheses if it needs them.
func (n *node) printInside(b *strings.Builder) {
	if n.kind == nodeTerm || n.kind == nodeNot {
		n.print(b)
		return
	}
	b.WriteByte('(')
	n.print(b)
	b.WriteByte(')')
}

func (t *term) print(b *strings.Builder) {
	if t.key == nil {
		b.WriteString(quote(t.text, false))
		return
	}
	b.WriteString(t.key.Name)
	switch t.rel {
	case relIs:
		b.WriteString(":" + strings.Join(t.values(), ","))
	case relNot:
		b.WriteString("!=" + strings.Join(t.values(), ","))
	default:
		b.WriteString(t.rel.String() + t.key.kind.print(t.bound))
	}
}

// values returns the values as they are printed.
func (t *term) values() []string {
	var list []string
	for _, n := range t.numbers {
		list = append(list, printRange(t.key.kind, n.first, n.last))
	}
	for _, m := range t.masked {
		list = append(list, kindMark.print(uint64(m.value))+"/"+kindMark.print(uint64(m.mask)))
	}
	for _, r := range t.four {
		list = append(list, printAddresses(r, flow.IPv4))
	}
	for _, r := range t.six {
		list = append(list, printAddresses(r, flow.IPv6))
	}
	for _, name := range t.names {
		list = append(list, quote(name, true))
	}
	for i := 0; i < 256; i++ {
		switch {
		case !t.has(uint8(i)):
		case t.key.kind == kindProto:
			list = append(list, flow.Proto(i).Name())
		case t.key.kind == kindName:
			list = append(list, t.key.Values[i])
		default: // labels
			first := i
			for i < 255 && t.has(uint8(i+1)) {
				i++
			}
			list = append(list, printRange(kindLabel, uint64(first), uint64(i)))
		}
	}
	return list
}

func printRange(k valueKind, first, last uint64) string {
	if first == last {
		return k.print(first)
	}
	return k.print(first) + "-" + k.print(last)
}

// printAddresses returns a range as an address, a network or a range.
func printAddresses(r flow.Range, family flow.Family) string {
	from, to := r.First().IP(family), r.Last().IP(family)
	if from == to {
		return from.String()
	}
	for bits := range from.BitLen() {
		if p := netip.PrefixFrom(from, bits); p.Masked() == p && flow.RangeOf(p) == r {
			return p.String()
		}
	}
	return from.String() + "-" + to.String()
}
