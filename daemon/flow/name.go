package flow

import (
	"fmt"
	"strconv"
	"strings"
)

// unknownName is what conntrack(8) prints for a number without a name.
const unknownName = "unknown"

// String returns "ipv4", "ipv6" or "unknown".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	}
	return unknownName
}

// ParseFamily is the inverse of Family.String.
func ParseFamily(name string) (Family, error) {
	switch name {
	case "ipv4":
		return IPv4, nil
	case "ipv6":
		return IPv6, nil
	}
	return 0, fmt.Errorf("parse family %q: want ipv4 or ipv6", name)
}

// String returns "original" or "reply", the words of conntrack(8).
func (d Direction) String() string {
	if d == Original {
		return "original"
	}
	return "reply"
}

// State names as conntrack(8) prints them, indexed by enum tcp_conntrack, sctp_conntrack and ct_dccp_states.
var (
	tcpStates = [...]string{
		"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
		"SYN_SENT2",
	}
	sctpStates = [...]string{
		"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
		"SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
	}
	dccpStates = [...]string{
		"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID",
	}
)

// States returns the names of the states of p by number, or nil if p has no states. Callers must not change them.
func States(p Proto) []string {
	switch p {
	case TCP:
		return tcpStates[:]
	case SCTP:
		return sctpStates[:]
	case DCCP:
		return dccpStates[:]
	}
	return nil
}

// StateName returns the name of state s of protocol p (TCP, SCTP or DCCP). It is "NONE" for an unknown state, as in
// conntrack(8), and "" for a protocol without states.
func StateName(p Proto, s uint8) string {
	states := States(p)
	switch {
	case states == nil:
		return ""
	case int(s) >= len(states):
		return states[0]
	}
	return states[s]
}

// ParseState is the inverse of StateName, in any case. Of TCP's states LISTEN is an older name of SYN_SENT2, and CLOSED
// is conntrackd's name of CLOSE.
func ParseState(p Proto, name string) (uint8, error) {
	for i, s := range States(p) {
		if strings.EqualFold(name, s) {
			return uint8(i), nil
		}
	}
	if p == TCP && strings.EqualFold(name, "LISTEN") {
		return TCPSynSent2, nil
	}
	if p == TCP && strings.EqualFold(name, "CLOSED") {
		return TCPClose, nil
	}
	return 0, fmt.Errorf("parse state %q: %v has no such state", name, p)
}

// State returns the protocol state of f. ok is false if f carries none or its protocol has no states.
func (f *Flow) State() (s uint8, ok bool) {
	switch f.Orig.Proto {
	case TCP:
		return f.TCPState, f.Has.Is(HasTCPState)
	case SCTP:
		return f.SCTPState, f.Has.Is(HasSCTP)
	case DCCP:
		return f.DCCPState, f.Has.Is(HasDCCP)
	}
	return 0, false
}

// StateName returns the name of the protocol state of f, or "" if there is none.
func (f *Flow) StateName() string {
	s, ok := f.State()
	if !ok {
		return ""
	}
	return StateName(f.Orig.Proto, s)
}

// TCPStateCode returns the two letters of `show conntrack table` for a TCP state, or "" for NONE and an unknown state.
func TCPStateCode(s uint8) string {
	codes := [len(tcpStates)]string{"", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "LI"}
	if int(s) >= len(codes) {
		return ""
	}
	return codes[s]
}

// statusNames is indexed by bit number. The names are those of enum ip_conntrack_status without IPS_.
var statusNames = [...]string{
	"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE",
	"DST_NAT_DONE",
	"DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD",
}

// StatusAll are the status bits that have a name.
const StatusAll uint32 = 1<<len(statusNames) - 1

// StatusNames returns the names of the set bits, lowest first. A bit without a name is a hexadecimal number.
func StatusNames(status uint32) []string {
	names := []string{}
	for bit := range 32 {
		switch {
		case status>>bit&1 == 0:
		case bit < len(statusNames):
			names = append(names, statusNames[bit])
		default:
			names = append(names, fmt.Sprintf("%#x", uint32(1)<<bit))
		}
	}
	return names
}

// ParseStatus is the inverse of StatusNames, in any case.
func ParseStatus(names []string) (status uint32, err error) {
next:
	for _, name := range names {
		for bit, s := range statusNames {
			if strings.EqualFold(name, s) {
				status |= 1 << bit
				continue next
			}
		}
		n, err := strconv.ParseUint(name, 0, 32)
		if err != nil {
			return 0, fmt.Errorf("parse status %q: no such bit", name)
		}
		status |= uint32(n)
	}
	return status, nil
}

// attrNames is indexed by bit number.
var attrNames = [...]string{
	"reply", "status", "timeout", "mark", "id", "tcp-state", "tcp-wscale", "tcp-flags", "sctp", "dccp", "master",
	"seqadj",
	"synproxy", "helper", "labels", "counters", "timestamp", "use", "mask", "nat", "flags", "class", "fn",
}

// String returns the names of the attributes in h joined by commas.
func (h Attr) String() string {
	var names []string
	for bit, name := range attrNames {
		if h>>bit&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
