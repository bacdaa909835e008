package flow

import (
	"net/netip"
	"reflect"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// tuple returns the tuple from src to dst; a and b are what its port fields hold.
func tuple(p Proto, src string, a uint16, dst string, b uint16) Tuple {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	t := Tuple{Src: AddrFrom(from), Dst: AddrFrom(to), SrcPort: a, DstPort: b, Family: IPv6, Proto: p}
	if from.Is4() {
		t.Family = IPv4
	}
	return t
}

// plain returns a flow without NAT that has a status and a timeout.
func plain(orig Tuple, status, timeout uint32) Flow {
	return Flow{
		Orig: orig, Reply: orig.Inverse(), Has: HasReply | HasStatus | HasTimeout, Status: status, Timeout: timeout,
	}
}

func TestTupleIsAMapKeyOf40Bytes(t *testing.T) {
	if size := unsafe.Sizeof(Tuple{}); size != 40 {
		t.Errorf("Tuple has %d bytes, want 40", size)
	}
	for _, v := range []any{Tuple{}, Flow{}, Expectation{}} {
		if typ := reflect.TypeOf(v); !typ.Comparable() || hasPointer(typ) {
			t.Errorf("%v is not a pointer-free comparable value", typ)
		}
	}
}

func hasPointer(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointer(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Array:
		return hasPointer(t.Elem())
	}
	return t.Kind() < reflect.Bool || t.Kind() > reflect.Complex128
}

func TestInverse(t *testing.T) {
	const a, b = "10.0.1.2", "10.0.2.2"
	const a6, b6 = "fd00:1::2", "fd00:2::2"
	tests := []struct {
		name     string
		in, want Tuple
	}{
		{"ports swap", tuple(TCP, a, 1000, b, 80), tuple(TCP, b, 80, a, 1000)},
		{"IPv6", tuple(UDP, a6, 1000, b6, 53), tuple(UDP, b6, 53, a6, 1000)},
		{"GRE keys swap", tuple(GRE, a, 1, b, 2), tuple(GRE, b, 2, a, 1)},
		{"no layer 4 part", tuple(50, a, 0, b, 0), tuple(50, b, 0, a, 0)},
		{"echo", tuple(ICMP, a, 7, b, 8<<8), tuple(ICMP, b, 7, a, 0)},
		{"echo reply", tuple(ICMP, a, 7, b, 0), tuple(ICMP, b, 7, a, 8<<8)},
		{"timestamp keeps its code", tuple(ICMP, a, 7, b, 13<<8|1), tuple(ICMP, b, 7, a, 14<<8|1)},
		{"information reply", tuple(ICMP, a, 7, b, 16<<8), tuple(ICMP, b, 7, a, 15<<8)},
		{"no answer", tuple(ICMP, a, 0, b, 3<<8|4), tuple(ICMP, b, 0, a, 3<<8|4)},
		{"echo v6", tuple(ICMPv6, a6, 7, b6, 128<<8), tuple(ICMPv6, b6, 7, a6, 129<<8)},
		{"node information reply", tuple(ICMPv6, a6, 7, b6, 140<<8), tuple(ICMPv6, b6, 7, a6, 139<<8)},
		{"type 8 is no echo in ICMPv6", tuple(ICMPv6, a6, 7, b6, 8<<8), tuple(ICMPv6, b6, 7, a6, 8<<8)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Zone, tt.want.Zone = 9, 9
			got := tt.in.Inverse()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if back := got.Inverse(); back != tt.in {
				t.Errorf("the inverse of the inverse is %v, want %v", back, tt.in)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	ordered := []Tuple{
		tuple(ICMP, "10.0.0.9", 1, "10.0.0.9", 0),
		tuple(TCP, "10.0.0.1", 9, "10.0.0.9", 9),
		tuple(TCP, "10.0.0.2", 1, "10.0.0.3", 9),
		tuple(TCP, "10.0.0.2", 1, "10.0.0.4", 1),
		tuple(TCP, "10.0.0.2", 2, "10.0.0.4", 0),
		tuple(TCP, "10.0.0.2", 2, "10.0.0.4", 1),
		tuple(TCP, "200.0.0.1", 0, "10.0.0.4", 1),
		tuple(TCP, "fd00::1", 0, "fd00::1", 1),
		tuple(TCP, "fd00::2", 0, "fd00::1", 1),
	}
	zoned := ordered[len(ordered)-1]
	zoned.Zone = 1
	ordered = append(ordered, zoned)
	for i := range ordered {
		for j := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := ordered[i].Compare(&ordered[j]); got != want {
				t.Errorf("%v compared with %v is %d, want %d", ordered[i], ordered[j], got, want)
			}
		}
	}
}

func TestNAT(t *testing.T) {
	tcp := tuple(TCP, "10.0.0.1", 1000, "10.0.0.2", 80)
	ping := tuple(ICMP, "10.0.0.1", 7, "10.0.0.2", 8<<8)
	other := AddrFrom(netip.MustParseAddr("192.0.2.1"))
	tests := []struct {
		name       string
		orig       Tuple
		change     func(r *Tuple)
		snat, dnat bool
	}{
		{"none", tcp, func(r *Tuple) {}, false, false},
		{"source address", tcp, func(r *Tuple) { r.Dst = other }, true, false},
		{"source port", tcp, func(r *Tuple) { r.DstPort++ }, true, false},
		{"destination address", tcp, func(r *Tuple) { r.Src = other }, false, true},
		{"destination port", tcp, func(r *Tuple) { r.SrcPort++ }, false, true},
		{"ping", ping, func(r *Tuple) {}, false, false},
		{"ping id", ping, func(r *Tuple) { r.SrcPort++ }, true, false},
		{"ping destination", ping, func(r *Tuple) { r.Src = other }, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := plain(tt.orig, 0, 0)
			tt.change(&f.Reply)
			if f.SNAT() != tt.snat || f.DNAT() != tt.dnat {
				t.Errorf("SNAT %v DNAT %v, want %v %v", f.SNAT(), f.DNAT(), tt.snat, tt.dnat)
			}
			f.Has = 0
			if f.SNAT() || f.DNAT() {
				t.Error("NAT without a reply tuple")
			}
		})
	}
}

func TestZone(t *testing.T) {
	tests := []struct {
		name        string
		orig, reply uint16
		zone        uint16
		whole       bool
	}{
		{"default", 0, 0, 0, true},
		{"both", 7, 7, 7, true},
		{"original", 7, 0, 7, false},
		{"reply", 0, 7, 7, false},
	}
	for _, tt := range tests {
		f := plain(tuple(UDP, "10.0.0.1", 1, "10.0.0.2", 2), 0, 0)
		f.Orig.Zone, f.Reply.Zone = tt.orig, tt.reply
		if zone, whole := f.Zone(); zone != tt.zone || whole != tt.whole {
			t.Errorf("%s: zone %d whole %v, want %d %v", tt.name, zone, whole, tt.zone, tt.whole)
		}
	}
	f := Flow{Orig: Tuple{Zone: 3}}
	if zone, whole := f.Zone(); zone != 3 || !whole {
		t.Errorf("without a reply tuple: zone %d whole %v, want 3 true", zone, whole)
	}
}

// full returns a flow in which every attribute is present and every field differs from zero and from those of full with
// another salt.
func full(salt uint8) Flow {
	s := uint32(salt)
	f := Flow{Has: (1<<len(attrNames) - 1) &^ (HasMask | HasNAT | HasFlags | HasClass | HasFn)}
	f.Orig = tuple(TCP, "10.0.0.1", 1, "10.0.0.2", 2)
	f.Reply = f.Orig.Inverse()
	f.Status, f.Timeout, f.Mark, f.ID, f.Use = s+1, s+2, s+3, s+4, s+5
	f.TCPState, f.SCTPState, f.DCCPState, f.DCCPRole = salt+6, salt+7, salt+8, salt+9
	f.TCPWScale, f.TCPFlags = [2]uint8{salt + 1, salt + 2}, [2]uint8{salt + 3, salt + 4}
	f.SCTPVTag = [2]uint32{s + 5, s + 6}
	f.Master = tuple(TCP, "10.0.0.3", uint16(salt), "10.0.0.4", 21)
	f.SeqAdj = [2]SeqAdj{{s + 1, s + 2, s + 3}, {s + 4, s + 5, s + 6}}
	f.Synproxy = Synproxy{s + 1, s + 2, s + 3}
	f.Helper, f.Labels = [16]byte{'a' + salt%26}, [16]byte{salt + 1}
	f.Packets, f.Bytes = [2]uint64{uint64(s) + 1, 2}, [2]uint64{uint64(s) + 3, 4}
	f.Start, f.Stop = uint64(s)+1, uint64(s)+2
	return f
}

func TestMerge(t *testing.T) {
	t.Run("everything", func(t *testing.T) {
		f, u := full(10), full(20)
		u.Orig, u.Reply = Tuple{}, Tuple{}
		f.Merge(&u)
		if diff := cmp.Diff(full(20), f); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		f, u := full(10), full(20)
		u.Has = 0
		f.Merge(&u)
		if diff := cmp.Diff(full(10), f); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("one at a time", func(t *testing.T) {
		// Merged one after the other, the attributes add up to all of them: each touches its own fields.
		f, u := full(10), full(20)
		f.Has = 0
		for bit := range attrNames {
			one := u
			one.Has = u.Has & (1 << bit)
			f.Merge(&one)
			if f.Has != u.Has&(1<<(bit+1)-1) {
				t.Fatalf("after %v: has %v", one.Has, f.Has)
			}
		}
		if diff := cmp.Diff(u, f); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestAddress(t *testing.T) {
	tests := []struct {
		tuple                 Tuple
		source, destination   string
		textSource, textDests string
	}{
		{tuple(TCP, "10.0.0.1", 80, "10.0.0.2", 81), "10.0.0.1:80", "10.0.0.2:81", "10.0.0.1:80", "10.0.0.2:81"},
		{tuple(SCTP, "fd00::1", 80, "fd00::2", 81), "[fd00::1]:80", "[fd00::2]:81", "[fd00::1]:80", "[fd00::2]:81"},
		{tuple(ICMP, "10.0.0.1", 80, "10.0.0.2", 81), "10.0.0.1:0", "10.0.0.2:0", "10.0.0.1", "10.0.0.2"},
		{tuple(ICMPv6, "fd00::1", 80, "::ffff:1.2.3.4", 81), "[fd00::1]:0", "[::ffff:1.2.3.4]:0", "fd00::1", "::ffff:1.2.3.4"},
	}
	for _, tt := range tests {
		got := []string{
			tt.tuple.Source().String(), tt.tuple.Destination().String(),
			string(tt.tuple.AppendSource(nil)), string(tt.tuple.AppendDestination(nil)),
		}
		if diff := cmp.Diff([]string{tt.source, tt.destination, tt.textSource, tt.textDests}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestCString(t *testing.T) {
	for in, want := range map[string]string{"ftp\x00xx": "ftp", "\x00": "", "": "", "sip": "sip"} {
		if got := CString([]byte(in)); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// TestMirrors: Mirrors is equality with Inverse, in every field.
func TestMirrors(t *testing.T) {
	for _, p := range []Proto{TCP, ICMP, ICMPv6, GRE, 200} {
		orig := Tuple{Src: Addr{10, 1}, Dst: Addr{10, 2}, SrcPort: 8, DstPort: 0x0801, Family: IPv4, Proto: p, Zone: 3}
		inverse := orig.Inverse()
		if !orig.Mirrors(&inverse) {
			t.Errorf("%v: %+v is not the inverse of %+v", p, inverse, orig)
		}
		v := reflect.ValueOf(&inverse).Elem()
		for i := range v.NumField() {
			changed := inverse
			switch f := reflect.ValueOf(&changed).Elem().Field(i); f.Kind() {
			case reflect.Array:
				f.Index(15).SetUint(1)
			default:
				f.SetUint(f.Uint() + 1)
			}
			if orig.Mirrors(&changed) != (changed == orig.Inverse()) {
				t.Errorf("%v: with another %s", p, v.Type().Field(i).Name)
			}
		}
	}
}
