package flow

// Values of Flow.TCPState (enum tcp_conntrack in include/uapi/linux/netfilter/nf_conntrack_tcp.h).
const (
	TCPNone uint8 = iota
	TCPSynSent
	TCPSynRecv
	TCPEstablished
	TCPFinWait
	TCPCloseWait
	TCPLastAck
	TCPTimeWait
	TCPClose
	TCPSynSent2
)
