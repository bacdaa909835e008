package expr

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ctsync/daemon/flow"
)

// tuple returns the tuple from src and port a to dst and port b.
func tuple(p flow.Proto, src string, a uint16, dst string, b uint16) flow.Tuple {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	t := flow.Tuple{
		Src: flow.AddrFrom(from), Dst: flow.AddrFrom(to), SrcPort: a, DstPort: b, Family: flow.IPv6, Proto: p,
	}
	if from.Is4() {
		t.Family = flow.IPv4
	}
	return t
}

// plain returns a flow without NAT that has a status and a timeout.
func plain(orig flow.Tuple, status, timeout uint32) flow.Flow {
	return flow.Flow{
		Orig: orig, Reply: orig.Inverse(), Has: flow.HasReply | flow.HasStatus | flow.HasTimeout, Status: status,
		Timeout: timeout,
	}
}

// sampleFlows are the flows that expressions are tried on, by a letter.
func sampleFlows() map[rune]flow.Flow {
	web := plain(tuple(flow.TCP, "10.0.0.7", 40000, "192.0.2.80", 443), flow.StatusSeenReply|flow.StatusAssured, 100)
	web.Has |= flow.HasTCPState | flow.HasMark | flow.HasID | flow.HasCounters
	web.TCPState, web.Mark, web.ID = flow.TCPEstablished, 0x17, 1015734848
	web.Packets, web.Bytes = [2]uint64{600, 400}, [2]uint64{900_000, 200_000}

	dns := plain(tuple(flow.UDP, "10.1.2.3", 5353, "192.0.2.53", 53), 0, 30)
	dns.Reply.Dst, dns.Reply.DstPort = flow.AddrFrom(netip.MustParseAddr("198.51.100.1")), 1024

	ftp := plain(tuple(flow.TCP, "2001:db8::1", 2121, "2001:db8:1::21", 21),
		flow.StatusSeenReply|flow.StatusHelper, 7200)
	ftp.Has |= flow.HasTCPState | flow.HasHelper | flow.HasLabels
	ftp.TCPState, ftp.Labels[0] = flow.TCPTimeWait, 1<<5
	copy(ftp.Helper[:], "ftp")
	ftp.Orig.Zone, ftp.Reply.Zone = 7, 7

	data := plain(tuple(flow.SCTP, "10.0.0.8", 1, "10.0.0.9", 2), flow.StatusExpected|flow.StatusSeenReply, 60)
	data.Has |= flow.HasSCTP | flow.HasMaster
	data.SCTPState = 4 // ESTABLISHED
	data.Reply.Src, data.Reply.Zone = flow.AddrFrom(netip.MustParseAddr("172.16.0.1")), 3

	peer := flow.Flow{
		Orig: tuple(flow.ICMP, "10.0.0.7", 443, "10.9.9.9", 8<<8), Has: flow.HasStatus,
		Status: flow.StatusSeenReply | flow.StatusSrcNAT,
	}
	return map[rune]flow.Flow{'w': web, 'd': dns, 'f': ftp, 's': data, 'i': peer}
}

func TestMatch(t *testing.T) {
	ages := map[rune]flow.Ages{
		'w': {Age: 90 * time.Second, Idle: 40 * time.Second},
		'd': {Age: time.Second},
		'f': {Age: 2 * time.Hour, Idle: time.Minute},
		's': {Age: flow.Unknown, Idle: flow.Unknown},
		'i': {Age: 30 * time.Second, Idle: 30 * time.Second},
	}
	for _, tc := range []struct{ expr, want, print string }{
		{"", "wdfsi", ""},
		{"  \t", "wdfsi", ""},
		{"proto:tcp", "wf", "proto:tcp"},
		{"PROTO:UDP,tcp", "wdf", "proto:tcp,udp"},
		{"protocol=1", "i", "proto:icmp"},
		{"proto:200", "", "proto:200"},
		{"proto!=tcp,17", "si", "proto!=tcp,udp"},
		{"family:ipv6", "f", "family:ipv6"},
		{"src:10.0.0.0/8", "wdsi", "src:10.0.0.0/8"},
		{"src:10.0.0.99/8", "wdsi", "src:10.0.0.0/8"},
		{"src:10.0.0.7-10.0.0.8", "wsi", "src:10.0.0.7-10.0.0.8"},
		{"src:10.0.0.8,10.0.0.7", "wsi", "src:10.0.0.7-10.0.0.8"},
		{"src:10.0.0.0/9,10.128.0.0/9", "wdsi", "src:10.0.0.0/8"},
		{"dst:2001:db8::/32", "f", "dst:2001:db8::/32"},
		{"dst!=2001:db8::/32", "wdsi", "dst!=2001:db8::/32"},
		{"addr:198.51.100.1", "d", "addr:198.51.100.1"},
		{"addr:0.0.0.0/0", "wdsi", "addr:0.0.0.0/0"},
		{"rdst:198.51.100.1", "d", "reply-dst:198.51.100.1"},
		{"reply-src:172.16.0.0/12", "s", "reply-src:172.16.0.0/12"},
		{"reply-src:0.0.0.0", "", "reply-src:0.0.0.0"},
		{"dport:443", "w", "dport:443"},
		{"dport:80,443, 53", "wd", "dport:53,80,443"},
		{"dport:443-444,443,445", "w", "dport:443-445"},
		{"dport>=53 dport<=443", "wd", "dport>=53 dport<=443"},
		{"dport > 53", "w", "dport>53"},
		{"dport<53", "fs", "dport<53"},
		{"dport<0", "", "dport<0"},
		{"port:1024", "d", "port:1024"},
		{"sport:1024-65535", "wdf", "sport:1024-65535"},
		{"rdport:1024 rsport:53", "d", "reply-dport:1024 reply-sport:53"},
		{"state:established", "ws", "state:established"},
		{"state:time-wait", "f", "state:time_wait"},
		{"state!=established", "dfi", "state!=established"},
		{"status:assured,expected", "ws", "status:expected,assured"},
		{"status:unreplied", "d", "status:unreplied"},
		{"nat:yes", "dsi", "nat:yes"},
		{"nat:no", "wf", "nat:no"},
		{"nat:snat", "di", "nat:snat"},
		{"nat:dnat", "s", "nat:dnat"},
		{"zone:7", "f", "zone:7"},
		{"zone:3", "s", "zone:3"},
		{"zone:0", "wdsi", "zone:0"},
		{"mark:0x17", "w", "mark:0x17"},
		{"mark:0x10/0xf0", "w", "mark:0x10/0xf0"},
		{"mark:0x1f/0xf0", "w", "mark:0x10/0xf0"},
		{"mark:0", "dfsi", "mark:0x0"},
		{"mark>16", "w", "mark>0x10"},
		{"helper:FTP", "f", "helper:ftp"},
		{"helper:any", "f", "helper:any"},
		{"helper:none,sip", "wdsi", "helper:none,sip"},
		{`helper:"q, x"`, "", `helper:"q, x"`},
		{"label:5", "f", "label:5"},
		{"label:0-4,6-127", "", "label:0-4,6-127"},
		{"expected:yes", "s", "expected:yes"},
		{"expected:no,yes", "wdfsi", "expected:yes,no"},
		{"timeout<60s", "d", "timeout<1m"},
		{"timeout<=60", "wds", "timeout<=1m"}, // w: 100 s, reported 40 s ago; s: 60 s, it is not known when
		{"age>30s", "wf", "age>30s"},
		{"age>=30s", "wfi", "age>=30s"},
		{"age:1h30m-3h", "f", "age:90m-3h"},
		{"idle>39", "wf", "idle>39s"},
		{"bytes>1M", "w", "bytes>1M"},
		{"bytes>1Mi", "w", "bytes>1048576"},
		{"bytes<5G", "w", "bytes<5G"},
		{"packets:1k", "w", "packets:1K"},
		{"id:1015734848", "w", "id:1015734848"},
		{"proto:tcp dport:443", "w", "proto:tcp dport:443"},
		{"proto:tcp and dport:21 && zone:7", "f", "proto:tcp dport:21 zone:7"},
		{"proto:udp or proto:icmp", "di", "proto:udp or proto:icmp"},
		{"proto:udp || dport:443 proto:tcp", "wd", "proto:udp or dport:443 proto:tcp"},
		{"(proto:udp or proto:tcp) family:ipv4", "wd", "(proto:udp or proto:tcp) family:ipv4"},
		{"not proto:tcp", "dsi", "!proto:tcp"},
		{"!(proto:tcp or proto:udp)", "si", "!(proto:tcp or proto:udp)"},
		{"not not ! proto:tcp", "dsi", "!proto:tcp"},
		{"((proto:tcp))", "wf", "proto:tcp"},
		{"tcp", "wf", "tcp"},
		{"TCP !est", "f", "tcp !est"},
		{"es", "ws", "es"},
		{"syn_s", "", "syn_s"},
		{"tw", "f", "tw"},
		{"443", "w", "443"},
		{"1015734848", "w", "1015734848"},
		{"10.0.0.7", "wi", "10.0.0.7"},
		{"10.0.", "wsi", "10.0."},
		{"10.", "wdsi", "10."},
		{"10.1", "d", "10.1"},
		{"10.0.0.0/29", "wi", "10.0.0.0/29"},
		{"192.0.2.80:443", "w", "192.0.2.80:443"},
		{"192.0.2.80:40000", "", "192.0.2.80:40000"},
		{"10.0.0.7:443", "", "10.0.0.7:443"},
		{"198.51", "d", "198.51"},
		{"2001:db8::1", "f", "2001:db8::1"},
		{"2001:d", "f", "2001:d"},
		{"2001:db8:1:", "f", "2001:db8:1:"},
		{"[2001:db8:1::21]:21", "f", "[2001:db8:1::21]:21"},
		{"[2001:db8:1::21]:22", "", "[2001:db8:1::21]:22"},
		{"ft", "f", "ft"},
		{"assured", "w", "assured"},
		{"unre", "d", "unre"},
		{"snat", "di", "snat"},
		{"nat", "dsi", "nat"},
		{"icmp", "i", "icmp"},
		{"ipv6", "f", "ipv6"},
		{"nothing", "", "nothing"},
		{`"tcp"`, "wf", "tcp"},
		{`"and"`, "", `"and"`},
		{`"or#"`, "", `"or#"`},
		{`"a b" or tcp`, "wf", `"a b" or tcp`},
		{`"x:y"`, "", `"x:y"`},
		{`"q\"\\"`, "", `"q\"\\"`},
		{"tcp ::1", "", "tcp ::1"},
	} {
		e, err := Parse(tc.expr)
		if err != nil {
			t.Errorf("%q: %v", tc.expr, err)
			continue
		}
		if got := e.String(); got != tc.print {
			t.Errorf("%q prints as %q, want %q", tc.expr, got, tc.print)
		}
		flows := sampleFlows()
		for name, f := range flows {
			if got, want := e.Match(&f, ages[name]), strings.ContainsRune(tc.want, name); got != want {
				t.Errorf("%q of flow %c: %v, want %v", tc.expr, name, got, want)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		expr   string
		column int
		says   string
	}{
		{"prot:tcp", 1, `unknown key "prot": did you mean proto?`},
		{"tcp dprot:80", 5, "did you mean dport?"},
		{"colour:red", 1, "want one of proto, family"},
		{"colour = red", 1, "unknown key"},
		{"proto:", 7, "proto without a value: want protocol name or number"},
		{"proto:tpc", 7, "did you mean tcp?"},
		{"proto:256", 7, "want protocol name or number"},
		{"proto<6", 7, "proto has no order"},
		{"dport:80,", 10, "without a value"},
		{"dport:http", 7, "want port, such as dport:80,443"},
		{"dport:65536", 7, "want port"},
		{"dport:443-80", 7, "want port"},
		{"dport>80,81", 9, `a list after ">"`},
		{"dport>80-81", 7, "want port"},
		{"tcp and src:10.0.0.0/33", 13, "want address, network or range"},
		{"src:10.0.0.1-fd00::1", 5, "want address"},
		{"src:10.0.0.9-10.0.0.1", 5, "want address"},
		{"src:fe80::1%eth0", 5, "want address"},
		{"state:assured", 7, "did you mean status:assured?"},
		{"status:established", 8, "did you mean state:established?"},
		{"state:estblished", 7, "did you mean established?"},
		{"nat:maybe", 5, "want yes, no, snat or dnat"},
		{"age>soon", 5, "want time, such as age>30s"},
		{"age>1.5s", 5, "want time"},
		{"bytes>1X", 7, "want size"},
		{"mark:1/x", 6, "want number or value/mask"},
		{"mark:0x100000000", 6, "want number"},
		{"label:128", 7, "want number of a bit"},
		{"helper:averyveryverylong", 8, "want name"},
		{"(tcp", 1, `"(" is not closed`},
		{"tcp)", 4, `")" without "("`},
		{"()", 2, `unexpected ")"`},
		{"tcp or", 7, "ends too early"},
		{"tcp and and", 9, `unexpected "and"`},
		{"or tcp", 1, `unexpected "or"`},
		{"!", 2, "ends too early"},
		{`"tcp`, 1, "the quote is not closed"},
		{`""`, 1, "empty text"},
		{"tcp && || udp", 8, `unexpected "|"`},
		{"a,b", 2, `unexpected ","`},
		{"<80", 1, `unexpected "<"`},
		{"tcp é", 5, "unexpected character"},
		{"tcp \x01", 5, "unexpected character"},
		{strings.Repeat("(", 100) + "tcp" + strings.Repeat(")", 100), 66, "nested too deeply"},
		{strings.Repeat("!", 100) + "tcp", 66, "nested too deeply"},
		{strings.Repeat("tcp ", 1025), 4097, "too long"},
	} {
		e, err := Parse(tc.expr)
		var x *Error
		if !errors.As(err, &x) || e != nil {
			t.Errorf("%.40q: %v, %v", tc.expr, e, err)
			continue
		}
		if x.Column != tc.column || !strings.Contains(x.Error(), tc.says) {
			t.Errorf("%.40q: %v; want column %d, %q", tc.expr, x, tc.column, tc.says)
		}
	}
}

func TestNeeds(t *testing.T) {
	for expr, want := range map[string]Need{
		"tcp": 0, "timeout<5": 0, "age>5": NeedAge, "tcp !(idle>5 or bytes>1)": NeedIdle | NeedCounters,
		"packets>1": NeedCounters,
	} {
		e, err := Parse(expr)
		if err != nil || e.Needs() != want {
			t.Errorf("%q: %v, %v", expr, e.Needs(), err)
		}
	}
}

// Every key of the table works as its own example says, and no two have the same name.
func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		for _, name := range []string{k.Name, k.Other} {
			if name != "" && seen[name] {
				t.Errorf("%s: twice", name)
			}
			seen[name] = true
		}
		if k.Doc == "" || k.Kind == "" || strings.ToLower(k.Name) != k.Name || hexadecimal(k.Name) {
			t.Errorf("%+v", k)
		}
		e, err := Parse(k.Example)
		if err != nil || e.root.term.key == nil || e.root.term.key.Name != k.Name ||
			!strings.HasPrefix(k.Example, k.Name) {
			t.Errorf("%s: example %q: %v", k.Name, k.Example, err)
		}
		for _, v := range k.Values {
			if _, err := Parse(k.Name + ":" + v); err != nil {
				t.Error(err)
			}
		}
	}
}

// exprText draws expressions as people may write them.
func exprText(t *rapid.T) string {
	words := rapid.SampledFrom([]string{
		"proto:tcp", "proto!=6,udp,200", "src:10.0.0.0/8,fd00::/8,10.0.0.1", "dst = 10.0.0.1-10.0.0.9",
		"dport:80, 443 ,1-5", "dport>1024", "dport <= 80",
		"mark:0x10/0xff,7,0-3", "mark!=1", "label:1,2,3,64-70,127", "helper:ftp,any", `helper:"a b"`,
		"state:established,time-wait", "status:unreplied,assured",
		"nat:snat", "age>1h30m", "idle<90", "timeout:60-120", "bytes>=1500k", "packets:3", "zone:7", "expected:no",
		"family:ipv6", "id>5",
		"tcp", "443", "10.0.", "fd00::1", "fd00:1", "[::1]:443", "10.0.0.1:53", `"or"`, `"a:b"`, `"not"`, `"x y"`,
		`"\\\""`, "time-wait", "q.931",
	})
	var text func(depth int) string
	text = func(depth int) string {
		if depth == 0 {
			return words.Draw(t, "word")
		}
		a, b := text(depth-1), ""
		form := rapid.SampledFrom([]string{
			"%s", "%s %s", "%s and %s", "%s && %s", "%s or %s", "%s||%s", "(%s) %s", "!%s", "not (%s)", "!(%s or %s)",
			"((%s))",
		}).Draw(t, "form")
		if strings.Count(form, "%s") == 2 {
			b = text(rapid.IntRange(0, depth-1).Draw(t, "depth"))
			return fmt.Sprintf(form, a, b)
		}
		return fmt.Sprintf(form, a)
	}
	return text(rapid.IntRange(0, 4).Draw(t, "depth"))
}

// What an expression prints is the expression.
func TestPrintsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := exprText(t)
		e, err := Parse(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		back, err := Parse(e.String())
		if err != nil || !reflect.DeepEqual(e, back) {
			t.Fatalf("%q prints as %q: %v, as %v", s, e, err, back)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"proto:tcp dport:80,443 !src:10.0.0.0/8", `"a\"b" or (x)`, "mark:0x10/0xff idle>1m", "fd00:1 [::1]:5 10.1",
		"age:1h-2w", "label:1-127", "::", "a:b:c",
	} {
		f.Add(s)
	}
	flows := sampleFlows()
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s)
		if (e == nil) != (err != nil) {
			t.Fatalf("%v, %v", e, err)
		}
		if err != nil {
			var x *Error
			if !errors.As(err, &x) || x.Column < 1 || x.Column > len(s)+1 || x.Message == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		back, err := Parse(e.String())
		if err != nil && len(e.String()) <= maxExpr || err == nil && !reflect.DeepEqual(e, back) {
			t.Fatalf("%q prints as %q: %v", s, e, err)
		}
		for _, x := range flows {
			if err == nil && e.Match(&x, flow.Ages{}) != back.Match(&x, flow.Ages{}) {
				t.Fatalf("%q and %q differ", s, e)
			}
		}
	})
}

var typical = []string{
	"tcp", "443", "10.0.0.", "proto:tcp dport:443", "src:10.0.0.0/8 state:established", "nat:yes",
	"proto:tcp dport:80,443,8080 !src:10.0.0.0/8,192.168.0.0/16", "(nat:snat or mark:0x10/0xf0) idle>1m", "ftp",
}

func TestMatchDoesNotAllocate(t *testing.T) {
	flows := sampleFlows()
	for _, s := range typical {
		e, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			ages := flow.Ages{Age: time.Minute, Idle: time.Second}
			if n := testing.AllocsPerRun(100, func() { e.Match(&f, ages) }); n != 0 {
				t.Errorf("%q: %v allocations", s, n)
			}
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	f := sampleFlows()['w']
	for _, s := range typical {
		e, err := Parse(s)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Match(&f, flow.Ages{Age: time.Minute, Idle: time.Second})
			}
		})
	}
}
