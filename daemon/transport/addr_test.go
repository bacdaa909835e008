package transport

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"ctsync/daemon/nstest"
)

var compareAddresses = []cmp.Option{cmp.AllowUnexported(address{}), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}

// message makes a netlink message.
func message(typ, flags uint16, seq uint32, body ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, body...)
}

// newAddress is the body of an RTM_NEWADDR for 10.1.0.1/24 on interface 3, tentative by IFA_FLAGS only.
var newAddress = []byte{
	2, 24, 0x80, 0, 3, 0, 0, 0,
	8, 0, unix.IFA_ADDRESS, 0, 10, 1, 0, 1,
	8, 0, unix.IFA_LOCAL, 0, 10, 1, 0, 1,
	7, 0, unix.IFA_LABEL, 0, 'e', '0', 0, 0,
	8, 0, unix.IFA_FLAGS, 0, 0xc0, 0, 0, 0,
}

func TestParseAddresses(t *testing.T) {
	want := []address{{addr("10.1.0.1"), netip.MustParsePrefix("10.1.0.0/24"), 0xc0}}
	one := message(unix.RTM_NEWADDR, unix.NLM_F_MULTI, 9, newAddress...)
	for _, tt := range []struct {
		name        string
		in          []byte
		want        []address
		done, intr  bool
		err         error
		otherDevice bool
	}{
		{name: "one", in: one, want: want},
		{name: "one and the end", in: append(one[:len(one):len(one)], message(unix.NLMSG_DONE, 0, 9, 0, 0, 0, 0)...), want: want, done: true},
		{name: "of another request", in: message(unix.RTM_NEWADDR, 0, 8, newAddress...)},
		{name: "of another interface", in: one, otherDevice: true},
		{name: "interrupted", in: message(unix.RTM_NEWADDR, unix.NLM_F_DUMP_INTR, 9, newAddress...), want: want, intr: true},
		{name: "refused", in: message(unix.NLMSG_ERROR, 0, 9, 0xff, 0xff, 0xff, 0xff), err: unix.EPERM},
		{name: "refused without a reason", in: message(unix.NLMSG_ERROR, 0, 9), err: unix.EBADMSG},
		{name: "longer than the datagram", in: one[:len(one)-1], err: unix.EBADMSG},
		{name: "shorter than its header", in: []byte{15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, err: unix.EBADMSG},
		{name: "empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			index := 3
			if tt.otherDevice {
				index = 4
			}
			var got []address
			done, intr, err := parseAddresses(tt.in, 9, index, &got)
			if done != tt.done || intr != tt.intr || !errors.Is(err, tt.err) {
				t.Errorf("done %v interrupted %v error %v", done, intr, err)
			}
			if d := cmp.Diff(tt.want, got, compareAddresses...); d != "" {
				t.Errorf("addresses (-want +got):\n%s", d)
			}
		})
	}
}

// TestParseAddressTruncated cuts and breaks the message everywhere: nothing may panic, and no half address come out.
func TestParseAddressTruncated(t *testing.T) {
	for n := range newAddress {
		if a, ok := parseAddress(newAddress[:n:n], 3); ok && a.ip != addr("10.1.0.1") {
			t.Errorf("%d bytes: %+v", n, a)
		}
	}
	for i := range newAddress {
		for _, v := range []byte{0, 1, 3, 0x7f, 0xff} {
			b := append([]byte(nil), newAddress...)
			b[i] = v
			parseAddress(b, 3)
		}
	}
}

func TestListAddresses(t *testing.T) {
	ns := nstest.New(t)
	ns.Sysctl(t, "net.ipv6.conf.default.addr_gen_mode", "1")
	ns.Run(t, "ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
	ns.Run(t, "ip", "link", "set", "d0", "up")
	ns.Run(t, "ip", "address", "add", "10.1.0.1/24", "dev", "d0")
	ns.Run(t, "ip", "address", "add", "10.1.0.9/24", "dev", "d0")
	ns.Run(t, "ip", "address", "add", "10.7.0.1", "peer", "10.8.0.0/16", "dev", "d0")
	ns.Run(t, "ip", "address", "add", "2001:db8::1/64", "dev", "d0", "nodad")
	var got []address
	var err error
	var r addressReader
	ns.Do(func() { err = r.open() })
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	index := 0
	ns.Do(func() {
		var d device
		d, err = readDevice(r.fd, "d0")
		index = d.index
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err = r.list(index); err != nil {
		t.Fatal(err)
	}
	const perm = unix.IFA_F_PERMANENT
	want := []address{
		{addr("10.1.0.1"), netip.MustParsePrefix("10.1.0.0/24"), perm},
		{addr("10.7.0.1"), netip.MustParsePrefix("10.8.0.0/16"), perm},
		{addr("10.1.0.9"), netip.MustParsePrefix("10.1.0.0/24"), perm | unix.IFA_F_SECONDARY},
		{addr("2001:db8::1"), netip.MustParsePrefix("2001:db8::/64"), perm | unix.IFA_F_NODAD},
	}
	byIP := cmpopts.SortSlices(func(a, b address) bool { return a.ip.Less(b.ip) })
	if d := cmp.Diff(want, got, append(compareAddresses, byIP)...); d != "" {
		t.Errorf("addresses (-want +got):\n%s", d)
	}
}
