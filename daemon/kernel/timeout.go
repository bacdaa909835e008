package kernel

import "ctsync/daemon/flow"

// Timeouts are the timeouts that this kernel gives to flows, in seconds, by protocol and state: its sysctls
// net.netfilter.nf_conntrack_*_timeout*. 0 is one that this kernel does not have.
type Timeouts struct {
	tcp, sctp, dccp [10]uint32 // by state, as flow.States numbers them
	udp, gre        [2]uint32  // of a flow, and of one that is assured
	icmp, icmpv6    uint32
	other           uint32 // of every other protocol
}

// The ends of the sysctls' names by number of the state. A state without a name has no timeout of its own.
var (
	tcpTimeouts = [10]string{
		"", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent",
	}
	sctpTimeouts = [10]string{
		"", "closed", "cookie_wait", "cookie_echoed", "established", "shutdown_sent", "shutdown_recd",
		"shutdown_ack_sent", "heartbeat_sent", "heartbeat_acked",
	}
	dccpTimeouts = [10]string{"", "request", "respond", "partopen", "open", "closereq", "closing", "timewait"}
)

// ReadTimeouts reads them. It opens some 35 files of /proc.
func ReadTimeouts() *Timeouts { return timeouts(Sysctl) }

// timeouts asks sysctl for each, which returns -1 for one that does not exist.
func timeouts(sysctl func(name string) int) *Timeouts {
	read := func(name string) uint32 { return uint32(max(sysctl("nf_conntrack_"+name), 0)) }
	t := &Timeouts{
		udp:   [2]uint32{read("udp_timeout"), read("udp_timeout_stream")},
		gre:   [2]uint32{read("gre_timeout"), read("gre_timeout_stream")},
		other: read("generic_timeout"), icmp: read("icmp_timeout"), icmpv6: read("icmpv6_timeout"),
	}
	for _, p := range []struct {
		prefix string
		names  *[10]string
		by     *[10]uint32
	}{
		{"tcp_timeout_", &tcpTimeouts, &t.tcp},
		{"sctp_timeout_", &sctpTimeouts, &t.sctp},
		{"dccp_timeout_", &dccpTimeouts, &t.dccp},
	} {
		for state, name := range p.names {
			if name != "" {
				p.by[state] = read(p.prefix + name)
			}
		}
	}
	return t
}

// Of returns the timeout that this kernel gives to a flow like f, in seconds. It is 0 if the kernel has none for it. A
// TCP connection of which only the status is known counts as established if it is assured, and else as one that opens.
func (t *Timeouts) Of(f *flow.Flow) uint32 {
	assured := 0
	if f.Has.Is(flow.HasStatus) && f.Status&flow.StatusAssured != 0 {
		assured = 1
	}
	found := uint32(0)
	switch f.Orig.Proto {
	case flow.TCP:
		found = t.tcp[min(tcpState(f), uint8(len(t.tcp)-1))]
	case flow.UDP, flow.UDPLite:
		found = t.udp[assured]
	case flow.ICMP:
		found = t.icmp
	case flow.ICMPv6:
		found = t.icmpv6
	case flow.GRE:
		found = t.gre[assured]
	case flow.SCTP:
		found = t.sctp[min(f.SCTPState, uint8(len(t.sctp)-1))]
	case flow.DCCP:
		found = t.dccp[min(f.DCCPState, uint8(len(t.dccp)-1))]
	}
	if found == 0 {
		return t.other
	}
	return found
}

// Fill gives f what its source left out: the timeout that this kernel gives to such a flow, the state of a TCP
// connection that its status speaks for, the status that its state speaks for. What nothing is known of stays out.
func (t *Timeouts) Fill(f *flow.Flow) {
	if f.Orig.Proto == flow.TCP {
		switch told := f.Has & (flow.HasTCPState | flow.HasStatus); told {
		case flow.HasStatus:
			f.TCPState = tcpState(f)
			f.Has |= flow.HasTCPState
		case flow.HasTCPState:
			f.Status = tcpStatus(f.TCPState)
			f.Has |= flow.HasStatus
		}
	}
	if !f.Has.Is(flow.HasTimeout) {
		if f.Timeout = t.Of(f); f.Timeout != 0 {
			f.Has |= flow.HasTimeout
		}
	}
}

// tcpStatus returns the status bits that a connection in a state has.
func tcpStatus(state uint8) uint32 {
	switch state {
	case flow.TCPNone, flow.TCPSynSent, flow.TCPSynSent2, flow.TCPClose: // the end says nothing of how it began
		return 0
	case flow.TCPSynRecv:
		return flow.StatusSeenReply
	}
	return flow.StatusSeenReply | flow.StatusAssured
}

// tcpState returns the state of a TCP connection, or the one that its status speaks for.
func tcpState(f *flow.Flow) uint8 {
	switch {
	case f.Has.Is(flow.HasTCPState):
		return f.TCPState
	case f.Status&flow.StatusAssured != 0:
		return flow.TCPEstablished
	case f.Status&flow.StatusSeenReply != 0:
		return flow.TCPSynRecv
	}
	return flow.TCPSynSent
}
