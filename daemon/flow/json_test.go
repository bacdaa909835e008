package flow

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSON(t *testing.T) {
	snat := snatFTP.marked(0).zoned(7, 7)
	snat.Master = tuple(TCP, "10.0.1.2", 1, "10.0.2.2", 21)
	snat.Master.Zone = 7
	snat.SeqAdj[1].OffsetAfter = 3
	snat.Labels[4] = 2
	snat.TCPWScale = [2]uint8{7, 10}
	snat.Has |= HasMaster | HasSeqAdj | HasLabels | HasTCPWScale
	odd := Flow{Orig: tuple(253, "fd00::1", 0, "fd00::2", 0), Has: HasStatus, Status: 1 << 20}
	tests := []struct {
		name string
		flow Flow
		want string
	}{
		{"SNAT", snat, `{"family":"ipv4","protocol":"tcp","state":"ESTABLISHED",
			"orig":{"src":"10.0.1.2","dst":"10.0.2.2","sport":42030,"dport":21},
			"reply":{"src":"10.0.2.2","dst":"10.0.2.100","sport":21,"dport":42030},
			"zone":7,"status":["SEEN_REPLY","ASSURED","CONFIRMED","SRC_NAT","SRC_NAT_DONE","DST_NAT_DONE","HELPER"],
			"timeout":432000,"mark":0,"id":1395091844,"helper":"ftp","labels":[33],
			"master":{"protocol":"tcp","src":"10.0.1.2","dst":"10.0.2.2","sport":1,"dport":21},"tcp_wscale":[7,10],
			"seqadj":[{"correction_pos":0,"offset_before":0,"offset_after":0},{"correction_pos":0,"offset_before":0,"offset_after":3}]}`},
		{"ICMP", ping.zoned(0, 9), `{"family":"ipv4","protocol":"icmp",
			"orig":{"src":"10.0.1.2","dst":"10.0.2.2","icmp_type":8,"icmp_code":0,"icmp_id":258},
			"reply":{"src":"10.0.2.2","dst":"10.0.1.2","icmp_type":0,"icmp_code":0,"icmp_id":258},
			"reply_zone":9,"status":["SEEN_REPLY","CONFIRMED"],"timeout":30}`},
		{"GRE", Flow{Orig: tuple(GRE, "10.0.1.2", 1, "10.0.2.2", 2)}, `{"family":"ipv4","protocol":"gre",
			"orig":{"src":"10.0.1.2","dst":"10.0.2.2","srckey":1,"dstkey":2}}`},
		{"protocol and status without name", odd, `{"family":"ipv6","protocol":"253",
			"orig":{"src":"fd00::1","dst":"fd00::2"},"status":["0x100000"]}`},
		{"status 0 is not absent", plain(odd.Orig, 0, 0), `{"family":"ipv6","protocol":"253",
			"orig":{"src":"fd00::1","dst":"fd00::2"},"reply":{"src":"fd00::2","dst":"fd00::1"},"status":[],"timeout":0}`},
		{"state beyond the last", Flow{Orig: tuple(TCP, "1.1.1.1", 1, "2.2.2.2", 2)}.tcp(77), `{"family":"ipv4","protocol":"tcp",
			"state":"77","orig":{"src":"1.1.1.1","dst":"2.2.2.2","sport":1,"dport":2}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.flow)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.NewReplacer("\n", "", "\t", "").Replace(tt.want); string(got) != want {
				t.Errorf("got\n%s, want\n%s", got, want)
			}
			var back Flow
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.flow, back); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestJSONRoundTrip writes and reads flows with every set of attributes; those that say nothing are zero as everywhere.
func TestJSONRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	protos := []Proto{TCP, UDP, SCTP, DCCP, ICMP, ICMPv6, GRE, UDPLite, 50}
	for range 2000 {
		whole := full(uint8(random.UintN(100)))
		whole.Orig.Proto = protos[random.IntN(len(protos))]
		if whole.Orig.Proto != GRE && !whole.Orig.Proto.HasPorts() && !whole.Orig.Proto.IsICMP() {
			whole.Orig.SrcPort, whole.Orig.DstPort = 0, 0
		}
		whole.Reply = whole.Orig.Inverse()
		own := whole.Has
		for proto, has := range map[Proto]Attr{TCP: HasTCPState, SCTP: HasSCTP, DCCP: HasDCCP} {
			if whole.Orig.Proto != proto {
				own &^= has
			}
		}
		whole.Has = own & Attr(random.Uint32())
		want := Flow{Orig: whole.Orig}
		want.Merge(&whole)
		text, err := json.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		var got Flow
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got)\n%s", text, diff)
		}
	}
}

// A name from a hostile peer must not make the listing unreadable.
func TestJSONHostileName(t *testing.T) {
	f := ping.named(strings.Repeat("\xff", 14) + "\n")
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var got Flow
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("?", 15); CString(got.Helper[:]) != want {
		t.Errorf("helper %q, want %q", got.Helper, want)
	}
}

func TestJSONErrors(t *testing.T) {
	const orig = `"orig":{"src":"10.0.1.2","dst":"10.0.2.2","sport":1,"dport":2}`
	tests := map[string]string{
		"no address":        `{"family":"ipv4","protocol":"tcp"}`,
		"wrong family":      `{"family":"ipv6","protocol":"tcp",` + orig + `}`,
		"scope":             `{"family":"ipv6","protocol":"tcp","orig":{"src":"fe80::1%eth0","dst":"fe80::2"}}`,
		"unknown family":    `{"family":"ipx","protocol":"tcp",` + orig + `}`,
		"unknown protocol":  `{"family":"ipv4","protocol":"tpc",` + orig + `}`,
		"unknown state":     `{"family":"ipv4","protocol":"tcp","state":"OPEN",` + orig + `}`,
		"state of UDP":      `{"family":"ipv4","protocol":"udp","state":"1",` + orig + `}`,
		"unknown status":    `{"family":"ipv4","protocol":"udp","status":["X"],` + orig + `}`,
		"long helper":       `{"family":"ipv4","protocol":"udp","helper":"1234567890123456",` + orig + `}`,
		"label 128":         `{"family":"ipv4","protocol":"udp","labels":[128],` + orig + `}`,
		"label -1":          `{"family":"ipv4","protocol":"udp","labels":[-1],` + orig + `}`,
		"bad reply":         `{"family":"ipv4","protocol":"udp","reply":{"src":"::1","dst":"::2"},` + orig + `}`,
		"bad master":        `{"family":"ipv4","protocol":"udp","master":{"protocol":"tcp","src":"1.1.1.1","dst":"::2"},` + orig + `}`,
		"port out of range": `{"family":"ipv4","protocol":"udp","orig":{"src":"10.0.1.2","dst":"10.0.2.2","sport":65536,"dport":2}}`,
	}
	for name, text := range tests {
		f := full(1)
		if err := json.Unmarshal([]byte(text), &f); err == nil {
			t.Errorf("%s: no error", name)
		} else if f != full(1) {
			t.Errorf("%s: the flow was changed", name)
		}
	}
}

func TestExpectationJSON(t *testing.T) {
	nat := ftpExpectation(1, "10.0.2.2", "10.0.2.100", 49153, 42030)
	nat.NAT = tuple(TCP, "0.0.0.0", 49153, "0.0.0.0", 0)
	nat.NATDir, nat.ID = 1, 99
	nat.Has |= HasNAT | HasID | HasFn
	nat.Expect.Zone, nat.Master.Zone = 5, 5
	copy(nat.Fn[:], "nat-follow-master")
	const want = `{"family":"ipv4","zone":5,"expect":{"protocol":"tcp","src":"10.0.2.2","dst":"10.0.2.100","sport":0,"dport":49153},` +
		`"mask":{"protocol":"tcp","src":"255.255.255.255","dst":"255.255.255.255","sport":0,"dport":65535},` +
		`"master":{"protocol":"tcp","src":"10.0.2.2","dst":"10.0.2.100","sport":42030,"dport":21},` +
		`"nat":{"protocol":"tcp","src":"0.0.0.0","dst":"0.0.0.0","sport":49153,"dport":0},"nat_dir":1,` +
		`"timeout":300,"flags":1,"class":0,"helper":"ftp","fn":"nat-follow-master","id":99}`
	text, err := json.Marshal(nat)
	if err != nil || string(text) != want {
		t.Errorf("got %v\n%s, want\n%s", err, text, want)
	}
	for _, e := range []Expectation{nat, ftpExpectation(0, "fd00::1", "fd00::2", 1, 2)} {
		text, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		var back Expectation
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	for _, bad := range []string{
		`{"family":"ipv4"}`,
		`{"expect":{"src":"10.0.1.2","dst":"10.0.2.2"}}`,
		strings.Replace(want, `"protocol":"tcp"`, `"protocol":"?"`, 1),
		strings.Replace(want, "nat-follow-master", strings.Repeat("x", 32), 1),
		strings.Replace(want, `"ftp"`, `"1234567890123456"`, 1),
	} {
		var e Expectation
		if err := json.Unmarshal([]byte(bad), &e); err == nil || e != (Expectation{}) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
