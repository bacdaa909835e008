package ctnetlink

import (
	"bytes"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// AppendExpectCreate appends the request that makes e: IPCTNL_MSG_EXP_NEW with NLM_F_CREATE and NLM_F_EXCL. The kernel
// gives it the timeout of its helper's policy and not e.Timeout, which AppendExpectUpdate sets afterwards.
//
// The kernel reports the helper of the master in the attribute in which kernels take the helper that the expected
// connection is to get (exp->helper; 6.18.44 ignores it). So the name is sent only where the two are the same or it
// does no harm: see namesHelper. The master has its own helper already.
func AppendExpectCreate(b []byte, e *flow.Expectation) []byte {
	return appendExpectNew(b, e, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
}

// AppendExpectUpdate appends the request that sets the timeout of the expectation found by e.Expect and its zone. The
// kernel lets nothing else be changed.
func AppendExpectUpdate(b []byte, e *flow.Expectation) []byte { return appendExpectNew(b, e, 0) }

func appendExpectNew(b []byte, e *flow.Expectation, flags uint16) []byte {
	b, at := openMessage(b, msgExpectNew, flags, uint8(e.Expect.Family))
	setSubsystem(b[at:], subsysExpect)
	b = appendTuple(b, ctaExpectMaster, &e.Master, 0)
	b = appendTuple(b, ctaExpectTuple, &e.Expect, 0)
	if e.Has.Is(flow.HasMask) {
		b = appendTuple(b, ctaExpectMask, &e.Mask, 0)
	}
	if e.Has.Is(flow.HasTimeout) {
		b = appendBE32(b, ctaExpectTimeout, e.Timeout)
	}
	if namesHelper(e) {
		b = appendName(b, ctaExpectHelpName, e.Helper[:])
	}
	if e.Expect.Zone != 0 {
		b = appendBE16(b, ctaExpectZone, e.Expect.Zone)
	}
	if e.Has.Is(flow.HasFlags) {
		b = appendBE32(b, ctaExpectFlags, e.Flags)
	}
	if e.Has.Is(flow.HasClass) {
		b = appendBE32(b, ctaExpectClass, e.Class)
	}
	if e.Has.Is(flow.HasNAT) {
		var nat int
		b, nat = openNest(b, ctaExpectNat)
		b = appendBE32(b, ctaExpectNatDir, e.NATDir)
		b = appendTuple(b, ctaExpectNatTuple, &e.NAT, 0)
		closeNest(b, nat)
	}
	if e.Has.Is(flow.HasFn) {
		b = appendName(b, ctaExpectFn, e.Fn[:])
	}
	closeMessage(b, at)
	return b
}

// sipClasses is how many classes of expectations the kernel's SIP helper has: signalling, audio, video, image.
const sipClasses = 4

// namesHelper reports whether a request to make e names its helper. If an expected connection got the helper of its
// master where the kernel would give it none, its payload would be parsed for commands: a file fetched by FTP could
// open ports. Only SIP's signalling expectation inherits the helper. A class beyond those known is sent with the name
// as well, because then every kernel checks it against the helper's table of policies.
func namesHelper(e *flow.Expectation) bool {
	if !e.Has.Is(flow.HasHelper) {
		return false
	}
	if bytes.HasPrefix(e.Helper[:], []byte("sip")) {
		return e.Class == 0 || e.Class >= sipClasses
	}
	return e.Class != 0
}

// AppendExpectDelete appends the request that deletes the expectation found by e.Expect and its zone, if it also has
// e.ID where that is present.
func AppendExpectDelete(b []byte, e *flow.Expectation) []byte {
	b, at := openExpectKey(b, msgExpectDelete, &e.Expect)
	if e.Has.Is(flow.HasID) {
		b = appendBE32(b, ctaExpectID, e.ID)
	}
	closeMessage(b, at)
	return b
}

// AppendExpectGet appends the request for the expectation that key, in its zone, would fulfil.
func AppendExpectGet(b []byte, key *flow.Tuple) []byte {
	b, at := openExpectKey(b, msgExpectGet, key)
	closeMessage(b, at)
	return b
}

func openExpectKey(b []byte, typ uint16, key *flow.Tuple) (_ []byte, at int) {
	b, at = openMessage(b, typ, 0, uint8(key.Family))
	setSubsystem(b[at:], subsysExpect)
	b = appendTuple(b, ctaExpectTuple, key, 0)
	if key.Zone != 0 {
		b = appendBE16(b, ctaExpectZone, key.Zone)
	}
	return b, at
}

// appendName sends a name with its NUL.
func appendName(b []byte, typ uint16, name []byte) []byte {
	n := bytes.IndexByte(name[:len(name)-1], 0)
	if n < 0 {
		n = len(name) - 1
	}
	if n == 0 {
		return b
	}
	b = appendAttrHeader(b, typ, n+1)
	b = append(b, name[:n]...)
	for b = append(b, 0); len(b)%4 != 0; {
		b = append(b, 0)
	}
	return b
}
