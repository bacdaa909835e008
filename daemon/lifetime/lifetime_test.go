package lifetime

import (
	"testing"
	"time"

	"ctsync/daemon/flow"
)

const second = int64(time.Second)

func tcp(state uint8, timeout uint32) flow.Flow {
	return flow.Flow{
		Orig:     flow.Tuple{Family: flow.IPv4, Proto: flow.TCP},
		Has:      flow.HasTCPState | flow.HasTimeout,
		TCPState: state,
		Timeout:  timeout,
	}
}

func udp(timeout uint32) flow.Flow {
	return flow.Flow{Orig: flow.Tuple{Family: flow.IPv4, Proto: flow.UDP}, Has: flow.HasTimeout, Timeout: timeout}
}

func TestExpired(t *testing.T) {
	for _, tt := range []struct {
		name                string
		f                   flow.Flow
		updated, heard, now int64
		want                bool
	}{
		{"the timeout has not passed", udp(30), 0, 0, 29 * second, false},
		{"the last moment", udp(30), 0, 0, 30 * second, false},
		{"traffic may have refreshed it while the peer lived", udp(30), 0, 100 * second, 110 * second, false},
		{"the peer has been silent for a whole timeout", udp(30), 0, 100 * second, 131 * second, true},
		{"sent after the peer was last heard otherwise", udp(30), 100 * second, 0, 131 * second, true},
		{"a closing connection is not refreshed", tcp(flow.TCPTimeWait, 120), 0, 200 * second, 200 * second, true},
		{"a closing connection in time", tcp(flow.TCPTimeWait, 120), 0, 100 * second, 100 * second, false},
		{"an established connection outlives its first timeout",
			tcp(flow.TCPEstablished, 300), 0, 400 * second, 420 * second, false},
		{"no timeout known", flow.Flow{}, 0, 0, 1e9 * second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Expired(&tt.f, tt.updated, tt.heard, tt.now); got != tt.want {
				t.Errorf("Expired = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestExpectationExpired(t *testing.T) {
	timed := flow.Expectation{Has: flow.HasTimeout, Timeout: 30}
	for _, tt := range []struct {
		name                string
		e                   flow.Expectation
		updated, heard, now int64
		want                bool
	}{
		{"the last moment", timed, 0, 0, 30 * second, false},
		{"passed", timed, 0, 0, 30*second + 1, true},
		{"the peer is heard", timed, 0, 20 * second, 50 * second, false},
		{"the peer is silent", timed, 0, 20 * second, 51 * second, true},
		{"sent after the peer was last heard otherwise", timed, 20 * second, 0, 50 * second, false},
		{"no timeout known", flow.Expectation{}, 0, 0, 1e9 * second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ExpectationExpired(&tt.e, tt.updated, tt.heard, tt.now); got != tt.want {
				t.Errorf("ExpectationExpired = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	for _, tt := range []struct {
		name    string
		f       flow.Flow
		elapsed int64
		want    uint32
	}{
		{"what remains", tcp(flow.TCPEstablished, 432000), 1000 * second, 431000},
		{"at once", udp(120), 0, 120},
		{"the floor", udp(120), 100 * second, 60},
		{"refreshed by traffic", udp(120), 500 * second, 60},
		{"the floor is never longer than the timeout", tcp(flow.TCPClose, 10), 9 * second, 10},
		{"the clock of the entry is ahead", udp(120), -5 * second, 120},
		{"the peer sends no timeouts", flow.Flow{}, 5 * second, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			Restore(&tt.f, 0, tt.elapsed)
			if tt.f.Timeout != tt.want || !tt.f.Has.Is(flow.HasTimeout) {
				t.Errorf("timeout = %d (has %v), want %d", tt.f.Timeout, tt.f.Has.Is(flow.HasTimeout), tt.want)
			}
		})
	}
}

func TestAge(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout uint32
		elapsed int64
		want    uint32
	}{
		{"fresh", 30, 0, 30},
		{"aged", 432000, 1000 * second, 431000},
		{"perhaps refreshed, short timeout", 30, 29 * second, 30},
		{"perhaps refreshed, near its end", 120, 119 * second, 60},
		{"refreshed without event, short timeout", 30, 60 * second, 30},
		{"refreshed without event, long timeout", 432000, 500000 * second, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := udp(tt.timeout)
			Age(&f, 0, tt.elapsed)
			if f.Timeout != tt.want {
				t.Errorf("timeout = %d, want %d", f.Timeout, tt.want)
			}
		})
	}
	closing := tcp(flow.TCPTimeWait, 120)
	if Age(&closing, 0, 119*second); closing.Timeout != 1 {
		t.Errorf("a closed connection, which nothing refreshes: %d", closing.Timeout)
	}
}
