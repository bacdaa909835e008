package wire

import (
	"bytes"
	"testing"

	"ctsync/daemon/flow"

	"github.com/google/go-cmp/cmp"
)

// FuzzNext checks that messages tile the datagram and that a refused one leaves nothing behind.
func FuzzNext(f *testing.F) {
	raw, _ := vectors(f)
	for _, b := range raw {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			before := rest
			var h Header
			var body []byte
			var bad Malformed
			h, body, rest, bad = Next(rest)
			if bad != OK {
				if h != (Header{}) || body != nil || bad != BadVersion && rest != nil {
					t.Fatalf("%v with %v, body %x, rest %x", bad, h, body, rest)
				}
				if len(before)-len(rest) < HeaderSize && bad != Truncated && bad != BadSize {
					t.Fatalf("%v took %d bytes", bad, len(before)-len(rest))
				}
				continue
			}
			head := len(before) - len(rest) - len(body)
			if int(h.Len) != head+len(body) || head != HeaderSize && head != ControlSize {
				t.Fatalf("%v: head %d, body %d", h, head, len(body))
			}
			if h.Type == Control && len(body) == 0 {
				if again := AppendControl(nil, h.Flags, h.Seq, h.From, h.To); !bytes.Equal(again, before[:h.Len]) {
					t.Fatalf("wrote %x, want %x", again, before[:h.Len])
				}
			}
		}
	})
}

// FuzzParseFlow checks that what was read is written and read back the same, except for what AppendFlow leaves out.
func FuzzParseFlow(f *testing.F) {
	_, all := vectors(f)
	for _, v := range all {
		if v.header.Type.IsFlow() {
			f.Add(v.body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var first, second flow.Flow
		if _, err := ParseFlow(body, &first); err != nil {
			if first != (flow.Flow{}) {
				t.Fatalf("not zero after %v", err)
			}
			return
		}
		message := AppendFlow(nil, CTNew, 0, 1, &first)
		h, again, rest, bad := Next(message)
		if bad != OK || len(rest) != 0 || int(h.Len) != len(message) || len(message)%4 != 0 {
			t.Fatalf("%v: %v, rest %x", bad, h, rest)
		}
		if unknown, err := ParseFlow(again, &second); err != nil || unknown != 0 {
			t.Fatalf("unknown %d, %v", unknown, err)
		}
		first.Status &^= flow.StatusDying
		if nameLen(first.Helper[:]) >= helperSize {
			first.Helper = [16]byte{}
			first.Has &^= flow.HasHelper
		}
		if first != second {
			t.Fatalf("(-first +second)\n%s", cmp.Diff(first, second))
		}
		if last := AppendFlow(nil, CTNew, 0, 1, &second); !bytes.Equal(last, message) {
			t.Fatalf("wrote\n%x, then\n%x", message, last)
		}
	})
}

// FuzzParseExpectation does the same for expectations.
func FuzzParseExpectation(f *testing.F) {
	_, all := vectors(f)
	for _, v := range all {
		if isExpectation(v.header.Type) {
			f.Add(v.body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var first, second flow.Expectation
		if _, err := ParseExpectation(body, &first); err != nil {
			if first != (flow.Expectation{}) {
				t.Fatalf("not zero after %v", err)
			}
			return
		}
		message := AppendExpectation(nil, ExpNew, 0, 1, &first)
		h, again, rest, bad := Next(message)
		if bad != OK || len(rest) != 0 || int(h.Len) != len(message) || len(message)%4 != 0 {
			t.Fatalf("%v: %v, rest %x", bad, h, rest)
		}
		if unknown, err := ParseExpectation(again, &second); err != nil || unknown != 0 {
			t.Fatalf("unknown %d, %v", unknown, err)
		}
		if nameLen(first.Helper[:]) >= helperSize {
			first.Helper = [16]byte{}
			first.Has &^= flow.HasHelper
		}
		if nameLen(first.Fn[:]) >= fnSize {
			first.Fn = [32]byte{}
			first.Has &^= flow.HasFn
		}
		if first != second {
			t.Fatalf("(-first +second)\n%s", cmp.Diff(first, second))
		}
		if last := AppendExpectation(nil, ExpNew, 0, 1, &second); !bytes.Equal(last, message) {
			t.Fatalf("wrote\n%x, then\n%x", message, last)
		}
	})
}
