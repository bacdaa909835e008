package expr

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"ctsync/daemon/flow"
)

// stateValues are the states of all protocols in lower case. stateIndex says for each state of TCP, SCTP and DCCP where
// in stateValues it is.
var stateValues, stateIndex = func() (values []string, index [3][]uint8) {
	for i, p := range statefulProtos {
		for _, name := range flow.States(p) {
			name = strings.ToLower(name)
			at := slices.Index(values, name)
			if at < 0 {
				at = len(values)
				values = append(values, name)
			}
			index[i] = append(index[i], uint8(at))
		}
	}
	return values, index
}()

var statefulProtos = [...]flow.Proto{flow.TCP, flow.SCTP, flow.DCCP}

func testState(t *term, f *flow.Flow, _ flow.Ages) bool {
	s, ok := f.State()
	if !ok {
		return false
	}
	index := stateIndex[0]
	switch f.Orig.Proto {
	case flow.SCTP:
		index = stateIndex[1]
	case flow.DCCP:
		index = stateIndex[2]
	}
	return int(s) < len(index) && t.has(index[s])
}

// statusValues are the names of the status bits by number. The last two values stand for a flow without a reply and one
// with a reply.
var statusValues = func() (list []string) {
	for _, name := range flow.StatusNames(flow.StatusAll) {
		list = append(list, strings.ToLower(name))
	}
	return append(list, "unreplied", "replied")
}()

func testStatus(t *term, f *flow.Flow, _ flow.Ages) bool {
	unreplied, replied := uint8(len(statusValues)-2), uint8(len(statusValues)-1)
	return f.Status&flow.StatusAll&uint32(t.bits[0]) != 0 || t.has(unreplied) && f.Unreplied() ||
		t.has(replied) && f.Status&flow.StatusSeenReply != 0
}

// translated reports which ends of f are translated. It compares the tuples or, without a reply tuple, reads the
// status.
func translated(f *flow.Flow) (source, destination bool) {
	if f.Has.Is(flow.HasReply) {
		return f.SNAT(), f.DNAT()
	}
	return f.Status&flow.StatusSrcNAT != 0, f.Status&flow.StatusDstNAT != 0
}

func testNAT(t *term, f *flow.Flow, _ flow.Ages) bool {
	source, destination := translated(f)
	nat := source || destination
	return nat && t.has(0) || !nat && t.has(1) || source && t.has(2) || destination && t.has(3)
}

func testHelper(t *term, f *flow.Flow, _ flow.Ages) bool {
	helped := f.Has.Is(flow.HasHelper) && f.Helper[0] != 0
	for _, name := range t.names {
		switch {
		case name == "any" && helped, name == "none" && !helped, helped && foldsTo(&f.Helper, name):
			return true
		}
	}
	return false
}

// foldsTo reports whether the NUL-terminated name is lower but for its case.
func foldsTo(name *[16]byte, lower string) bool {
	return len(lower) < len(name) && name[len(lower)] == 0 && beginsWith(name[:], lower)
}

// beginsWith reports whether b begins with lower but for its case.
func beginsWith(b []byte, lower string) bool {
	if len(b) < len(lower) {
		return false
	}
	for i := range len(lower) {
		if lowerCase(b[i]) != lower[i] {
			return false
		}
	}
	return true
}

func lowerCase(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func testMark(t *term, f *flow.Flow, _ flow.Ages) bool {
	for _, m := range t.masked {
		if f.Mark&m.mask == m.value {
			return true
		}
	}
	return t.holds(uint64(f.Mark))
}

func testLabel(t *term, f *flow.Flow, _ flow.Ages) bool {
	return binary.LittleEndian.Uint64(f.Labels[:8])&t.bits[0] != 0 ||
		binary.LittleEndian.Uint64(f.Labels[8:])&t.bits[1] != 0
}

// testTimeout looks at what is left of the timeout now, if the table says when it was f.Timeout.
func testTimeout(t *term, f *flow.Flow, a flow.Ages) bool {
	left := uint64(f.Timeout)
	if a.Idle > 0 {
		left -= min(left, uint64(a.Idle/time.Second))
	}
	return f.Has.Is(flow.HasTimeout) && t.holds(left)
}
