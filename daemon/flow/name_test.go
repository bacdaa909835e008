package flow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProtoNames(t *testing.T) {
	tests := []struct {
		name  string
		proto Proto
		also  []string
	}{
		{"tcp", 6, []string{"TCP", "6"}},
		{"udp", 17, nil},
		{"udplite", 136, nil},
		{"icmp", 1, nil},
		{"icmpv6", 58, []string{"icmp6", "ipv6-icmp", "IPv6-ICMP", "58"}},
		{"sctp", 132, nil},
		{"gre", 47, nil},
		{"dccp", 33, nil},
		{"esp", 50, []string{"50", "IPSEC-ESP"}},
		{"vrrp", 112, []string{"VRRP"}},
		{"igmp", 2, nil},
		{"ospf", 89, []string{"OSPFIGP"}},
		{"unknown", 253, []string{"253"}},
	}
	for _, tt := range tests {
		if got := tt.proto.String(); got != tt.name {
			t.Errorf("%d is %q, want %q", tt.proto, got, tt.name)
		}
		if tt.name != unknownName {
			tt.also = append(tt.also, tt.name)
		}
		for _, name := range tt.also {
			if got, err := ParseProto(name); got != tt.proto || err != nil {
				t.Errorf("%q is %d, %v; want %d", name, got, err, tt.proto)
			}
		}
	}
	for _, name := range []string{"", "unknown", "256", "-1", "tcp ", "0x6"} {
		if got, err := ParseProto(name); err == nil {
			t.Errorf("%q is %d, want an error", name, got)
		}
	}
}

func TestStateNames(t *testing.T) {
	// The names were read from conntrack 1.4.7; a state beyond the last is NONE there.
	tests := []struct {
		proto Proto
		names []string
	}{
		{TCP, []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}},
		{SCTP, []string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}},
		{DCCP, []string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}},
	}
	for _, tt := range tests {
		for s, name := range tt.names {
			if got := StateName(tt.proto, uint8(s)); got != name {
				t.Errorf("%v state %d is %q, want %q", tt.proto, s, got, name)
			}
			if got, err := ParseState(tt.proto, name); got != uint8(s) || err != nil {
				t.Errorf("%v %q is %d, %v; want %d", tt.proto, name, got, err, s)
			}
		}
		if got := StateName(tt.proto, 10); got != "NONE" {
			t.Errorf("%v state 10 is %q, want NONE", tt.proto, got)
		}
	}
	if got := StateName(UDP, 1); got != "" {
		t.Errorf("UDP has state %q", got)
	}
	if got, err := ParseState(TCP, "CLOSED"); got != TCPClose || err != nil {
		t.Errorf("CLOSED is %d, %v", got, err)
	}
	if got, err := ParseState(TCP, "listen"); got != 9 || err != nil {
		t.Errorf("listen is %d, %v; want 9", got, err)
	}
	for proto, name := range map[Proto]string{TCP: "OPEN", SCTP: "LISTEN", UDP: "NONE", DCCP: ""} {
		if got, err := ParseState(proto, name); err == nil {
			t.Errorf("%v %q is %d, want an error", proto, name, got)
		}
	}
}

func TestTCPStateCodes(t *testing.T) {
	want := []string{"", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "LI", "", ""}
	for s, code := range want {
		if got := TCPStateCode(uint8(s)); got != code {
			t.Errorf("state %d is %q, want %q", s, got, code)
		}
	}
}

func TestFlowState(t *testing.T) {
	all := HasTCPState | HasSCTP | HasDCCP
	tests := []struct {
		proto Proto
		has   Attr
		state uint8
		ok    bool
		name  string
	}{
		{TCP, all, 1, true, "SYN_SENT"},
		{SCTP, all, 2, true, "COOKIE_WAIT"},
		{DCCP, all, 3, true, "PARTOPEN"},
		{UDP, all, 0, false, ""},
		{TCP, all &^ HasTCPState, 0, false, ""},
		{SCTP, all &^ HasSCTP, 0, false, ""},
		{DCCP, all &^ HasDCCP, 0, false, ""},
	}
	for _, tt := range tests {
		f := Flow{Orig: Tuple{Proto: tt.proto}, Has: tt.has, TCPState: 1, SCTPState: 2, DCCPState: 3}
		s, ok := f.State()
		if ok != tt.ok || ok && s != tt.state || f.StateName() != tt.name {
			t.Errorf("%v with %v: %d %v %q, want %d %v %q", tt.proto, tt.has, s, ok, f.StateName(), tt.state, tt.ok,
				tt.name)
		}
	}
}

func TestStatusNames(t *testing.T) {
	tests := []struct {
		status uint32
		names  []string
	}{
		{0, []string{}},
		{StatusSeenReply | StatusAssured | StatusConfirmed, []string{"SEEN_REPLY", "ASSURED", "CONFIRMED"}},
		{StatusExpected | StatusSrcNAT | StatusDstNAT | StatusSeqAdjust, []string{"EXPECTED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST"}},
		{StatusSrcNATDone | StatusDstNATDone | StatusDying, []string{"SRC_NAT_DONE", "DST_NAT_DONE", "DYING"}},
		{StatusFixedTimeout | StatusTemplate | StatusUntracked, []string{"FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED"}},
		{StatusHelper | StatusOffload | StatusHWOffload, []string{"HELPER", "OFFLOAD", "HW_OFFLOAD"}},
		{1<<31 | 1<<16, []string{"0x10000", "0x80000000"}},
	}
	for _, tt := range tests {
		got := StatusNames(tt.status)
		if diff := cmp.Diff(tt.names, got); diff != "" {
			t.Errorf("%#x (-want +got)\n%s", tt.status, diff)
		}
		if back, err := ParseStatus(got); back != tt.status || err != nil {
			t.Errorf("%v is %#x, %v; want %#x", got, back, err, tt.status)
		}
	}
	if _, err := ParseStatus([]string{"assured", "nonsense"}); err == nil {
		t.Error("no error for an unknown bit")
	}
}

func TestOtherNames(t *testing.T) {
	for f, name := range map[Family]string{IPv4: "ipv4", IPv6: "ipv6", 7: unknownName} {
		if f.String() != name {
			t.Errorf("family %d is %q, want %q", f, f, name)
		}
		if got, err := ParseFamily(name); (err == nil) != (name != unknownName) || err == nil && got != f {
			t.Errorf("%q is %d, %v", name, got, err)
		}
	}
	if Original.String() != "original" || Reply.String() != "reply" {
		t.Errorf("directions are %v and %v", Original, Reply)
	}
	if got, want := (HasReply | HasTCPState | HasFn).String(), "reply,tcp-state,fn"; got != want {
		t.Errorf("attributes are %q, want %q", got, want)
	}
	if got, want := Attr(HasFn), Attr(1)<<(len(attrNames)-1); got != want {
		t.Errorf("the last attribute is %#x, but there are %d names", got, len(attrNames))
	}
}
