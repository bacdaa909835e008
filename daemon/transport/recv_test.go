package transport

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// cmsg makes one control message with its padding.
func cmsg(level, typ int32, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func TestParseControl(t *testing.T) {
	pktinfo4 := cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, append(word(5), make([]byte, 8)...)...)
	pktinfo6 := cmsg(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(make([]byte, 16), word(6)...)...)
	gro := cmsg(unix.IPPROTO_UDP, unix.UDP_GRO, word(1468)...)
	other := cmsg(unix.SOL_SOCKET, unix.SO_TIMESTAMP, make([]byte, 16)...)
	for _, tt := range []struct {
		name           string
		parts          [][]byte
		index, segment int
	}{
		{"nothing", nil, 0, 0},
		{"IPv4", [][]byte{pktinfo4}, 5, 0},
		{"IPv6", [][]byte{pktinfo6}, 6, 0},
		{"coalesced", [][]byte{gro, pktinfo4}, 5, 1468},
		{"in the other order, after an unknown one", [][]byte{other, pktinfo6, gro}, 6, 1468},
		{"too short", [][]byte{cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, 1, 2, 3)}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b []byte
			for _, p := range tt.parts {
				b = append(b, p...)
			}
			if index, segment := parseControl(b); index != tt.index || segment != tt.segment {
				t.Errorf("interface %d, segment %d; want %d, %d", index, segment, tt.index, tt.segment)
			}
		})
	}
	all := append(append(append([]byte{}, other...), pktinfo6...), gro...)
	for n := range all {
		parseControl(all[:n:n]) // must not read past the end
	}
	for _, size := range []uint64{0, 15, 1 << 20, 1<<63 - 1, 1 << 63} {
		b := append([]byte{}, pktinfo4...)
		binary.NativeEndian.PutUint64(b, size)
		if index, _ := parseControl(b); index != 0 {
			t.Errorf("control message of claimed length %d was read", size)
		}
	}
}

func TestEachSplits(t *testing.T) {
	var b Batch
	src := netip.MustParseAddrPort("10.0.0.2:4000")
	for i, a := range []arrival{
		{data: []byte("alone")},
		{data: []byte("aabbcc"), segment: 2},
		{data: []byte("aabbc"), segment: 2},
		{data: []byte{}},
		{data: []byte("xy"), segment: 2},
		{data: []byte("nnoo"), segment: 2, refusal: WrongSource},
	} {
		a.src = src
		b.arrived[i] = a
		b.n++
	}
	var got []string
	b.Each(func(from netip.AddrPort, d []byte) {
		if from != src {
			t.Errorf("source %v", from)
		}
		got = append(got, string(d))
	})
	if d := cmp.Diff([]string{"alone", "aa", "bb", "cc", "aa", "bb", "c", "", "xy"}, got); d != "" {
		t.Errorf("datagrams (-want +got):\n%s", d)
	}
	got = nil
	b.Refused(func(from netip.Addr, why Refusal, d []byte) {
		if from != src.Addr() || why != WrongSource {
			t.Errorf("source %v, refusal %d", from, why)
		}
		got = append(got, string(d))
	})
	if d := cmp.Diff([]string{"nn", "oo"}, got); d != "" {
		t.Errorf("refused datagrams (-want +got):\n%s", d)
	}
}
