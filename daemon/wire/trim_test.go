package wire

import (
	"testing"

	"ctsync/daemon/flow"
)

func TestTrim(t *testing.T) {
	const all = flow.HasSynproxy | flow.HasTCPWScale | flow.HasTCPFlags | flow.HasMark
	for _, tt := range []struct {
		name    string
		liberal [2]bool // by direction
		isn     uint32  // of SYNPROXY
		scales  bool
		without flow.Attr
	}{
		{"scales are wanted", [2]bool{}, 1, true, 0},
		{"scales are not wanted", [2]bool{}, 1, false, flow.HasTCPWScale},
		{"scales of a be-liberal flow", [2]bool{false, true}, 1, true, flow.HasTCPWScale},
		{"SYNPROXY of zeros", [2]bool{}, 0, true, flow.HasSynproxy},
	} {
		f := flow.Flow{Has: all, Synproxy: flow.Synproxy{ISN: tt.isn}}
		for d, liberal := range tt.liberal {
			if liberal {
				f.TCPFlags[d] = flow.TCPFlagBeLiberal
			}
		}
		if Trim(&f, tt.scales); f.Has != all&^tt.without {
			t.Errorf("%s: %b is left, want %b", tt.name, f.Has, all&^tt.without)
		}
	}
}
