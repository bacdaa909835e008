package session

import (
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
