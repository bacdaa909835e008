package transport

import "testing"

func TestMaxPayload(t *testing.T) {
	v4, v6 := addr("10.0.0.2"), addr("fe80::2")
	for _, tt := range []struct{ mtu, v4, v6 int }{
		{1280, 1248, 1228},
		{1400, 1368, 1348},
		{1500, 1468, 1448}, // 1468 as conntrackd has it
		{9000, 8968, 8948},
		{65535, 65504, 65484},
		{65536, 65504, 65484}, // loopback
		{576, 544, 524},
		{68, 544, 524}, // in fragments
	} {
		if got := maxPayload(tt.mtu, v4); got != tt.v4 {
			t.Errorf("MTU %d: IPv4 payload %d, want %d", tt.mtu, got, tt.v4)
		}
		if got := maxPayload(tt.mtu, v6); got != tt.v6 {
			t.Errorf("MTU %d: IPv6 payload %d, want %d", tt.mtu, got, tt.v6)
		}
	}
}
