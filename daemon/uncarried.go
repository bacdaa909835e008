package daemon

import (
	"fmt"

	"ctsync/daemon/flow"
)

// What protocol v1 cannot carry is counted once for each flow or expectation of this router, by what is lost, and told in
// three places: the statistics, their JSON, and at a bounded rate the log. What the peer cannot restore because of it
// shows up once more in the errors of its commit; see uncarried.

// lack is something that protocol v1 cannot carry.
type lack uint8

const (
	lackZone lack = iota
	lackGRE
	lackUDPLite
	lackExpectZone
	lackExpectNAT
	numLacks
)

// What is in doubt of a flow whose key the protocol does not carry; the commit errors say the same.
const (
	noGREKeys      = "GRE keys not carried by protocol v1"
	noUDPLitePorts = "UDP-Lite ports not carried by protocol v1"
)

// lacks say what each means: what is counted, and what it lacks.
var lacks = [numLacks]string{
	lackZone:       "flows: per-direction zone not carried by protocol v1",
	lackGRE:        "flows: " + noGREKeys,
	lackUDPLite:    "flows: " + noUDPLitePorts,
	lackExpectZone: "expectations: zone not carried by protocol v1",
	lackExpectNAT:  "expectations: IPv6 address translation not carried by protocol v1",
}

// flowLack returns what the protocol cannot carry of f. A flow with a zone for one direction cannot be told at all; the
// others are told, but cannot be restored from it.
func flowLack(f *flow.Flow) (l lack, any bool) {
	switch _, whole := f.Zone(); {
	case !whole:
		return lackZone, true
	case f.Orig.Proto == flow.GRE:
		return lackGRE, true
	case f.Orig.Proto == flow.UDPLite:
		return lackUDPLite, true
	}
	return 0, false
}

// expectationLack does the same for expectations, none of which can be told then.
func expectationLack(e *flow.Expectation) (l lack, any bool) {
	switch {
	case e.Expect.Zone != 0:
		return lackExpectZone, true
	case addressLost(e):
		return lackExpectNAT, true
	}
	return 0, false
}

// reportLacks logs what has been counted since it was last logged, at most every complainEvery.
func (c *core) reportLacks(now int64) {
	if c.counts.lacks == c.lacksSaid || c.lacksAt != 0 && now-c.lacksAt < complainEvery {
		return
	}
	for l, n := range c.counts.lacks {
		if n != c.lacksSaid[l] {
			c.log.Warn(fmt.Sprintf("%d %s: the peer cannot restore them", n, lacks[l]))
		}
	}
	c.lacksSaid, c.lacksAt = c.counts.lacks, now
}
