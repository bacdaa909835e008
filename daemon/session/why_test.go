package session

import (
	"fmt"
	"strings"
	"testing"
)

// TestUnreadableIsAReason: what cannot be read is a reason with what to do, while it comes and a moment longer.
func TestUnreadableIsAReason(t *testing.T) {
	const words = "1 messages of the peer could not be read: compare the versions"
	p := newPlayer(t, Config{})
	p.play(handshake + "\n< BAD 102")
	is := func(when string, want bool) {
		t.Helper()
		if why := strings.Join(p.s.Why(), "\n"); strings.Contains(why, words) != want {
			t.Errorf("%s: %q", when, why)
		}
	}
	p.pass(second)
	is("when it came", true)
	p.pass(3 * second)
	is("a moment later", true)
	p.pass(3 * second)
	is("when it is over", false)
}

// TestSilenceIsTheCallersReason: a session whose peer has never spoken, or answers and is quiet, has nothing to say.
func TestSilenceIsTheCallersReason(t *testing.T) {
	p := newPlayer(t, Config{})
	if why := p.s.Why(); len(why) != 0 {
		t.Errorf("at the start: %q", why)
	}
	p.play(handshake)
	if why := p.s.Why(); len(why) != 0 {
		t.Errorf("after the handshake: %q", why)
	}
}

// TestRationedIsAReason: a peer that gets nothing for a while, or waits for the table, because it restarts or asks too
// often, is not in step meanwhile.
func TestRationedIsAReason(t *testing.T) {
	for message, words := range map[string]string{
		"ALIVE|HELLO": "the peer starts again and again", "RESYNC": "the peer asks for our table again and again",
	} {
		p := newPlayer(t, Config{})
		p.play(handshake)
		seq := 102
		for range bulksAtOnce + 1 {
			if seq++; message != "RESYNC" {
				seq += 5000
			}
			p.s.Receive(p.now, datagram(t, fmt.Sprint(message, " ", seq)))
			p.pass(second / 100)
		}
		if why := strings.Join(p.s.Why(), "\n"); !strings.Contains(why, words) {
			t.Errorf("after %d times %s: %q", bulksAtOnce+1, message, why)
		}
		p.pass(bulkEvery + second)
		if why := strings.Join(p.s.Why(), "\n"); strings.Contains(why, words) {
			t.Errorf("%s: later: %q", message, why)
		}
	}
}
