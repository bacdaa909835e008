package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"ctsync/daemon/flow"

	"github.com/google/go-cmp/cmp"
)

// Attributes of expectations.
const (
	expMaster = "000c0000 0a000102 0a000202 00050002 06000000 00080003 a42e0015 "
	expExpect = "000c0004 0a000202 0a000264 00050006 06000000 00080007 0000c001 "
	expMask   = "000c0008 ffffffff ffffffff 0005000a 06000000 0008000b 0000ffff "
	expNAT    = "000c000f 00000000 00000000 00050011 06000000 00080010 c0010000 00080012 00000001 "
)

func testExpectation() flow.Expectation {
	return flow.Expectation{
		Master: testTuple(flow.TCP, "10.0.1.2", 42030, "10.0.2.2", 21),
		Expect: testTuple(flow.TCP, "10.0.2.2", 0, "10.0.2.100", 49153),
		Has:    flow.HasMaster,
	}
}

func TestExpectation(t *testing.T) {
	with := func(change func(e *flow.Expectation)) flow.Expectation {
		e := testExpectation()
		change(&e)
		return e
	}
	masked := func(e *flow.Expectation) {
		e.Mask = testTuple(flow.TCP, "255.255.255.255", 0, "255.255.255.255", 65535)
		e.Has |= flow.HasMask
	}
	icmpMaster := with(func(e *flow.Expectation) {
		e.Master.Proto = flow.ICMP
		e.Master.SrcPort, e.Master.DstPort, e.Expect.SrcPort, e.Expect.DstPort = 0, 0, 0, 0
	})
	v6 := flow.Expectation{
		Master: testTuple(flow.UDP, "fd00::1", 1, "fd00::2", 2),
		Expect: testTuple(flow.UDP, "fd00::2", 3, "fd00::1", 4),
		Has:    flow.HasMaster | flow.HasNAT, NATDir: 1,
	}
	v6.NAT = flow.Tuple{Family: flow.IPv6, Proto: flow.UDP, SrcPort: 5}
	v6body := "00240001 fd000000000000000000000000000001 fd000000000000000000000000000002 00050002 11000000 00080003 00010002" +
		"00240005 fd000000000000000000000000000002 fd000000000000000000000000000001 00050006 11000000 00080007 00030004"
	tests := []struct {
		name    string
		body    string
		want    flow.Expectation
		again   string // what AppendExpectation makes of it, when not body
		unknown int
	}{
		{"least", expMaster + expExpect, testExpectation(), "", 0},
		{"mask", expMaster + expExpect + expMask, with(masked), "", 0},
		{"ports without a mask address", expMaster + expExpect + "0008000b 0000ffff", testExpectation(), expMaster + expExpect, 0},
		{"numbers", expMaster + expExpect + "0008000c 0000012c 0008000d 00000003 0008000e 00000002", with(func(e *flow.Expectation) {
			e.Timeout, e.Flags, e.Class = 300, 3, 2
			e.Has |= flow.HasTimeout | flow.HasFlags | flow.HasClass
		}), "", 0},
		{"NAT", expMaster + expExpect + expNAT, with(func(e *flow.Expectation) {
			e.NAT, e.NATDir = testTuple(flow.TCP, "0.0.0.0", 49153, "0.0.0.0", 0), 1
			e.Has |= flow.HasNAT
		}), "", 0},
		{"NAT direction alone", expMaster + expExpect + "00080012 00000001", with(func(e *flow.Expectation) {
			e.NAT, e.NATDir = testTuple(flow.TCP, "0.0.0.0", 0, "0.0.0.0", 0), 1
			e.Has |= flow.HasNAT
		}), expMaster + expExpect + "000c000f 00000000 00000000 00050011 06000000 00080010 00000000 00080012 00000001", 0},
		{"NAT over IPv6 has no address", v6body + "00050011 11000000 00080010 00050000 00080012 00000001", v6, "", 0},
		{"NAT over IPv6 with an IPv4 address", v6body + "000c000f 01020304 05060708 00050011 11000000 00080010 00050000 00080012 00000001", v6,
			v6body + "00050011 11000000 00080010 00050000 00080012 00000001", 0},
		{"names", expMaster + expExpect + "00080013 66747000 00160014 6e61742d666f6c6c6f772d6d6173746572000000", with(func(e *flow.Expectation) {
			copy(e.Helper[:], "ftp")
			copy(e.Fn[:], "nat-follow-master")
			e.Has |= flow.HasHelper | flow.HasFn
		}), "", 0},
		{"empty names", expMaster + expExpect + "00050013 00000000 00050014 00000000", testExpectation(), expMaster + expExpect, 0},
		{"ports depend on the master", "000c0000 0a000102 0a000202 00050002 01000000 00080003 a42e0015" + expExpect, icmpMaster,
			"000c0000 0a000102 0a000202 00050002 01000000 000c0004 0a000202 0a000264 00050006 06000000", 0},
		{"unknown attributes are skipped", "00050015 ff000000" + expExpect + expMaster, testExpectation(), expMaster + expExpect, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := flow.Expectation{Timeout: 1, Has: flow.HasID}
			unknown, err := ParseExpectation(unhex(t, tt.body), &got)
			if err != nil || unknown != tt.unknown {
				t.Fatalf("unknown %d, %v; want %d", unknown, err, tt.unknown)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if tt.again == "" {
				tt.again = tt.body
			}
			body := unhex(t, tt.again)
			want := append([]byte("abc\x13\x00\x00"), byte(8+len(body)), 0, 0, 0, 7)
			want = append(want, body...)
			if again := AppendExpectation([]byte("abc"), ExpNew, 0, 7, &got); !bytes.Equal(again, want) {
				t.Errorf("wrote\n%x, want\n%x", again, want)
			}
		})
	}
}

func TestAppendExpectationLongNames(t *testing.T) {
	e := testExpectation()
	copy(e.Helper[:], "abcdefghijkl")
	copy(e.Fn[:], strings.Repeat("x", 28))
	e.Has |= flow.HasHelper | flow.HasFn
	plain := testExpectation()
	want := AppendExpectation(nil, ExpNew, 0, 1, &plain)
	if got := AppendExpectation(nil, ExpNew, 0, 1, &e); !bytes.Equal(got, want) {
		t.Errorf("got\n%x, want\n%x", got, want)
	}
	e.Helper[11], e.Fn[27] = 0, 0
	_, body, _, _ := Next(AppendExpectation(nil, ExpNew, 0, 1, &e))
	var got flow.Expectation
	if _, err := ParseExpectation(body, &got); err != nil || got != e {
		t.Errorf("%v\n%s", err, cmp.Diff(e, got))
	}
}

func TestParseExpectationErrors(t *testing.T) {
	const expect6 = "00240005 fd000001000000000000000000000002 fd000002000000000000000000000002 "
	tests := []struct {
		name string
		body string
		want error
	}{
		{"empty", "", ErrNoAddress},
		{"no master", expExpect, ErrNoAddress},
		{"no expected tuple", expMaster, ErrNoAddress},
		{"no master protocol", "000c0000 0a000102 0a000202" + expExpect, ErrNoProtocol},
		{"no expected protocol", expMaster + "000c0004 0a000102 0a000202", ErrNoProtocol},
		{"families differ", expMaster + expExpect + expect6, ErrFamily},
		{"family of the mask differs", expMaster + expExpect + "00240009 ffffffffffffffffffffffffffffffff ffffffffffffffffffffffffffffffff", ErrFamily},
		{"wrong size", expMaster + expExpect + "0007000c 00000000", ErrSize},
		{"beyond the end", expMaster + expExpect + "0009000c 00000000", ErrLength},
		{"long helper", expMaster + expExpect + "00110013 6162636465666768696a6b6c 00000000", ErrLong},
		{"long function", expMaster + expExpect + "00210014" + strings.Repeat("61", 32), ErrLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := testExpectation()
			if _, err := ParseExpectation(unhex(t, tt.body), &e); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if e != (flow.Expectation{}) {
				t.Errorf("the expectation is not zero: %v", e)
			}
		})
	}
}
