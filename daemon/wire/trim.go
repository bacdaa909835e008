package wire

import "ctsync/daemon/flow"

// Trim takes out of f what is of no use to the peer: a SYNPROXY state of zeros, which the kernel reports for every flow
// that was made through ctnetlink, and window scales, which a flow that is restored be-liberal does not need
// (conntrackd does the same without TCPWindowTracking). scales says that the peer is to get them. A flow that is
// be-liberal here, because the kernel or a commit met it without knowing its scales, is sent without them all the same,
// and so is restored be-liberal there too: the scales that the kernel reports of it are not the connection's.
func Trim(f *flow.Flow, scales bool) {
	if f.Synproxy == (flow.Synproxy{}) {
		f.Has &^= flow.HasSynproxy
	}
	liberal := f.Has.Is(flow.HasTCPFlags) && (f.TCPFlags[0]|f.TCPFlags[1])&flow.TCPFlagBeLiberal != 0
	if !scales || liberal {
		f.Has &^= flow.HasTCPWScale
	}
}
