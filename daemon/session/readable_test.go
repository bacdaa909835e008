package session

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"ctsync/daemon/flow"
	"ctsync/daemon/wire"
)

// captured returns the datagrams of all captured conversations of conntrackd, flows and expectations, in any of its
// modes.
func captured(t *testing.T) (datagrams [][]byte) {
	t.Helper()
	file, err := os.Open("../wire/testdata/conntrackd-1.4.7.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for lines := json.NewDecoder(unzip); lines.More(); {
		var line struct{ Hex string }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		d, err := hex.DecodeString(line.Hex)
		if err != nil {
			t.Fatal(err)
		}
		datagrams = append(datagrams, d)
	}
	return datagrams
}

// TestCapturesAreReadable takes what conntrackd sent, and pieces of it. What is cut off inside a message is not
// readable.
func TestCapturesAreReadable(t *testing.T) {
	all := captured(t)
	if len(all) < 700 {
		t.Fatalf("only %d datagrams", len(all))
	}
	for _, d := range all {
		whole := map[int]bool{}
		for rest := d; len(rest) > 0; {
			var bad wire.Malformed
			if _, _, rest, bad = wire.Next(rest); bad != wire.OK {
				t.Fatalf("%x: malformed, kind %d", d, bad)
			}
			whole[len(d)-len(rest)] = true
		}
		for n := range len(d) + 1 {
			if got := Readable(d[:n]); got != whole[n] {
				t.Fatalf("%x, %d of %d bytes: readable %v, want %v", d, n, len(d), got, whole[n])
			}
		}
	}
}

// TestReadableIsWhatIsReceived changes captured datagrams at random: a datagram is readable when a new session takes in
// each of its messages, and only then.
func TestReadableIsWhatIsReceived(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	readable, refused := 0, 0
	for _, whole := range captured(t) {
		for range 20 {
			d := mutant(random, whole)
			want := takenIn(d)
			if got := Readable(d); got != want {
				t.Fatalf("%x: readable %v, want %v", d, got, want)
			}
			if want {
				readable++
			} else {
				refused++
			}
		}
	}
	if readable < 1000 || refused < 1000 {
		t.Errorf("%d mutants readable and %d not: too few to prove anything", readable, refused)
	}
}

// mutant returns a copy of b with a few bytes changed, mostly where the structure is.
func mutant(random *rand.Rand, b []byte) []byte {
	d := append([]byte(nil), b...)
	for range 1 + random.IntN(3) {
		at := random.IntN(len(d))
		if random.IntN(2) == 0 {
			at &^= 3 // the first byte of a length, an id, a number
			at += random.IntN(2)
		}
		d[at] = byte(random.Uint32()) >> random.IntN(8)
	}
	return d
}

// takenIn reports whether a new session takes in each message of a datagram. Each gets a session of its own, because
// what it does with the second depends on the number of the first.
func takenIn(d []byte) bool {
	if len(d) == 0 {
		return false
	}
	for len(d) > 0 {
		message := d
		_, _, rest, _ := wire.Next(d)
		if rest != nil {
			message = d[:len(d)-len(rest)]
		}
		d = rest
		s := New(Config{}, Handler{
			Flow: func(wire.Type, *flow.Flow) {}, Acked: func(Ref, uint32) {}, Lost: func(Ref, uint32) {},
		}, second)
		s.Receive(second, message)
		if !s.in.known {
			return false
		}
	}
	return true
}

func TestReadable(t *testing.T) {
	f := stateFlow(1, 1)
	state := wire.AppendFlow(nil, wire.CTNew, 0, 102, &f)
	alive := wire.AppendControl(nil, wire.Alive, 101, 0, 0)
	edit := func(b []byte, i int, v byte) []byte {
		d := append([]byte(nil), b...)
		d[i] = v
		return d
	}
	both := append(append([]byte(nil), alive...), state...)
	for _, tt := range []struct {
		name string
		d    []byte
		want bool
	}{
		{"nothing", nil, false},
		{"text", []byte("rubbish that is long enough to be a message"), false},
		{"zeros", make([]byte, 64), false},
		{"control", alive, true},
		{"state", state, true},
		{"both", both, true},
		{"both, the second of version 2", edit(both, len(alive), 0x20), false},
		{"both, the first of version 2", edit(both, 0, 0x2a), false},
		{"both and one byte", append(append([]byte(nil), both...), 0), false},
		{"type 6", edit(state, 0, 0x16), false},
		{"state with an acknowledgement", edit(state, 1, byte(wire.Ack)), false},
		{"control without flags", edit(alive, 1, 0), false},
		{"attribute too long", edit(state, 9, 0xff), false},
		{"no addresses", []byte{0x10, 0, 0, 8, 0, 0, 0, 1}, false},
		{"expectation without tuples", []byte{0x13, 0, 0, 8, 0, 0, 0, 1}, false},
	} {
		if got := Readable(tt.d); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if n := testing.AllocsPerRun(5, func() { Readable(tt.d) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

// BenchmarkReadable is one full datagram of state messages.
func BenchmarkReadable(b *testing.B) {
	f := stateFlow(1, 1)
	var d []byte
	for seq := uint32(1); len(d)+flowSize(&f) <= 1404; seq++ {
		d = wire.AppendFlow(d, wire.CTNew, 0, seq, &f)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !Readable(d) {
			b.Fatal("not readable")
		}
	}
}
