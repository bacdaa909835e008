package ctnetlink

import (
	"encoding/xml"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// Three programs that are not ours read what Create made, and must see what was meant: ti-mo/conntrack, and
// conntrack(8) in its XML and its extended text.

// fill makes all samples in a namespace and returns them with the IDs that the kernel gave.
func fill(t *testing.T) (*nstest.NS, []flow.Flow) {
	ns := nstest.New(t)
	useLabels(t, ns)
	ns.Sysctl(t, "net.netfilter.nf_conntrack_acct", "1")
	ns.Sysctl(t, "net.netfilter.nf_conntrack_timestamp", "1")
	c := dial(t, ns)
	c.SetLiberal(false)
	f := flows(samples())
	errs := make([]unix.Errno, len(f))
	if err := c.Create(f, errs); err != nil {
		t.Fatal(err)
	}
	for i := range errs {
		if errs[i] != 0 {
			t.Fatalf("create %v: %v", f[i].Orig, errs[i])
		}
	}
	got := make([]flow.Flow, len(f))
	if err := c.GetBatch(f, got, errs); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if !got[i].Has.Is(flow.HasCounters|flow.HasTimestamp|flow.HasID) || got[i].Start == 0 {
			t.Fatalf("no counters, timestamp or id: %+v", got[i])
		}
		f[i].ID, f[i].Start = got[i].ID, got[i].Start
	}
	return ns, f
}

// compareByID compares what a reader saw with what was meant. seen reduces the latter to what the reader shows.
func compareByID(t *testing.T, want []flow.Flow, got map[uint32]flow.Flow, seen func(flow.Flow) flow.Flow) {
	t.Helper()
	for _, w := range want {
		g, ok := got[w.ID]
		if !ok {
			t.Errorf("id %d is not shown: %v", w.ID, w.Orig)
			continue
		}
		g.Has, w.Has = 0, 0
		if diff := sameFlow(seen(w), g); diff != "" {
			t.Errorf("%v (-meant +read)\n%s", w.Orig, diff)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d flows read, want %d", len(got), len(want))
	}
}

func TestReadByTimo(t *testing.T) {
	ns, want := fill(t)
	var conn *conntrack.Conn
	var err error
	ns.Do(func() { conn, err = conntrack.Dial(nil) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read, err := conn.Dump(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]flow.Flow{}
	for i := range read {
		got[read[i].ID] = fromTimo(&read[i])
	}
	compareByID(t, want, got, func(f flow.Flow) flow.Flow { return f })
}

func fromTimo(u *conntrack.Flow) flow.Flow {
	f := flow.Flow{
		Orig: tupleFromTimo(&u.TupleOrig), Reply: tupleFromTimo(&u.TupleReply),
		ID: u.ID, Timeout: u.Timeout, Status: uint32(u.Status), Mark: u.Mark,
		Packets:  [2]uint64{u.CountersOrig.Packets, u.CountersReply.Packets},
		Bytes:    [2]uint64{u.CountersOrig.Bytes, u.CountersReply.Bytes},
		SeqAdj:   [2]flow.SeqAdj{seqAdjFromTimo(u.SeqAdjOrig), seqAdjFromTimo(u.SeqAdjReply)},
		Synproxy: flow.Synproxy{ISN: u.SynProxy.ISN, ITS: u.SynProxy.ITS, TSOff: u.SynProxy.TSOff},
	}
	if u.TupleMaster.IP.SourceAddress.IsValid() {
		f.Master = tupleFromTimo(&u.TupleMaster)
		f.Master.Zone = u.Zone
	}
	if u.Zone != 0 {
		f.Orig.Zone, f.Reply.Zone = u.Zone, u.Zone
	}
	copy(f.Helper[:], u.Helper.Name)
	copy(f.Labels[:], u.Labels)
	if tcp := u.ProtoInfo.TCP; tcp != nil {
		f.TCPState, f.TCPWScale = tcp.State, [2]uint8{tcp.OriginalWindowScale, tcp.ReplyWindowScale}
		f.TCPFlags = [2]uint8{uint8(tcp.OriginalFlags >> 8), uint8(tcp.ReplyFlags >> 8)}
	}
	if sctp := u.ProtoInfo.SCTP; sctp != nil {
		f.SCTPState, f.SCTPVTag = sctp.State, [2]uint32{sctp.VTagOriginal, sctp.VTagReply}
	}
	if !u.Timestamp.Start.IsZero() {
		f.Start = uint64(u.Timestamp.Start.UnixNano())
	}
	return f
}

func tupleFromTimo(u *conntrack.Tuple) flow.Tuple {
	t := tuple(flow.Proto(u.Proto.Protocol), netip.AddrPortFrom(u.IP.SourceAddress, u.Proto.SourcePort).String(),
		netip.AddrPortFrom(u.IP.DestinationAddress, u.Proto.DestinationPort).String())
	if u.Proto.ICMPv4 || u.Proto.ICMPv6 {
		t.SrcPort, t.DstPort = u.Proto.ICMPID, uint16(u.Proto.ICMPType)<<8|uint16(u.Proto.ICMPCode)
	}
	t.Zone = u.Zone
	return t
}

func seqAdjFromTimo(s conntrack.SequenceAdjust) flow.SeqAdj {
	return flow.SeqAdj{CorrectionPos: s.Position, OffsetBefore: s.OffsetBefore, OffsetAfter: s.OffsetAfter}
}

// shownStatus is what conntrack(8) shows of the status bits.
const shownStatus = flow.StatusSeenReply | flow.StatusAssured

// shownByTool reduces a flow to what conntrack(8) prints in both of its formats.
func shownByTool(f flow.Flow) flow.Flow {
	return flow.Flow{
		Orig: f.Orig, Reply: f.Reply, ID: f.ID, Timeout: f.Timeout, Mark: f.Mark,
		Status: f.Status & shownStatus, TCPState: f.TCPState, Helper: f.Helper,
	}
}

// list runs conntrack(8) without its standard error, which has a summary that lands in the middle of a line.
func list(t testing.TB, ns *nstest.NS, output string) string {
	t.Helper()
	return ns.Run(t, "sh", "-c", "conntrack -L -o "+output+" 2>/dev/null")
}

func TestReadByToolXML(t *testing.T) {
	nstest.RequireCommand(t, "conntrack", "conntrack")
	ns, want := fill(t)
	out := list(t, ns, "xml,id")
	got := map[uint32]flow.Flow{}
	for _, f := range parseXML(t, out[strings.Index(out, "<conntrack>"):]) {
		got[f.ID] = f
	}
	compareByID(t, want, got, shownInXML)
}

// shownInXML leaves out the ICMP fields and the helper, which the XML does not have.
func shownInXML(f flow.Flow) flow.Flow {
	s := shownByTool(f)
	if s.Orig.Proto.IsICMP() {
		s.Orig.SrcPort, s.Orig.DstPort, s.Reply.SrcPort, s.Reply.DstPort = 0, 0, 0, 0
	}
	s.Helper = [16]byte{}
	return s
}

// extended matches a line of "conntrack -L -o extended,id".
var extended = regexp.MustCompile(`(?m)^ipv[46] +\d+ \S+ +(\d+) (\d+) (?:([A-Z_]+[0-9]?) )?(src=.*)$`)

func TestReadByToolExtended(t *testing.T) {
	nstest.RequireCommand(t, "conntrack", "conntrack")
	ns, want := fill(t)
	got := map[uint32]flow.Flow{}
	for _, m := range extended.FindAllStringSubmatch(list(t, ns, "extended,id"), -1) {
		f := parseExtended(t, m[1], m[2], m[3], m[4])
		got[f.ID] = f
	}
	compareByID(t, want, got, shownByTool)
}

func parseExtended(t *testing.T, proto, timeout, state, rest string) flow.Flow {
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	f := flow.Flow{
		Timeout: uint32(number(timeout)), TCPState: toolTCPState(number(proto), state), Status: flow.StatusSeenReply,
	}
	dir, icmpID := &f.Orig, map[*flow.Tuple]bool{} // the first id of an ICMP tuple is that of ICMP
	for word := range strings.FieldsSeq(rest) {
		k, v, _ := strings.Cut(word, "=")
		switch k {
		case "src":
			if dir.Family != 0 {
				dir = &f.Reply
			}
			*dir = tuple(flow.Proto(number(proto)), netip.AddrPortFrom(netip.MustParseAddr(v), 0).String(), "0.0.0.0:0")
		case "dst":
			dir.Dst = flow.AddrFrom(netip.MustParseAddr(v))
		case "sport", "srckey":
			dir.SrcPort = uint16(number(v))
		case "dport", "dstkey":
			dir.DstPort = uint16(number(v))
		case "type":
			dir.DstPort |= uint16(number(v)) << 8
		case "code":
			dir.DstPort |= uint16(number(v))
		case "id":
			if dir.Proto.IsICMP() && !icmpID[dir] {
				dir.SrcPort, icmpID[dir] = uint16(number(v)), true
				continue
			}
			f.ID = uint32(number(v))
		case "[UNREPLIED]":
			f.Status &^= flow.StatusSeenReply
		case "[ASSURED]":
			f.Status |= flow.StatusAssured
		case "mark":
			f.Mark = uint32(number(v))
		case "zone":
			f.Orig.Zone, f.Reply.Zone = uint16(number(v)), uint16(number(v))
		case "zone-orig":
			f.Orig.Zone = uint16(number(v))
		case "zone-reply":
			f.Reply.Zone = uint16(number(v))
		case "helper":
			copy(f.Helper[:], v)
		}
	}
	return f
}

// toolTCPState turns the name that conntrack(8) prints into a number; for SCTP it prints names of SCTP or of TCP.
func toolTCPState(proto uint64, name string) uint8 {
	if flow.Proto(proto) != flow.TCP || name == "" {
		return 0
	}
	for i, s := range []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
		"TIME_WAIT", "CLOSE", "SYN_SENT2"} {
		if s == name {
			return uint8(i)
		}
	}
	return 0xff
}

type xmlFlow struct {
	Type string `xml:"type,attr"`
	Meta []struct {
		Direction string `xml:"direction,attr"`
		Layer3    struct {
			Src string `xml:"src"`
			Dst string `xml:"dst"`
		} `xml:"layer3"`
		Layer4 struct {
			Proto  uint8  `xml:"protonum,attr"`
			Sport  string `xml:"sport"`
			Dport  string `xml:"dport"`
			SrcKey string `xml:"srckey"`
			DstKey string `xml:"dstkey"`
		} `xml:"layer4"`
		State     string    `xml:"state"`
		Timeout   uint32    `xml:"timeout"`
		Mark      uint32    `xml:"mark"`
		ID        uint32    `xml:"id"`
		Zone      uint16    `xml:"zone"`
		Unreplied *struct{} `xml:"unreplied"`
		Assured   *struct{} `xml:"assured"`
	} `xml:"meta"`
}

func parseXML(t testing.TB, doc string) []flow.Flow {
	t.Helper()
	var x struct {
		Flows []xmlFlow `xml:"flow"`
	}
	if err := xml.Unmarshal([]byte(doc), &x); err != nil {
		t.Fatal(err)
	}
	f := make([]flow.Flow, len(x.Flows))
	for i := range x.Flows {
		f[i] = fromXML(t, &x.Flows[i])
	}
	return f
}

func fromXML(t testing.TB, x *xmlFlow) flow.Flow {
	t.Helper()
	var f flow.Flow
	for _, m := range x.Meta {
		if m.Direction == "independent" {
			f.Timeout, f.Mark, f.ID = m.Timeout, m.Mark, m.ID
			f.TCPState = toolTCPState(uint64(f.Orig.Proto), m.State)
			if m.Zone != 0 {
				f.Orig.Zone, f.Reply.Zone = m.Zone, m.Zone
			}
			f.Status = flow.StatusSeenReply
			if m.Unreplied != nil {
				f.Status = 0
			}
			if m.Assured != nil {
				f.Status |= flow.StatusAssured
			}
			continue
		}
		dst := map[string]*flow.Tuple{"original": &f.Orig, "reply": &f.Reply}[m.Direction]
		*dst = tuple(flow.Proto(m.Layer4.Proto), joinPort(t, m.Layer3.Src, m.Layer4.Sport+m.Layer4.SrcKey),
			joinPort(t, m.Layer3.Dst, m.Layer4.Dport+m.Layer4.DstKey))
		dst.Zone = m.Zone
	}
	return f
}

func joinPort(t testing.TB, addr, port string) string {
	t.Helper()
	if port == "" {
		port = "0"
	}
	n, err := strconv.ParseUint(port, 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(n)).String()
}
