package flow

import (
	"strings"
	"testing"
	"time"
)

// named returns f with a helper.
func (f Flow) named(helper string) Flow {
	copy(f.Helper[:], helper)
	f.Has |= HasHelper
	return f
}

func (f Flow) tcp(state uint8) Flow { f.TCPState = state; f.Has |= HasTCPState; return f }

func (f Flow) marked(mark uint32) Flow { f.Mark = mark; f.Has |= HasMark; return f }

func (f Flow) ident(id uint32) Flow { f.ID = id; f.Has |= HasID; return f }

func (f Flow) zoned(orig, reply uint16) Flow { f.Orig.Zone, f.Reply.Zone = orig, reply; return f }

// answered changes the reply tuple.
func (f Flow) answered(r Tuple) Flow { f.Reply = r; return f }

// Flows of the conntrackd 1.4.7 dumps from which the expected texts were copied.
var (
	dnatData = plain(tuple(TCP, "10.0.2.2", 38362, "10.0.2.100", 49153), 0x1af, 60).tcp(5).ident(1760905581).
			answered(tuple(TCP, "10.0.1.2", 49153, "10.0.2.2", 38362))
	snatFTP = plain(tuple(TCP, "10.0.1.2", 42030, "10.0.2.2", 21), 0x219e,
		432000).tcp(3).ident(1395091844).named("ftp").
		answered(tuple(TCP, "10.0.2.2", 21, "10.0.2.100", 42030))
	ftp6 = plain(tuple(TCP, "fd00:1::2", 42022, "fd00:2::2", 21), 0x218e,
		432000).tcp(3).ident(2950384646).named("ftp")
	sipOneWay = plain(tuple(UDP, "10.0.1.2", 42013, "10.0.2.2", 5060), 0x2188, 30).named("sip")
	ping      = plain(tuple(ICMP, "10.0.1.2", 258, "10.0.2.2", 8<<8), 0xa, 30)
)

func TestAppendConntrackd(t *testing.T) {
	udp := func(sport uint16) Flow { return plain(tuple(UDP, "10.0.1.2", sport, "10.0.2.2", 5353), 0xa, 30) }
	state := func(p Proto, s uint8) Flow {
		f := plain(tuple(p, "10.0.0.6", 1, "10.0.0.99", 2), 0xe, 100)
		f.SCTPState, f.DCCPState, f.TCPState = s, s, s
		f.Has |= HasSCTP | HasDCCP | HasTCPState
		return f
	}
	offload := func(status uint32) Flow {
		return plain(tuple(UDP, "10.0.0.3", 1, "10.0.0.99", 2), status, 100)
	}
	external := Line{External: true, Active: time.Second}
	tests := []struct {
		flow Flow
		line Line
		want string
	}{
		{dnatData, Line{}, "tcp      6 CLOSE_WAIT src=10.0.2.2 dst=10.0.2.100 sport=38362 dport=49153 src=10.0.1.2 dst=10.0.2.2 sport=49153 dport=38362 [ASSURED] [active since 0s]"},
		{dnatData, Line{External: true}, "tcp      6 CLOSE_WAIT src=10.0.2.2 dst=10.0.2.100 sport=38362 dport=49153 [ASSURED] [active since 0s]"},
		{snatFTP, Line{Active: 1999 * time.Millisecond}, "tcp      6 ESTABLISHED src=10.0.1.2 dst=10.0.2.2 sport=42030 dport=21 src=10.0.2.2 dst=10.0.2.100 sport=21 dport=42030 [ASSURED] helper=ftp [active since 1s]"},
		{ftp6, external, "tcp      6 ESTABLISHED src=fd00:1::2 dst=fd00:2::2 sport=42022 dport=21 [ASSURED] helper=ftp [active since 1s]"},
		{sipOneWay, Line{Active: 4 * time.Second}, "udp      17 src=10.0.1.2 dst=10.0.2.2 sport=42013 dport=5060 [UNREPLIED] src=10.0.2.2 dst=10.0.1.2 sport=5060 dport=42013 helper=sip [active since 4s]"},
		{udp(42001).marked(4294967295), Line{Active: 15 * time.Second}, "udp      17 src=10.0.1.2 dst=10.0.2.2 sport=42001 dport=5353 src=10.0.2.2 dst=10.0.1.2 sport=5353 dport=42001 mark=4294967295 [active since 15s]"},
		{udp(42007).zoned(65535, 65535), Line{Active: 14 * time.Second}, "udp      17 src=10.0.1.2 dst=10.0.2.2 sport=42007 dport=5353 src=10.0.2.2 dst=10.0.1.2 sport=5353 dport=42007 zone=65535 [active since 14s]"},
		{udp(42006).zoned(4660, 0), Line{Active: 14 * time.Second}, "udp      17 src=10.0.1.2 dst=10.0.2.2 sport=42006 dport=5353 zone-orig=4660 src=10.0.2.2 dst=10.0.1.2 sport=5353 dport=42006 [active since 14s]"},
		{udp(2).zoned(0, 6).marked(5), Line{}, "udp      17 src=10.0.1.2 dst=10.0.2.2 sport=2 dport=5353 src=10.0.2.2 dst=10.0.1.2 sport=5353 dport=2 zone-reply=6 mark=5 [active since 0s]"},
		{ping, Line{Active: 9 * time.Second}, "icmp     1 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=258 src=10.0.2.2 dst=10.0.1.2 type=0 code=0 id=258 [active since 9s]"},
		{ping, Line{External: true, Active: 9 * time.Second, Expiring: true, Expires: 7 * time.Second}, "icmp     1 src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=258 [expires in 7s] [active since 9s]"},
		{plain(tuple(GRE, "1.1.2.5", 1, "2.2.2.2", 0xabc), 8, 99), Line{}, "gre      47 src=1.1.2.5 dst=2.2.2.2 srckey=0x1 dstkey=0xabc [UNREPLIED] src=2.2.2.2 dst=1.1.2.5 srckey=0xabc dstkey=0x1 [active since 0s]"},
		{plain(tuple(253, "10.0.1.2", 0, "10.0.2.2", 0), 0xa, 600), external, "unknown  253 src=10.0.1.2 dst=10.0.2.2 [active since 1s]"},
		{state(SCTP, 7), external, "sctp     132 SHUTDOWN_ACK_SENT src=10.0.0.6 dst=10.0.0.99 sport=1 dport=2 [ASSURED] [active since 1s]"},
		{state(SCTP, 10), external, "sctp     132 NONE src=10.0.0.6 dst=10.0.0.99 sport=1 dport=2 [ASSURED] [active since 1s]"},
		{state(DCCP, 9), external, "dccp     33 INVALID src=10.0.0.6 dst=10.0.0.99 sport=1 dport=2 [ASSURED] [active since 1s]"},
		{state(TCP, 32), external, "tcp      6 NONE src=10.0.0.6 dst=10.0.0.99 sport=1 dport=2 [ASSURED] [active since 1s]"},
		{plain(tuple(TCP, "10.0.0.11", 1, "10.0.0.99", 2), 0xe, 100), external, "tcp      6 src=10.0.0.11 dst=10.0.0.99 sport=1 dport=2 [ASSURED] [active since 1s]"},
		{offload(0x400e), external, "udp      17 src=10.0.0.3 dst=10.0.0.99 sport=1 dport=2 [OFFLOAD] [active since 1s]"},
		{offload(0xc00e), external, "udp      17 src=10.0.0.3 dst=10.0.0.99 sport=1 dport=2 [HW_OFFLOAD] [active since 1s]"},
		{Flow{Orig: offload(0).Orig}, external, "udp      17 src=10.0.0.3 dst=10.0.0.99 sport=1 dport=2 [active since 1s]"},
		{offload(0xa).named("a\x1b[2J b"), external, "udp      17 src=10.0.0.3 dst=10.0.0.99 sport=1 dport=2 helper=a?[2J?b [active since 1s]"},
	}
	for _, tt := range tests {
		if got := string(AppendConntrackd(nil, &tt.flow, tt.line)); got != tt.want {
			t.Errorf("got\n%s, want\n%s", got, tt.want)
		}
	}
}

func ftpExpectation(flags uint32, from, to string, dport uint16, masterPort uint16) Expectation {
	e := Expectation{
		Expect: tuple(TCP, from, 0, to, dport), Master: tuple(TCP, from, masterPort, to, 21),
		Has: HasMaster | HasMask | HasFlags | HasClass | HasHelper | HasTimeout, Flags: flags, Timeout: 300,
	}
	mask := "255.255.255.255"
	if e.Expect.Family == IPv6 {
		mask = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	}
	e.Mask = tuple(TCP, mask, 0, mask, 65535)
	copy(e.Helper[:], "ftp")
	return e
}

func TestAppendConntrackdExpectation(t *testing.T) {
	const head = "proto=6 src=10.0.1.2 dst=10.0.2.2 sport=0 dport=50185 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.0.1.2 master-dst=10.0.2.2 sport=42021 dport=21 "
	const head6 = "proto=6 src=fd00:1::2 dst=fd00:2::2 sport=0 dport=50185 mask-src=ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff mask-dst=ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff sport=0 dport=65535 master-src=fd00:1::2 master-dst=fd00:2::2 sport=42022 dport=21 "
	v4 := func(flags uint32) Expectation { return ftpExpectation(flags, "10.0.1.2", "10.0.2.2", 50185, 42021) }
	tests := []struct {
		e    Expectation
		want string
	}{
		{v4(0), head + "class=0 helper=ftp [active since 2s]"},
		{ftpExpectation(0, "fd00:1::2", "fd00:2::2", 50185, 42022), head6 + "class=0 helper=ftp [active since 2s]"},
		{v4(1), head + "PERMANENT class=0 helper=ftp [active since 2s]"},
		{v4(2), head + "INACTIVE class=0 helper=ftp [active since 2s]"},
		{v4(4), head + "USERSPACE class=0 helper=ftp [active since 2s]"},
		{v4(7), head + "PERMANENT,INACTIVE,USERSPACE class=0 helper=ftp [active since 2s]"},
	}
	for _, tt := range tests {
		if got := string(AppendConntrackdExpectation(nil, &tt.e, Line{Active: 2 * time.Second})); got != tt.want {
			t.Errorf("got\n%s, want\n%s", got, tt.want)
		}
	}
}

func TestAppendVyOS(t *testing.T) {
	// The IPv4 rows are those of the VyOS documentation.
	row := func(f Flow, id uint32) Flow { return f.ident(id) }
	tests := []struct {
		flow Flow
		want string
	}{
		{row(plain(tuple(TCP, "10.35.100.87", 58172, "172.31.20.12", 22), 0xe, 430279).tcp(3), 1015736576), "1015736576 10.35.100.87:58172     172.31.20.12:22        tcp [6] ES       430279"},
		{row(plain(tuple(TCP, "10.35.101.221", 57483, "172.31.120.21", 22), 0xe, 413310).tcp(3), 1006235648), "1006235648 10.35.101.221:57483    172.31.120.21:22       tcp [6] ES       413310"},
		{row(plain(tuple(ICMP, "10.100.68.100", 1, "172.31.120.21", 8<<8), 0xa, 29), 1006237088), "1006237088 10.100.68.100          172.31.120.21          icmp [1]         29"},
		{row(plain(tuple(UDP, "172.31.20.12", 60286, "239.10.10.14", 694), 8, 29), 1015734272), "1015734272 172.31.20.12:60286     239.10.10.14:694       udp [17]         29"},
		{Flow{Orig: tuple(SCTP, "255.255.255.255", 65535, "255.255.255.255", 65535)}, "-          255.255.255.255:65535  255.255.255.255:65535  sctp [132]       -"},
		{row(plain(tuple(TCP, "fd00:1::2", 65535, "2001:db8:1111:2222:3333:4444:5555:6666", 443), 0xe, 5).tcp(0), 7), "7          [fd00:1::2]:65535                               [2001:db8:1111:2222:3333:4444:5555:6666]:443    tcp [6]          5"},
		{row(plain(tuple(ICMPv6, "fd00:1::2", 1, "fd00:2::2", 128<<8), 0xe, 5), 7), "7          fd00:1::2                                       fd00:2::2                                       icmpv6 [58]      5"},
	}
	for _, tt := range tests {
		if got := string(AppendVyOS(nil, &tt.flow)); got != tt.want {
			t.Errorf("got\n%s, want\n%s", got, tt.want)
		}
	}
	for _, tt := range []struct{ header, row string }{
		{VyOSHeaderIPv4, tests[0].want}, {VyOSHeaderIPv6, tests[5].want},
	} {
		for _, column := range []string{"Source", "Destination", "Protocol", "TIMEOUT"} {
			if at := strings.Index(tt.header, column); tt.row[at-1] != ' ' || tt.row[at] == ' ' {
				t.Errorf("column %s does not stand above its values in\n%s\n%s", column, tt.header, tt.row)
			}
		}
	}
	longest := Tuple{Family: IPv6, Proto: TCP, SrcPort: 65535}
	for i := range longest.Src {
		longest.Src[i] = 0xff
	}
	if n := len(longest.AppendSource(nil)); n != vyosIPv6Width {
		t.Errorf("the longest IPv6 source has %d characters, the column %d", n, vyosIPv6Width)
	}
}

func TestAppendXML(t *testing.T) {
	const noReply = `<meta direction="reply"><layer3 protonum="0" protoname="unknown"><src></src><dst></dst></layer3><layer4 protonum="0" protoname="unknown"></layer4></meta>`
	udp := func(status uint32) Flow { return plain(tuple(UDP, "1.1.2.2", 1, "2.2.2.2", 2), status, 100) }
	const udpOrig = `<meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>1.1.2.2</src><dst>2.2.2.2</dst></layer3><layer4 protonum="17" protoname="udp"><sport>1</sport><dport>2</dport></layer4>`
	const udpReply = `<meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>2.2.2.2</src><dst>1.1.2.2</dst></layer3><layer4 protonum="17" protoname="udp"><sport>2</sport><dport>1</dport></layer4>`
	sctp := plain(tuple(SCTP, "10.0.0.6", 1, "10.0.0.99", 2), 0xe, 100)
	sctp.SCTPState = 4
	sctp.Has |= HasSCTP
	tests := []struct {
		name     string
		flow     Flow
		external bool
		want     string
	}{
		{"DNAT", dnatData, false, `<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.2.2</src><dst>10.0.2.100</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>38362</sport><dport>49153</dport></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>10.0.1.2</src><dst>10.0.2.2</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>49153</sport><dport>38362</dport></layer4></meta><meta direction="independent"><state>CLOSE_WAIT</state><id>1760905581</id><assured/></meta></flow>`},
		{"IPv6 helper", ftp6, false, `<flow><meta direction="original"><layer3 protonum="10" protoname="ipv6"><src>fd00:1::2</src><dst>fd00:2::2</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>42022</sport><dport>21</dport></layer4></meta><meta direction="reply"><layer3 protonum="10" protoname="ipv6"><src>fd00:2::2</src><dst>fd00:1::2</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>21</sport><dport>42022</dport></layer4></meta><meta direction="independent"><state>ESTABLISHED</state><id>2950384646</id><assured/></meta><helper>ftp</helper></flow>`},
		{"external", udp(0xa).zoned(7, 7), true, `<flow>` + udpOrig + `</meta>` + noReply + `<meta direction="independent"><zone>7</zone></meta></flow>`},
		{"external unreplied", sipOneWay, true, `<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.1.2</src><dst>10.0.2.2</dst></layer3><layer4 protonum="17" protoname="udp"><sport>42013</sport><dport>5060</dport></layer4></meta>` + noReply + `<meta direction="independent"><unreplied/></meta><helper>sip</helper></flow>`},
		{"GRE", plain(tuple(GRE, "10.0.0.13", 0, "10.0.0.99", 0xab), 0xa, 100), true, `<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.13</src><dst>10.0.0.99</dst></layer3><layer4 protonum="47" protoname="gre"><srckey>0x0</srckey><dstkey>0xab</dstkey></layer4></meta>` + noReply + `<meta direction="independent"></meta></flow>`},
		{"ICMP", ping, false, `<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.1.2</src><dst>10.0.2.2</dst></layer3><layer4 protonum="1" protoname="icmp"></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>10.0.2.2</src><dst>10.0.1.2</dst></layer3><layer4 protonum="1" protoname="icmp"></layer4></meta><meta direction="independent"></meta></flow>`},
		{"zone of the reply", udp(8).zoned(0, 6).marked(5), false, `<flow>` + udpOrig + `</meta>` + udpReply + `<zone>6</zone></meta><meta direction="independent"><mark>5</mark><unreplied/></meta></flow>`},
		{"zone of the original", udp(8).zoned(5, 0), false, `<flow>` + udpOrig + `<zone>5</zone></meta>` + udpReply + `</meta><meta direction="independent"><unreplied/></meta></flow>`},
		{"nothing known", Flow{Orig: udp(0).Orig}, true, `<flow>` + udpOrig + `</meta>` + noReply + `</flow>`},
		{"SCTP state by its own name", sctp, true, `<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.6</src><dst>10.0.0.99</dst></layer3><layer4 protonum="132" protoname="sctp"><sport>1</sport><dport>2</dport></layer4></meta>` + noReply + `<meta direction="independent"><state>ESTABLISHED</state><assured/></meta></flow>`},
		{"hostile helper", udp(0xe).named("a<b&c>\n"), true, `<flow>` + udpOrig + `</meta>` + noReply + `<meta direction="independent"><assured/></meta><helper>a&lt;b&amp;c&gt;?</helper></flow>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendXML(nil, &tt.flow, tt.external)); got != tt.want {
				t.Errorf("got\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestAppendXMLExpectation(t *testing.T) {
	e := ftpExpectation(7, "10.0.1.2", "10.0.2.2", 1007, 42021)
	const want = `<flow><layer3 protonum="2" protoname="ipv4"><expected><src>10.0.1.2</src><dst>10.0.2.2</dst></expected><mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask><master><src>10.0.1.2</src><dst>10.0.2.2</dst></master></layer3><layer4 protonum="6" protoname="tcp"><expected><sport>0</sport><dport>1007</dport></expected><mask><sport>0</sport><dport>65535</dport></mask><master><sport>42021</sport><dport>21</dport></master></layer4><meta><helper-name>ftp</helper-name><class>0</class><permanent/><inactive/><userspace/></meta></flow>`
	if got := string(AppendXMLExpectation(nil, &e)); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestAppendWithoutAllocation(t *testing.T) {
	b := make([]byte, 0, 4096)
	e := ftpExpectation(7, "fd00::1", "fd00::2", 1, 2)
	for name, run := range map[string]func(){
		"conntrackd":             func() { AppendConntrackd(b, &snatFTP, Line{}) },
		"conntrackd IPv6":        func() { AppendConntrackd(b, &ftp6, Line{External: true}) },
		"conntrackd expectation": func() { AppendConntrackdExpectation(b, &e, Line{}) },
		"VyOS":                   func() { AppendVyOS(b, &snatFTP); AppendVyOS(b, &ftp6) },
		"XML":                    func() { AppendXML(b, &snatFTP, false) },
		"XML expectation":        func() { AppendXMLExpectation(b, &e) },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAppendConntrackd(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		AppendConntrackd(buf, &snatFTP, Line{})
	}
}

func BenchmarkAppendVyOS(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		AppendVyOS(buf, &snatFTP)
	}
}
