package wire

import (
	"strings"

	"ctsync/daemon/flow"
)

// Lack is something of a flow or an expectation that protocol v1 cannot carry. The sender counts it once for each flow
// or expectation, see FlowLack and ExpectationLack. The receiver says of what arrived whether it can be restored, see
// Uncarried and ExpectUncarried.
type Lack uint8

// Kinds of Lack.
const (
	LackZone       Lack = iota // a flow's zone holds for one direction
	LackGRE                    // a flow's GRE keys
	LackUDPLite                // a flow's UDP-Lite ports
	LackExpectZone             // an expectation's zone
	LackExpectNAT              // the address that an IPv6 expectation is translated to

	NumLacks = int(iota) // kinds: the length of an array of counters
)

const (
	noGREKeys      = "GRE keys not carried by protocol v1"
	noUDPLitePorts = "UDP-Lite ports not carried by protocol v1"
)

// String says what is concerned and what it lacks.
func (l Lack) String() string {
	switch l {
	case LackZone:
		return "flows: per-direction zone not carried by protocol v1"
	case LackGRE:
		return "flows: " + noGREKeys
	case LackUDPLite:
		return "flows: " + noUDPLitePorts
	case LackExpectZone:
		return "expectations: zone not carried by protocol v1"
	case LackExpectNAT:
		return "expectations: IPv6 address translation not carried by protocol v1"
	}
	return "unknown"
}

// FlowLack returns what protocol v1 cannot carry of f, and whether there is such a thing. A flow with LackZone must not
// be sent: the peer would take it for another flow. The others are sent, but the peer cannot restore them.
func FlowLack(f *flow.Flow) (l Lack, lacking bool) {
	switch _, whole := f.Zone(); {
	case !whole:
		return LackZone, true
	case f.Orig.Proto == flow.GRE:
		return LackGRE, true
	case f.Orig.Proto == flow.UDPLite:
		return LackUDPLite, true
	}
	return 0, false
}

// ExpectationLack returns what protocol v1 cannot carry of e, and whether there is such a thing. Such an expectation
// must not be sent.
func ExpectationLack(e *flow.Expectation) (l Lack, lacking bool) {
	switch {
	case e.Expect.Zone != 0:
		return LackExpectZone, true
	case addressLost(e):
		return LackExpectNAT, true
	}
	return 0, false
}

// addressLost reports whether e is translated to an IPv6 address, which has no place on the wire. An address of zero
// needs none: the expectations of FTP translate the port alone.
func addressLost(e *flow.Expectation) bool {
	return e.Has.Is(flow.HasNAT) && e.NAT.Family == flow.IPv6 && (e.NAT.Src != flow.Addr{} || e.NAT.Dst != flow.Addr{})
}

// Uncarried says why a flow that arrived cannot be restored exactly, or "": protocol v1 does not carry its whole key.
func Uncarried(f *flow.Flow) string {
	switch {
	case f.Orig.Proto == flow.GRE && f.Orig.SrcPort == 0 && f.Orig.DstPort == 0:
		return noGREKeys
	case f.Orig.Proto == flow.UDPLite && f.Orig.SrcPort == 0 && f.Orig.DstPort == 0:
		return noUDPLitePorts
	}
	return ""
}

// ExpectUncarried says why an expectation that arrived cannot be restored exactly, or "": protocol v1 does not carry
// all of it, or its sender left out what the kernel needs.
func ExpectUncarried(e *flow.Expectation) string {
	switch {
	case e.Has.Is(flow.HasNAT) && e.Expect.Family == flow.IPv6 && strings.HasPrefix(flow.CString(e.Helper[:]), "sip"):
		// Other helpers translate ports only.
		return "address translation of IPv6 expectations not carried by protocol v1"
	case e.Has.Is(flow.HasNAT) && e.NATDir > 1:
		return "direction of the translation is neither original nor reply"
	case !e.Has.Is(flow.HasMask):
		return "no mask"
	}
	return ""
}
