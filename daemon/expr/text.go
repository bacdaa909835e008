package expr

import (
	"slices"
	"strconv"
	"strings"

	"ctsync/daemon/flow"
)

// text is what a word without a key matches. The word may be:
//
//	10.0.0.7 10.0.0.0/8 fd00::1   one of the four addresses
//	10.0. 10.1 fd00:1 [fd00:1:    the first digits of one
//	10.0.0.7:443 [fd00::1]:443    address and port of one end
//	443                           one of the four ports, or the kernel's ID
//	tcp est time-w syn_           part of the name of the protocol or state, or the two letters of a TCP state
//	assured replied snat dnat     a property of the flow, or at least the first three letters of one; also unreplied
//	ftp                           part of the helper's name
//	ipv4 ipv6                     the family
//
// It compares numbers and never prints a flow: that would cost more than everything else.
type text struct {
	protos    [4]uint64
	states    [3]uint16 // TCP, SCTP, DCCP
	status    uint32
	unreplied bool
	snat      bool
	dnat      bool
	family    flow.Family
	number    bool // the word is a number: look for id, and for port if it is as large
	id        uint32
	port      uint16
	end       bool         // port must be that of the address
	four, six flow.AddrSet // of addresses
	helper    string       // part of its name, lower case; "" = none
}

// newText returns the term of a word in lower case.
func newText(word string) term {
	t := term{text: word, find: text{helper: word}}
	x := &t.find
	if n, err := strconv.ParseUint(word, 10, 32); err == nil {
		x.number, x.id, x.port = true, uint32(n), uint16(n)
	}
	if at := strings.LastIndexByte(word, ':'); at > 0 && (word[0] == '[' || !strings.Contains(word[:at], ":")) {
		port, err := strconv.ParseUint(word[at+1:], 10, 16)
		if err == nil && x.addresses(strings.Trim(word[:at], "[]")) {
			x.end, x.port = true, uint16(port)
			return t
		}
	}
	if x.addresses(strings.TrimLeft(word, "[")) || x.number {
		return t
	}
	x.words(word)
	return t
}

// addresses notes what word matches as an address, a network or the beginning of an address. It reports whether word is
// one.
func (x *text) addresses(word string) bool {
	if r, family, ok := parseRange(word); ok {
		if family == flow.IPv4 {
			x.four = flow.AddrSet{r}
		} else {
			x.six = flow.AddrSet{r}
		}
		return true
	}
	if strings.Contains(word, ".") {
		x.four = begun(word, flow.IPv4)
		return x.four != nil
	}
	if strings.Contains(word, ":") && !strings.Contains(word, "::") {
		x.six = begun(word, flow.IPv6)
		return x.six != nil
	}
	return false
}

// begun returns the addresses whose text begins with word. The last part of word may be the beginning of a longer
// number.
func begun(word string, family flow.Family) flow.AddrSet {
	separator, parts, base, width := ".", 4, 10, 1 // width of a part in bytes
	if family == flow.IPv6 {
		separator, parts, base, width = ":", 8, 16, 2
	}
	list := strings.Split(word, separator)
	if len(list) > parts {
		return nil
	}
	put := func(a *flow.Addr, part int, v uint64) {
		for i := range width {
			a[part*width+i] = byte(v >> (8 * (width - 1 - i)))
		}
	}
	var start flow.Addr
	last := len(list) - 1
	for i, part := range list[:last] {
		v, err := strconv.ParseUint(part, base, 8*width)
		if err != nil {
			return nil
		}
		put(&start, i, v)
	}
	between := func(first, final uint64) flow.Range { // addresses with such a last part
		from, to := start, start
		put(&from, last, first)
		put(&to, last, final)
		for i := (last + 1) * width; i < parts*width; i++ {
			to[i] = 0xff
		}
		return flow.NewRange(from, to)
	}
	end := uint64(1) << (8 * width)
	if list[last] == "" {
		return flow.AddrSet{between(0, end-1)}
	}
	v, err := strconv.ParseUint(list[last], base, 8*width)
	if err != nil {
		return nil
	}
	var ranges []flow.Range
	for n := uint64(1); v*n < end; n *= uint64(base) { // v, v with one more digit, with two
		ranges = append(ranges, between(v*n, min(v*n+n, end)-1))
		if v == 0 {
			break
		}
	}
	return flow.NewAddrSet(ranges, family)
}

// words notes what word matches as a name.
func (x *text) words(word string) {
	for _, p := range flow.Protos() {
		if strings.Contains(p.String(), word) {
			x.protos[p>>6] |= 1 << (p & 63)
		}
	}
	for i, p := range statefulProtos {
		for s, name := range flow.States(p) {
			code := ""
			if p == flow.TCP {
				code = flow.TCPStateCode(uint8(s))
			}
			if code != "" && strings.EqualFold(code, word) ||
				strings.Contains(strings.ToLower(name), strings.ReplaceAll(word, "-", "_")) {
				x.states[i] |= 1 << s
			}
		}
	}
	for _, f := range []flow.Family{flow.IPv4, flow.IPv6} {
		if word == f.String() {
			x.family = f
		}
	}
	if len(word) < 3 {
		return
	}
	is := func(name string) bool { return strings.HasPrefix(name, word) }
	if is("assured") {
		x.status |= flow.StatusAssured
	}
	if is("replied") {
		x.status |= flow.StatusSeenReply
	}
	if is("offload") {
		x.status |= flow.StatusOffload | flow.StatusHWOffload
	}
	if is("expected") {
		x.status |= flow.StatusExpected
	}
	x.unreplied = is("unreplied")
	x.snat, x.dnat = is("snat") || is("nat"), is("dnat") || is("nat")
}

func (x *text) match(f *flow.Flow) bool {
	if len(x.four)+len(x.six) > 0 {
		return x.matchAddress(f)
	}
	if x.number {
		return x.matchNumber(f) || x.matchHelper(f)
	}
	p := f.Orig.Proto
	if x.protos[p>>6]>>(p&63)&1 != 0 || f.Status&x.status != 0 || f.Orig.Family == x.family ||
		x.unreplied && f.Unreplied() {
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

func (x *text) matchAddress(f *flow.Flow) bool {
	for _, t := range [...]*flow.Tuple{&f.Orig, &f.Reply} {
		list := x.four
		switch t.Family {
		case flow.IPv6:
			list = x.six
		case flow.IPv4:
		default:
			continue
		}
		ports := t.Proto.HasPorts()
		if list.Has(&t.Src) && (!x.end || ports && t.SrcPort == x.port) ||
			list.Has(&t.Dst) && (!x.end || ports && t.DstPort == x.port) {
			return true
		}
	}
	return false
}

func (x *text) matchNumber(f *flow.Flow) bool {
	if f.Has.Is(flow.HasID) && f.ID == x.id {
		return true
	}
	if !f.Orig.Proto.HasPorts() || uint32(x.port) != x.id {
		return false
	}
	return f.Orig.SrcPort == x.port || f.Orig.DstPort == x.port ||
		f.Has.Is(flow.HasReply) && (f.Reply.SrcPort == x.port || f.Reply.DstPort == x.port)
}

func (x *text) matchHelper(f *flow.Flow) bool {
	if !f.Has.Is(flow.HasHelper) {
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
