package coretest

import (
	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// Block returns a block of events about TCP flows with destination NAT, numbered from on.
func Block(kind ctnetlink.Kind, from int) *ctnetlink.Block {
	b := &ctnetlink.Block{}
	b.N = ctnetlink.BlockSize
	for i := range b.N {
		f := flow.Flow{
			Orig: flow.Tuple{
				Family: flow.IPv4, Proto: flow.TCP, DstPort: 443, SrcPort: uint16(from + i),
				Src: flow.Addr{10, byte((from + i) >> 16), 0, 1}, Dst: flow.Addr{10, 2, 0, 1},
			},
			Has:    flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState | flow.HasID,
			Status: flow.StatusConfirmed, Timeout: 120, TCPState: flow.TCPSynSent, ID: uint32(from + i),
		}
		f.Reply = f.Orig.Inverse()
		f.Reply.Dst = flow.Addr{192, 0, 2, 1}
		b.Kind[i], b.Flow[i] = kind, f
	}
	return b
}

// Events returns a block of events of one kind.
func Events(kind ctnetlink.Kind, flows ...flow.Flow) *ctnetlink.Block {
	b := &ctnetlink.Block{}
	b.N = len(flows)
	for i := range flows {
		b.Kind[i], b.Flow[i] = kind, flows[i]
	}
	return b
}

// ExpectEvent returns a block of one event about an expectation.
func ExpectEvent(kind ctnetlink.Kind, e *flow.Expectation) *ctnetlink.Block {
	b := &ctnetlink.Block{}
	b.N, b.NExpect, b.Kind[0], b.Expect[0] = 1, 1, kind, *e
	return b
}

// Flow returns the i-th of many UDP flows with the attributes that the kernel's table reports.
func Flow(i int) flow.Flow {
	f := flow.Flow{
		Orig: flow.Tuple{
			Family: flow.IPv4, Proto: flow.UDP, SrcPort: uint16(i), DstPort: 53,
			Src: flow.Addr{10, byte(i >> 24), byte(i >> 16), 1}, Dst: flow.Addr{192, 0, 2, 1},
		},
		Has:    flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasMark | flow.HasID,
		Status: flow.StatusConfirmed | flow.StatusSeenReply, Timeout: 3600, ID: uint32(i),
	}
	f.Reply = f.Orig.Inverse()
	return f
}
