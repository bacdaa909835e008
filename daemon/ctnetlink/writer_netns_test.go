package ctnetlink

import (
	"net/netip"
	"testing"

	"github.com/ti-mo/conntrack"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// TestWrittenByOthers reads entries that ti-mo/conntrack and conntrack(8) made.
func TestWrittenByOthers(t *testing.T) {
	nstest.RequireCommand(t, "conntrack", "conntrack")
	ns := nstest.New(t)
	useLabels(t, ns)
	var conn *conntrack.Conn
	var err error
	ns.Do(func() { conn, err = conntrack.Dial(nil) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	u := conntrack.NewFlow(6, conntrack.StatusConfirmed|conntrack.StatusSeenReply|conntrack.StatusAssured,
		netip.MustParseAddr("fd01::1"), netip.MustParseAddr("fd02::1"), 1001, 80, 3000, 0xfedcba98)
	u.Zone = 7
	u.SeqAdjOrig = conntrack.SequenceAdjust{Position: 1, OffsetBefore: 2, OffsetAfter: 3}
	u.SeqAdjReply = conntrack.SequenceAdjust{Direction: true, Position: 4, OffsetBefore: 5, OffsetAfter: 6}
	u.SynProxy = conntrack.SynProxy{ISN: 7, ITS: 8, TSOff: 9}
	u.Labels = []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}
	u.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: 5, OriginalWindowScale: 3, ReplyWindowScale: 4,
		OriginalFlags: 0x0303, ReplyFlags: 0x0101}
	if err := conn.Create(u); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-p", "udp", "-s", "10.1.0.1", "-d", "10.2.0.1", "--sport", "1001", "--dport", "53", "--mark", "9", "--src-nat", "192.0.2.1:4000"},
		{"-p", "udp", "-s", "10.1.0.2", "-d", "10.2.0.1", "--sport", "1001", "--dport", "53", "--orig-zone", "4"},
		{"-p", "icmp", "-s", "10.1.0.1", "-d", "10.2.0.1", "--icmp-type", "13", "--icmp-code", "0", "--icmp-id", "258"},
		{"-p", "47", "-s", "10.1.0.1", "-d", "10.2.0.1", "--srckey", "17", "--dstkey", "18"},
		{"-p", "sctp", "-s", "10.1.0.1", "-d", "10.2.0.1", "--sport", "1", "--dport", "2", "--state", "ESTABLISHED",
			"--orig-vtag", "67305985", "--reply-vtag", "67108864"}, // conntrack(8) swaps the bytes of tags given to it
	} {
		ns.Run(t, "conntrack", append([]string{"-I", "-t", "3000", "-u", "SEEN_REPLY,ASSURED"}, args...)...)
	}

	withTCP := zoned(plain(tuple(flow.TCP, "[fd01::1]:1001", "[fd02::1]:80")), 7, 7)
	withTCP.Mark, withTCP.TCPState, withTCP.TCPWScale, withTCP.TCPFlags = 0xfedcba98, 5, [2]uint8{3, 4}, [2]uint8{3, 1}
	withTCP.Has |= flow.HasSeqAdj | flow.HasSynproxy | flow.HasLabels
	withTCP.Status |= flow.StatusSeqAdjust
	withTCP.SeqAdj[0] = flow.SeqAdj{CorrectionPos: 1, OffsetBefore: 2, OffsetAfter: 3}
	withTCP.SeqAdj[1] = flow.SeqAdj{CorrectionPos: 4, OffsetBefore: 5, OffsetAfter: 6}
	withTCP.Synproxy = flow.Synproxy{ISN: 7, ITS: 8, TSOff: 9}
	withTCP.Labels = [16]byte{1, 15: 0x80}
	want := []flow.Flow{
		withTCP,
		with(nat(tuple(flow.UDP, "10.1.0.1:1001", "10.2.0.1:53"), "10.2.0.1:53", "192.0.2.1:4000"), func(f *flow.Flow) { f.Mark = 9 }),
		zoned(plain(tuple(flow.UDP, "10.1.0.2:1001", "10.2.0.1:53")), 4, 0),
		plain(icmp(flow.ICMP, "10.1.0.1:0", "10.2.0.1:0", 258, 13, 0)),
		plain(tuple(flow.GRE, "10.1.0.1:17", "10.2.0.1:18")),
		with(plain(tuple(flow.SCTP, "10.1.0.1:1", "10.2.0.1:2")), func(f *flow.Flow) { f.SCTPVTag = [2]uint32{0x01020304, 4} }),
	}
	got := map[flow.Tuple]flow.Flow{}
	if _, err := dial(t, ns).Dump(0, func(f *flow.Flow) error { got[f.Orig] = settled(*f); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d flows, want %d", len(got), len(want))
	}
	for _, w := range want {
		if diff := sameFlow(w, got[w.Orig]); diff != "" {
			t.Errorf("%v (-meant +read)\n%s", w.Orig, diff)
		}
	}
}
