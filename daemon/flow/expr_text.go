package flow

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// text is what a word without a key matches, one of:
//
//	10.0.0.7 10.0.0.0/8 fd00::1   one of the four addresses
//	10.0. 10.1 fd00:1 [fd00:1:    the beginning of one, of the last part any digits
//	10.0.0.7:443 [fd00::1]:443    address and port of one end
//	443                           one of the four ports; also the kernel's ID
//	tcp est time-w syn_           part of the name of the protocol or of the state; also the two letters of a TCP state
//	assured unreplied snat dnat   what the flow is; from three letters on the beginning of the word
//	ftp                           part of the helper's name
//	ipv4 ipv6                     the family
//
// So it never makes a text of a flow: that would cost more than everything else.
type text struct {
	protos    [4]uint64
	states    [3]uint16 // TCP, SCTP, DCCP
	status    uint32
	unreplied bool
	snat      bool
	dnat      bool
	family    Family
	number    bool // id, and port if it fits, are something to look for
	id        uint32
	port      uint16
	end       bool   // port belongs to the addresses
	four, six []span // of addresses
	helper    string // part of its name, lower case; "" = none
}

// newText makes the term of a text in lower case.
func newText(word string) term {
	t := term{text: word, find: text{helper: word}}
	x := &t.find
	if n, err := strconv.ParseUint(word, 10, 32); err == nil {
		x.number, x.id, x.port = true, uint32(n), uint16(n)
	}
	if at := strings.LastIndexByte(word, ':'); at > 0 && x.addresses(strings.Trim(word[:at], "[]")) && (word[0] == '[' || !strings.Contains(word[:at], ":")) {
		if port, err := strconv.ParseUint(word[at+1:], 10, 16); err == nil {
			x.end, x.port = true, uint16(port)
			return t
		}
	}
	x.four, x.six = nil, nil
	if x.addresses(strings.TrimLeft(word, "[")) || x.number {
		return t
	}
	x.words(word)
	return t
}

// addresses takes word for an address, a network or the beginning of an address, and reports whether it is.
func (x *text) addresses(word string) bool {
	if s, family, ok := parseSpan(word); ok {
		if family == IPv4 {
			x.four = []span{s}
		} else {
			x.six = []span{s}
		}
		return true
	}
	if strings.Contains(word, ".") {
		x.four = begun(word, ".", 4, 10, 8)
		return x.four != nil
	}
	if strings.Contains(word, ":") && !strings.Contains(word, "::") {
		x.six = begun(word, ":", 8, 16, 16)
		return x.six != nil
	}
	return false
}

// begun returns the addresses that begin with word: parts of a number of bits, written in a base, between separators. The
// last part may have more digits than word has of it.
func begun(word, separator string, parts, base, bits int) []span {
	list := strings.Split(word, separator)
	if len(list) > parts {
		return nil
	}
	var whole [16]byte
	width := bits / 8
	put := func(at int, v uint64) netip.Prefix {
		b := whole
		for i := range width {
			b[at*width+i] = byte(v >> (8 * (width - 1 - i)))
		}
		if parts == 4 {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), (at+1)*bits)
		}
		return netip.PrefixFrom(netip.AddrFrom16(b), (at+1)*bits)
	}
	last := len(list) - 1
	for i, part := range list[:last] {
		v, err := strconv.ParseUint(part, base, bits)
		if err != nil {
			return nil
		}
		p := put(i, v).Addr().As16()
		if parts == 4 {
			copy(whole[:4], p[12:])
		} else {
			whole = p
		}
	}
	if list[last] == "" {
		if last == 0 {
			return nil
		}
		v, _ := strconv.ParseUint(list[last-1], base, bits)
		return []span{spanOf(put(last-1, v))}
	}
	var spans []span
	v, err := strconv.ParseUint(list[last], base, bits)
	if err != nil {
		return nil
	}
	for n := uint64(1); v*n < 1<<bits; n *= uint64(base) { // v, v with one more digit, with two
		first, final := spanOf(put(last, v*n)), spanOf(put(last, min(v*n+n, 1<<bits)-1))
		spans = append(spans, span{first.first, final.last})
		if v == 0 {
			break
		}
	}
	return united(spans, map[int]int{4: 32, 8: 128}[parts])
}

// words takes word for a name.
func (x *text) words(word string) {
	for p := range 256 {
		if name := Proto(p).String(); name != unknownName && strings.Contains(name, word) {
			x.protos[p>>6] |= 1 << (p & 63)
		}
	}
	for i, p := range statefulProtos {
		for s, name := range statesOf(p) {
			code := p == TCP && TCPStateCode(uint8(s)) != "" && strings.EqualFold(TCPStateCode(uint8(s)), word)
			if code || strings.Contains(strings.ToLower(name), strings.ReplaceAll(word, "-", "_")) {
				x.states[i] |= 1 << s
			}
		}
	}
	for _, f := range []Family{IPv4, IPv6} {
		if word == f.String() {
			x.family = f
		}
	}
	if len(word) < 3 {
		return
	}
	is := func(name string) bool { return strings.HasPrefix(name, word) }
	for name, bit := range map[string]uint32{"assured": StatusAssured, "offload": StatusOffload | StatusHWOffload, "expected": StatusExpected} {
		if is(name) {
			x.status |= bit
		}
	}
	x.unreplied = is("unreplied")
	x.snat, x.dnat = is("snat") || is("nat"), is("dnat") || is("nat")
}

func (x *text) match(f *Flow) bool {
	if len(x.four)+len(x.six) > 0 {
		return x.matchAddress(f)
	}
	if x.number {
		return x.matchNumber(f) || x.matchHelper(f)
	}
	p := f.Orig.Proto
	if x.protos[p>>6]>>(p&63)&1 != 0 || f.Status&x.status != 0 || f.Orig.Family == x.family || x.unreplied && unreplied(f) {
		return true
	}
	if x.states != [3]uint16{} {
		if s, ok := f.State(); ok && x.states[slices.Index(statefulProtos[:], p)]>>s&1 != 0 {
			return true
		}
	}
	if x.snat || x.dnat {
		if source, destination := translated(f); source && x.snat || destination && x.dnat {
			return true
		}
	}
	return x.matchHelper(f)
}

func (x *text) matchAddress(f *Flow) bool {
	for _, t := range [...]*Tuple{&f.Orig, &f.Reply} {
		list := x.four
		switch t.Family {
		case IPv6:
			list = x.six
		case IPv4:
		default:
			continue
		}
		ports := t.Proto.HasPorts()
		if inside(list, &t.Src) && (!x.end || ports && t.SrcPort == x.port) || inside(list, &t.Dst) && (!x.end || ports && t.DstPort == x.port) {
			return true
		}
	}
	return false
}

func (x *text) matchNumber(f *Flow) bool {
	if f.Has.Is(HasID) && f.ID == x.id {
		return true
	}
	if !f.Orig.Proto.HasPorts() || uint32(x.port) != x.id {
		return false
	}
	return f.Orig.SrcPort == x.port || f.Orig.DstPort == x.port ||
		f.Has.Is(HasReply) && (f.Reply.SrcPort == x.port || f.Reply.DstPort == x.port)
}

func (x *text) matchHelper(f *Flow) bool {
	if !f.Has.Is(HasHelper) {
		return false
	}
	name := f.Helper[:]
	for i := 0; i < len(name) && name[i] != 0; i++ {
		if beginsWith(name[i:], x.helper) {
			return true
		}
	}
	return false
}
