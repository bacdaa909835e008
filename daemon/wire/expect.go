package wire

import (
	"encoding/binary"

	"ctsync/daemon/flow"
)

// Attribute ids of an expectation.
const (
	expMasterIPv4 = iota
	expMasterIPv6
	expMasterL4Proto
	expMasterPort
	expExpectIPv4
	expExpectIPv6
	expExpectL4Proto
	expExpectPort
	expMaskIPv4
	expMaskIPv6
	expMaskL4Proto
	expMaskPort
	expTimeout
	expFlags
	expClass
	expNATIPv4
	expNATPort
	expNATL4Proto
	expNATDir
	expHelperName
	expFn
)

// expectAttributes is indexed by attribute id.
var expectAttributes = table([]attribute{
	expMasterIPv4:    {name: "MASTER_IPV4", size: 8},
	expMasterIPv6:    {name: "MASTER_IPV6", size: 32},
	expMasterL4Proto: {name: "MASTER_L4PROTO", size: 1},
	expMasterPort:    {name: "MASTER_PORT", size: 4},
	expExpectIPv4:    {name: "EXPECT_IPV4", size: 8},
	expExpectIPv6:    {name: "EXPECT_IPV6", size: 32},
	expExpectL4Proto: {name: "EXPECT_L4PROTO", size: 1},
	expExpectPort:    {name: "EXPECT_PORT", size: 4},
	expMaskIPv4:      {name: "MASK_IPV4", size: 8},
	expMaskIPv6:      {name: "MASK_IPV6", size: 32},
	expMaskL4Proto:   {name: "MASK_L4PROTO", size: 1},
	expMaskPort:      {name: "MASK_PORT", size: 4},
	expTimeout:       {name: "TIMEOUT", size: 4, has: flow.HasTimeout},
	expFlags:         {name: "FLAGS", size: 4, has: flow.HasFlags},
	expClass:         {name: "CLASS", size: 4, has: flow.HasClass},
	expNATIPv4:       {name: "NAT_IPV4", size: 8},
	expNATPort:       {name: "NAT_PORT", size: 4},
	expNATL4Proto:    {name: "NAT_L4PROTO", size: 1},
	expNATDir:        {name: "NAT_DIR", size: 4},
	expHelperName:    {name: "HELPER_NAME", size: helperSize, variable: true},
	expFn:            {name: "FN", size: fnSize, variable: true},
})

// AppendExpectation appends a message that describes e, byte for byte as conntrackd writes it. It always writes master
// and expected tuple, and the rest when its bit in e.Has is set. A helper name of more than 11 characters and a
// function name of more than 27 are left out: with them the peer refuses the whole message. The NAT address of an IPv6
// expectation and all zones have no place on the wire.
func AppendExpectation(b []byte, typ Type, flags Flags, seq uint32, e *flow.Expectation) []byte {
	start := len(b)
	b = begin(b, typ, flags, seq)
	ports := carriesPorts(e.Master.Proto)
	b = appendTuple(b, expMasterIPv4, &e.Master, ports)
	b = appendTuple(b, expExpectIPv4, &e.Expect, ports)
	if e.Has.Is(flow.HasMask) {
		b = appendTuple(b, expMaskIPv4, &e.Mask, ports)
	}
	if e.Has.Is(flow.HasTimeout) {
		b = append32(b, expTimeout, e.Timeout)
	}
	if e.Has.Is(flow.HasFlags) {
		b = append32(b, expFlags, e.Flags)
	}
	if e.Has.Is(flow.HasClass) {
		b = append32(b, expClass, e.Class)
	}
	if e.Has.Is(flow.HasNAT) {
		if e.NAT.Family == flow.IPv4 {
			b = appendAddresses(b, expNATIPv4, expNATIPv4, &e.NAT)
		}
		b = append8(b, expNATL4Proto, uint8(e.NAT.Proto))
		if ports {
			b = appendPorts(b, expNATPort, &e.NAT)
		}
		b = append32(b, expNATDir, e.NATDir)
	}
	if e.Has.Is(flow.HasHelper) {
		b = appendName(b, expHelperName, e.Helper[:], helperSize)
	}
	if e.Has.Is(flow.HasFn) {
		b = appendName(b, expFn, e.Fn[:], fnSize)
	}
	return finish(b, start)
}

// appendTuple writes a tuple under four consecutive ids: IPv4, IPv6, protocol, ports.
func appendTuple(b []byte, first uint16, t *flow.Tuple, ports bool) []byte {
	b = appendAddresses(b, first, first+1, t)
	b = append8(b, first+2, uint8(t.Proto))
	if ports {
		b = appendPorts(b, first+3, t)
	}
	return b
}

// ParseExpectation reads the body of an ExpNew, ExpUpdate or ExpDestroy message into *e, which it overwrites. It skips
// attributes with an id of a newer version, and unknown counts them. It ignores ports when the protocol of the master
// has none on the wire, and a NAT address when the expectation is IPv6. On error *e is zero and err is one of this
// package's errors or wraps one.
func ParseExpectation(body []byte, e *flow.Expectation) (unknown int, err error) {
	*e = flow.Expectation{}
	var seen uint32
	for len(body) > 4 {
		id, payload, rest, known, err := nextAttribute(body, expectAttributes)
		if err != nil {
			*e = flow.Expectation{}
			return unknown, err
		}
		body = rest
		if !known {
			unknown++
			continue
		}
		seen |= 1 << id
		e.Has |= expectAttributes[id].has
		if id < expTimeout {
			setTuplePart(e, id, payload)
		} else {
			setExpectation(e, id, payload)
		}
	}
	if err := finishExpectation(e, seen); err != nil {
		*e = flow.Expectation{}
		return unknown, err
	}
	return unknown, nil
}

// setTuplePart takes the attributes 0 to 11: three tuples of four attributes each.
func setTuplePart(e *flow.Expectation, id int, b []byte) {
	t := [...]*flow.Tuple{&e.Master, &e.Expect, &e.Mask}[id/4]
	switch id % 4 {
	case 0, 1:
		setAddresses(t, b)
	case 2:
		t.Proto = flow.Proto(b[0])
	case 3:
		setPorts(t, b)
	}
}

// setExpectation takes the attributes 12 to 20.
func setExpectation(e *flow.Expectation, id int, b []byte) {
	switch id {
	case expTimeout:
		e.Timeout = binary.BigEndian.Uint32(b)
	case expFlags:
		e.Flags = binary.BigEndian.Uint32(b)
	case expClass:
		e.Class = binary.BigEndian.Uint32(b)
	case expNATIPv4:
		setAddresses(&e.NAT, b)
	case expNATPort:
		setPorts(&e.NAT, b)
	case expNATL4Proto:
		e.NAT.Proto = flow.Proto(b[0])
	case expNATDir:
		e.NATDir = binary.BigEndian.Uint32(b)
	case expHelperName:
		e.Has &^= flow.HasHelper
		if setName(e.Helper[:], b) {
			e.Has |= flow.HasHelper
		}
	case expFn:
		e.Has &^= flow.HasFn
		if setName(e.Fn[:], b) {
			e.Has |= flow.HasFn
		}
	}
}

// finishExpectation checks that what is required is there, and drops what has no meaning beside it.
func finishExpectation(e *flow.Expectation, seen uint32) error {
	saw := func(ids ...int) bool {
		for _, id := range ids {
			if seen>>id&1 != 0 {
				return true
			}
		}
		return false
	}
	if !saw(expMasterIPv4, expMasterIPv6) || !saw(expExpectIPv4, expExpectIPv6) {
		return ErrNoAddress
	}
	if !saw(expMasterL4Proto) || !saw(expExpectL4Proto) {
		return ErrNoProtocol
	}
	e.Has |= flow.HasMaster
	if saw(expMaskIPv4, expMaskIPv6) {
		e.Has |= flow.HasMask
	} else {
		e.Mask = flow.Tuple{}
	}
	if e.Master.Family != e.Expect.Family || e.Has.Is(flow.HasMask) && e.Mask.Family != e.Expect.Family {
		return ErrFamily
	}
	if saw(expNATIPv4, expNATPort, expNATL4Proto, expNATDir) {
		e.Has |= flow.HasNAT
		if e.Expect.Family == flow.IPv6 {
			e.NAT.Src, e.NAT.Dst = flow.Addr{}, flow.Addr{}
		}
		e.NAT.Family = e.Expect.Family
		if !saw(expNATL4Proto) {
			e.NAT.Proto = e.Expect.Proto
		}
	}
	if !carriesPorts(e.Master.Proto) {
		for _, t := range [...]*flow.Tuple{&e.Master, &e.Expect, &e.Mask, &e.NAT} {
			t.SrcPort, t.DstPort = 0, 0
		}
	}
	return nil
}
