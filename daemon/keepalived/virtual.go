package keepalived

import (
	"net/netip"
	"slices"
)

// virtualBlocks are the keywords whose blocks hold virtual addresses, one on each line with its options.
var virtualBlocks = []string{"virtual_ipaddress", "virtual_ipaddress_excluded"}

// virtual notes the virtual addresses of a line, before its braces are followed. A condition or a definition is no
// doubt here: an address that is taken for virtual is only liked less than another one.
func (p *parser) virtual(words []word) {
	depth, noted := p.depth, false
	for _, w := range words {
		switch {
		case w.opens():
			if depth++; p.virtualNext {
				p.virtualAt, p.virtualNext = depth, false
			}
			noted = false
		case w.brace():
			if depth--; depth < p.virtualAt {
				p.virtualAt = 0
			}
		case slices.Contains(virtualBlocks, w.text):
			p.virtualNext = true
		case p.virtualAt > 0 && depth == p.virtualAt && !noted:
			if a, ok := addressOf(w.text); ok {
				p.c.Virtual = append(p.c.Virtual, a)
				noted = true // what follows are its options, such as brd
			} else {
				p.c.MoreVirtual = true
			}
		}
	}
}

func addressOf(text string) (netip.Addr, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Addr(), true
	}
	a, err := netip.ParseAddr(text)
	return a, err == nil
}

// AllVirtual returns the virtual addresses in the configuration at path. known is false when there may be others: it
// cannot be read, names none, or names some by a definition.
func AllVirtual(path string) (list []netip.Addr, known bool) {
	c, err := Read(path)
	if err != nil {
		return nil, false
	}
	return c.Virtual, len(c.Virtual) > 0 && c.Doubt == "" && !c.MoreVirtual
}

// Virtual returns the virtual addresses in the configuration at path, none if it cannot be read.
func Virtual(path string) []netip.Addr {
	c, err := Read(path)
	if err != nil {
		return nil
	}
	return c.Virtual
}
