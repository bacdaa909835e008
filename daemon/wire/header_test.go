package wire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unhex reads bytes written as hex with spaces between groups.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNext(t *testing.T) {
	const state = "1000 000c 00000001 aabbccdd"
	tests := []struct {
		name       string
		in         string
		h          Header
		body, rest string
		bad        Malformed
	}{
		{"nothing", "", Header{}, "", "", Truncated},
		{"seven bytes", "1a100008 000000", Header{}, "", "", Truncated},
		{"seven bytes of version 2 and length 0", "2a100000 000000", Header{}, "", "", Truncated},
		{"length 0", "10000000 00000001", Header{}, "", "", BadSize},
		{"length 0 of version 2", "20000000 00000001", Header{}, "", "", BadSize},
		{"length 7", "10000007 00000001", Header{}, "", "", BadSize},
		{"length 4 of version 2", "20000004 00000001", Header{}, "", "", BadSize},
		{"longer than the datagram", "1000000d 00000001 aabbccdd", Header{}, "", "", BadSize},
		{"ack in 15 bytes", "1a08000f 00000001 00000001 000000", Header{}, "", "", Truncated},
		{"ack without range", "1a080008 00000001", Header{}, "", "", Truncated},
		{"ack without range before others", "1a080008 00000001" + state, Header{}, "", "", BadSize},
		{"ack of length 15 before others", "1a08000f 00000001 00000001 00000001" + state, Header{}, "", "", BadSize},
		{"ack cut off", "1a080010 00000001 00000001", Header{}, "", "", BadSize},
		{"ack of version 2 without range", "2a080008 00000001", Header{}, "", "", Truncated},
		{"state", state + "77", Header{Type: CTNew, Len: 12, Seq: 1}, "aabbccdd", "77", OK},
		{"state with flags of a control message", "1008000c 00000001 aabbccdd", Header{Type: CTNew, Flags: Ack, Len: 12, Seq: 1}, "aabbccdd", "", OK},
		{"empty state", "12600008 fffffffe", Header{Type: CTDestroy, Flags: Hello | HelloBack, Len: 8, Seq: 0xfffffffe}, "", "", OK},
		{"odd length", "13000009 00000001 aa" + state, Header{Type: ExpNew, Len: 9, Seq: 1}, "aa", state, OK},
		{"undefined type", "1f000008 00000001", Header{Type: 15, Len: 8, Seq: 1}, "", "", OK},
		{"undefined flags", "1a810008 00000001", Header{Type: Control, Flags: 0x81, Len: 8, Seq: 1}, "", "", OK},
		{"version 0", "0a100008 00000001" + state, Header{}, "", state, BadVersion},
		{"version 2", "2000000c 00000001 aabbccdd" + state, Header{}, "", state, BadVersion},
		{"alive", "1a300008 6b035691", Header{Type: Control, Flags: Alive | Hello, Len: 8, Seq: 0x6b035691}, "", "", OK},
		{"ack", "1a680010 6b035691 6b035691 6b035692", Header{Control, Ack | Hello | HelloBack, 16, 0x6b035691, 0x6b035691, 0x6b035692}, "", "", OK},
		{"resync", "1a020010 6b035910 00000000 00000000", Header{Type: Control, Flags: Resync, Len: 16, Seq: 0x6b035910}, "", "", OK},
		{"nack with more behind the range", "1a040014 00000003 00000001 00000002 aabbccdd", Header{Control, Nack, 20, 3, 1, 2}, "aabbccdd", "", OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, body, rest, bad := Next(unhex(t, tt.in))
			if bad != tt.bad {
				t.Errorf("%v, want %v", bad, tt.bad)
			}
			if diff := cmp.Diff(tt.h, h); diff != "" {
				t.Errorf("header (-want +got)\n%s", diff)
			}
			if !bytes.Equal(body, unhex(t, tt.body)) || !bytes.Equal(rest, unhex(t, tt.rest)) {
				t.Errorf("body %x rest %x, want %s and %s", body, rest, tt.body, tt.rest)
			}
			if (bad == Truncated || bad == BadSize) && rest != nil {
				t.Errorf("rest %x behind %v", rest, bad)
			}
		})
	}
}

// TestTruncatedDatagrams cuts every captured datagram at every length: whole messages stay readable, and what is left
// of one is counted once, as conntrackd counts it.
func TestTruncatedDatagrams(t *testing.T) {
	raw, _ := vectors(t)
	for _, whole := range raw {
		bounds := map[int]bool{0: true}
		for rest := whole; len(rest) > 0; {
			var bad Malformed
			if _, _, rest, bad = Next(rest); bad != OK {
				t.Fatalf("%x: %v", whole, bad)
			}
			bounds[len(whole)-len(rest)] = true
		}
		for n := range whole {
			rest, at, bad := whole[:n:n], 0, OK
			for len(rest) > 0 && bad == OK {
				var h Header
				at = n - len(rest)
				h, _, rest, bad = Next(rest)
				if bad == OK && !bounds[at+int(h.Len)] {
					t.Fatalf("%x cut to %d: a message of %d bytes at %d", whole, n, h.Len, at)
				}
			}
			want := BadSize
			switch {
			case bounds[n]:
				want = OK
			case n-at < HeaderSize:
				want = Truncated
			}
			if bad != want {
				t.Fatalf("%x cut to %d: %v, want %v", whole, n, bad, want)
			}
		}
	}
}

func TestAppendControl(t *testing.T) {
	tests := []struct {
		flags    Flags
		from, to uint32
		want     string
	}{
		{Alive | Hello, 7, 8, "1a30 0008 6b035691"},
		{Alive, 0, 0, "1a10 0008 6b035691"},
		{Ack | Hello | HelloBack, 1, 2, "1a68 0010 6b035691 00000001 00000002"},
		{Nack, 0xffffffff, 0, "1a04 0010 6b035691 ffffffff 00000000"},
		{Resync, 0, 0, "1a02 0010 6b035691 00000000 00000000"},
	}
	for _, tt := range tests {
		got := AppendControl([]byte("ab"), tt.flags, 0x6b035691, tt.from, tt.to)
		if want := append([]byte("ab"), unhex(t, tt.want)...); !bytes.Equal(got, want) {
			t.Errorf("%v: %x, want %x", tt.flags, got, want)
		}
	}
}
