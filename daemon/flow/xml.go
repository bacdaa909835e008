package flow

import "strconv"

// AppendXML appends f as `conntrackd -i -x` and, with external, `-e -x` print it: one <flow> element without a newline.
// The reply part of an external entry is empty, as in conntrackd. States of SCTP and DCCP have their own names;
// libnetfilter_conntrack uses those of TCP.
func AppendXML(b []byte, f *Flow, external bool) []byte {
	zone, whole := f.Zone()
	b = append(b, "<flow>"...)
	b = appendMeta(b, Original, &f.Orig, whole)
	if external || !f.Has.Is(HasReply) {
		b = append(b, `<meta direction="reply">`...)
		b = append(b, `<layer3 protonum="0" protoname="unknown"><src></src><dst></dst></layer3>`...)
		b = append(b, `<layer4 protonum="0" protoname="unknown"></layer4></meta>`...)
	} else {
		b = appendMeta(b, Reply, &f.Reply, whole)
	}
	if whole && zone != 0 || f.Has&(HasStatus|HasTimeout|HasMark|HasID) != 0 || f.StateName() != "" {
		b = appendIndependent(b, f, zone, whole)
	}
	if f.Has.Is(HasHelper) {
		b = append(appendXMLName(append(b, "<helper>"...), f.Helper[:]), "</helper>"...)
	}
	return append(b, "</flow>"...)
}

// appendMeta appends one direction. It contains a zone of this direction only, but not a zone of both.
func appendMeta(b []byte, d Direction, t *Tuple, wholeZone bool) []byte {
	b = append(append(append(b, `<meta direction="`...), d.String()...), `">`...)
	b = appendLayer(b, `<layer3 protonum="`, uint64(t.Family), t.Family.String())
	b = appendXMLAddresses(b, t)
	b = append(b, "</layer3>"...)
	b = appendLayer(b, `<layer4 protonum="`, uint64(t.Proto), t.Proto.String())
	switch {
	case t.Proto.HasPorts():
		b = appendXMLPorts(b, t)
	case t.Proto == GRE:
		b = strconv.AppendUint(append(b, "<srckey>0x"...), uint64(t.SrcPort), 16)
		b = strconv.AppendUint(append(b, "</srckey><dstkey>0x"...), uint64(t.DstPort), 16)
		b = append(b, "</dstkey>"...)
	}
	b = append(b, "</layer4>"...)
	if !wholeZone && t.Zone != 0 {
		b = appendXMLNumber(b, "zone", uint64(t.Zone))
	}
	return append(b, "</meta>"...)
}

func appendIndependent(b []byte, f *Flow, zone uint16, wholeZone bool) []byte {
	b = append(b, `<meta direction="independent">`...)
	if name := f.StateName(); name != "" {
		b = append(append(append(b, "<state>"...), name...), "</state>"...)
	}
	if f.Has.Is(HasMark) {
		b = appendXMLNumber(b, "mark", uint64(f.Mark))
	}
	if wholeZone && zone != 0 {
		b = appendXMLNumber(b, "zone", uint64(zone))
	}
	if f.Has.Is(HasID) {
		b = appendXMLNumber(b, "id", uint64(f.ID))
	}
	if f.Has.Is(HasStatus) {
		if f.Status&StatusAssured != 0 {
			b = append(b, "<assured/>"...)
		}
		if f.Status&StatusSeenReply == 0 {
			b = append(b, "<unreplied/>"...)
		}
	}
	return append(b, "</meta>"...)
}

// AppendXMLExpectation appends e as `conntrackd -i expect -x` prints it, without a newline.
func AppendXMLExpectation(b []byte, e *Expectation) []byte {
	parts := [...]struct {
		open, close string
		t           *Tuple
	}{
		{"<expected>", "</expected>", &e.Expect},
		{"<mask>", "</mask>", &e.Mask},
		{"<master>", "</master>", &e.Master},
	}
	skip := func(t *Tuple) bool { return t == &e.Mask && !e.Has.Is(HasMask) }

	b = appendLayer(append(b, "<flow>"...), `<layer3 protonum="`, uint64(e.Expect.Family), e.Expect.Family.String())
	for _, p := range parts {
		if !skip(p.t) {
			b = append(appendXMLAddresses(append(b, p.open...), p.t), p.close...)
		}
	}
	b = append(b, "</layer3>"...)
	b = appendLayer(b, `<layer4 protonum="`, uint64(e.Expect.Proto), e.Expect.Proto.String())
	for _, p := range parts {
		if p.t.Proto.HasPorts() && !skip(p.t) {
			b = append(appendXMLPorts(append(b, p.open...), p.t), p.close...)
		}
	}
	b = append(b, "</layer4><meta>"...)
	if e.Has.Is(HasHelper) {
		b = append(appendXMLName(append(b, "<helper-name>"...), e.Helper[:]), "</helper-name>"...)
	}
	if e.Has.Is(HasClass) {
		b = appendXMLNumber(b, "class", uint64(e.Class))
	}
	for bit, element := range [len(expectFlagNames)]string{"<permanent/>", "<inactive/>", "<userspace/>"} {
		if e.Has.Is(HasFlags) && e.Flags>>bit&1 != 0 {
			b = append(b, element...)
		}
	}
	return append(b, "</meta></flow>"...)
}

func appendLayer(b []byte, open string, number uint64, name string) []byte {
	b = strconv.AppendUint(append(b, open...), number, 10)
	return append(append(append(b, `" protoname="`...), name...), `">`...)
}

func appendXMLAddresses(b []byte, t *Tuple) []byte {
	b = t.Src.IP(t.Family).AppendTo(append(b, "<src>"...))
	b = t.Dst.IP(t.Family).AppendTo(append(b, "</src><dst>"...))
	return append(b, "</dst>"...)
}

func appendXMLPorts(b []byte, t *Tuple) []byte {
	return appendXMLNumber(appendXMLNumber(b, "sport", uint64(t.SrcPort)), "dport", uint64(t.DstPort))
}

func appendXMLNumber(b []byte, element string, v uint64) []byte {
	b = append(append(append(b, '<'), element...), '>')
	b = strconv.AppendUint(b, v, 10)
	return append(append(append(b, "</"...), element...), '>')
}

// appendXMLName appends a name as appendName does and escapes the characters that have a meaning in XML.
func appendXMLName(b []byte, name []byte) []byte {
	for _, c := range appendName(make([]byte, 0, 32), name) {
		switch c {
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '&':
			b = append(b, "&amp;"...)
		default:
			b = append(b, c)
		}
	}
	return b
}
