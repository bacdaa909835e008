package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// fakeSysctl is a kernel whose timeouts are the kernel's defaults, without DCCP, as from 6.16 on.
func fakeSysctl(name string) int {
	v, ok := map[string]int{
		"nf_conntrack_tcp_timeout_established": 432000, "nf_conntrack_tcp_timeout_syn_sent": 120,
		"nf_conntrack_tcp_timeout_syn_recv": 60, "nf_conntrack_tcp_timeout_time_wait": 121,
		"nf_conntrack_udp_timeout": 30, "nf_conntrack_udp_timeout_stream": 122, "nf_conntrack_icmp_timeout": 31,
		"nf_conntrack_icmpv6_timeout": 32, "nf_conntrack_gre_timeout_stream": 180, "nf_conntrack_gre_timeout": 33,
		"nf_conntrack_sctp_timeout_established": 210, "nf_conntrack_generic_timeout": 600,
	}[name]
	if !ok {
		return -1
	}
	return v
}

func TestTimeoutOf(t *testing.T) {
	own := timeouts(fakeSysctl)
	for _, tt := range []struct {
		name string
		f    flow.Flow
		want uint32
	}{
		{"tcp", flow.Flow{Has: flow.HasTCPState, TCPState: flow.TCPEstablished}, 432000},
		{"tcp, closing", flow.Flow{Has: flow.HasTCPState, TCPState: flow.TCPTimeWait}, 121},
		{"tcp, both ends open", flow.Flow{Has: flow.HasTCPState, TCPState: flow.TCPSynSent2}, 120},
		{"tcp, no such state", flow.Flow{Has: flow.HasTCPState, TCPState: 200}, 120},
		{"tcp, assured", flow.Flow{Has: flow.HasStatus, Status: flow.StatusAssured}, 432000},
		{"tcp, replied", flow.Flow{Has: flow.HasStatus, Status: flow.StatusSeenReply}, 60},
		{"tcp, nothing known", flow.Flow{}, 120},
		{"udp", flow.Flow{Orig: flow.Tuple{Proto: flow.UDP}}, 30},
		{"udp, assured", flow.Flow{Orig: flow.Tuple{Proto: flow.UDP}, Has: flow.HasStatus, Status: flow.StatusAssured}, 122},
		{"icmp", flow.Flow{Orig: flow.Tuple{Proto: flow.ICMP}}, 31},
		{"icmp6", flow.Flow{Orig: flow.Tuple{Proto: flow.ICMPv6}}, 32},
		{"gre", flow.Flow{Orig: flow.Tuple{Proto: flow.GRE}}, 33},
		{"sctp", flow.Flow{Orig: flow.Tuple{Proto: flow.SCTP}, Has: flow.HasSCTP, SCTPState: 4}, 210},
		{"dccp, which this kernel does not track", flow.Flow{Orig: flow.Tuple{Proto: flow.DCCP}}, 600},
		{"another", flow.Flow{Orig: flow.Tuple{Proto: flow.VRRP}}, 600},
	} {
		if tt.f.Orig.Proto == 0 {
			tt.f.Orig.Proto = flow.TCP
		}
		if got := own.Of(&tt.f); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestFill: what the source said stays, what it left out is filled in if anything is known of it.
func TestFill(t *testing.T) {
	own := timeouts(fakeSysctl)
	tcp, udp := flow.Tuple{Proto: flow.TCP}, flow.Tuple{Proto: flow.UDP}
	const whole = flow.HasStatus | flow.HasTCPState | flow.HasTimeout
	for name, tt := range map[string]struct{ f, want flow.Flow }{
		"all told": {
			flow.Flow{Orig: tcp, Has: whole, TCPState: flow.TCPFinWait, Timeout: 7},
			flow.Flow{Orig: tcp, Has: whole, TCPState: flow.TCPFinWait, Timeout: 7},
		},
		"no state": {
			flow.Flow{Orig: tcp, Has: flow.HasStatus, Status: flow.StatusSeenReply | flow.StatusAssured},
			flow.Flow{
				Orig: tcp, Has: whole, Status: flow.StatusSeenReply | flow.StatusAssured, TCPState: flow.TCPEstablished,
				Timeout: 432000,
			},
		},
		"no status": {
			flow.Flow{Orig: tcp, Has: flow.HasTCPState, TCPState: flow.TCPSynRecv},
			flow.Flow{Orig: tcp, Has: whole, Status: flow.StatusSeenReply, TCPState: flow.TCPSynRecv, Timeout: 60},
		},
		"neither": {flow.Flow{Orig: tcp}, flow.Flow{Orig: tcp, Has: flow.HasTimeout, Timeout: 120}},
		"udp":     {flow.Flow{Orig: udp}, flow.Flow{Orig: udp, Has: flow.HasTimeout, Timeout: 30}},
	} {
		own.Fill(&tt.f)
		if diff := cmp.Diff(tt.want, tt.f); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	none := timeouts(func(string) int { return -1 })
	f := flow.Flow{Orig: udp}
	if none.Fill(&f); f.Has != 0 {
		t.Errorf("a kernel that says nothing: %+v", f)
	}
}

// TestReadTimeouts: this machine's kernel has all that counts.
func TestReadTimeouts(t *testing.T) {
	if Sysctl("nf_conntrack_max") < 0 {
		t.Skip("no connection tracking")
	}
	own := ReadTimeouts()
	if own.tcp[flow.TCPEstablished] < 60 || own.udp[1] == 0 || own.icmp == 0 || own.icmpv6 == 0 || own.other == 0 {
		t.Errorf("%+v", own)
	}
	for state := flow.TCPSynSent; state <= flow.TCPSynSent2; state++ {
		if own.tcp[state] == 0 {
			t.Errorf("no timeout for %s", flow.StateName(flow.TCP, state))
		}
	}
}
