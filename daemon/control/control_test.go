package control

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"ctsync/daemon/flow"
)

// fake is a Backend with answers of a fixed shape; a test replaces what it is about.
func fake() Backend {
	return Backend{
		Status:     func(context.Context) (Status, error) { return sampleStatus, nil },
		Statistics: func(context.Context) (Statistics, error) { return sampleStatistics, nil },
		Snapshot: func(context.Context) (Snapshot, error) {
			return Snapshot{Status: sampleStatus, Statistics: sampleStatistics}, nil
		},
		Transitions: func(context.Context) ([]Transition, error) { return []Transition{sampleTransition}, nil },
		Resend: func(context.Context) ([]Resend, error) {
			return []Resend{
				{Kind: ResendControl, Seq: 1795381300, Flags: 8},
				{Kind: ResendObject, Seq: 1795381301}, {Kind: ResendObject, Seq: 1795381304},
			}, nil
		},
		Notify: func(_ context.Context, n Notification) (Transition, error) {
			return Transition{
				ID: 1, Type: n.Type, Group: n.Name, State: n.State, Source: n.Source, Sent: n.At, Boottime: n.Boottime,
				Outcome: OutcomeRunning,
			}, nil
		},
		Action: func(_ context.Context, a Action, progress func(int, int)) (Result, error) {
			progress(1, 2)
			return Result{Summary: string(a.Verb) + " " + a.Cache, Flows: 2}, nil
		},
		Flows: func(_ context.Context, q FlowQuery, fn func(*flow.Flow, Meta) error) error {
			for i := range 3 {
				if err := fn(sampleFlow(i), Meta{}); err != nil {
					return err
				}
			}
			return nil
		},
		Log: func(after uint64) LogPage {
			p := LogPage{Last: 2}
			for id := after + 1; id <= p.Last; id++ {
				at := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
				p.Lines = append(p.Lines, LogLine{ID: id, Time: at, Level: "INFO", Text: "ready flows=3"})
			}
			return p
		},
		Expectations: func(_ context.Context, q FlowQuery, fn func(*flow.Expectation, Meta) error) error {
			return fn(&sampleExpectation, Meta{Created: time.Now().Add(-2500 * time.Millisecond)})
		},
	}
}

// sampleExpectation is the first of vectors/cli/dump-internal.txt.
var sampleExpectation = flow.Expectation{
	Has: flow.HasMaster | flow.HasMask | flow.HasClass | flow.HasHelper,
	Expect: flow.Tuple{
		Family: flow.IPv4, Proto: flow.TCP, DstPort: 50185,
		Src: flow.Addr{10, 0, 1, 2}, Dst: flow.Addr{10, 0, 2, 2},
	},
	Mask: flow.Tuple{
		Family: flow.IPv4, Proto: flow.TCP, DstPort: 65535,
		Src: flow.Addr{255, 255, 255, 255}, Dst: flow.Addr{255, 255, 255, 255},
	},
	Master: flow.Tuple{
		Family: flow.IPv4, Proto: flow.TCP, SrcPort: 42021, DstPort: 21,
		Src: flow.Addr{10, 0, 1, 2}, Dst: flow.Addr{10, 0, 2, 2},
	},
	Helper: [16]byte{'f', 't', 'p'},
}

var (
	sampleTransition = Transition{
		ID: 3, Type: TypeGroup, Group: "syncgrp", State: StateMaster, Source: "notify pid=1 uid=0", Outcome: OutcomeDone,
		Sent: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), Received: time.Date(2026, 11, 23, 1, 2, 3, 5e6, time.UTC), Boottime: 99,
		Commit: &CommitResult{
			Total: 3, Created: 2, Failed: 1, Errors: map[string]uint64{"EEXIST": 1}, Named: []string{"tcp 1 2"},
			Duration: Duration(350 * time.Millisecond),
		},
	}
	sampleStatus = Status{
		Version: "1", PID: 12, Mode: "ftfw", Role: RoleMaster, SyncGroup: "syncgrp", Interface: "eth0.5", Transport: TransportMulticast,
		Why: []string{"no hello"}, Started: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), LastTransition: &sampleTransition,
	}
	sampleStatistics = Statistics{
		Internal: CacheStats{Active: 19606, Created: 6298470}, Tracking: Tracking{Malformed: Malformed{BadHeader: 2, BadSize: 1}, Lost: 263},
		Links: []LinkStatistics{{Transport: TransportUDP, Role: LinkActive, Dropped: map[string]uint64{"wrong source": 4}}},
	}
)

func sampleFlow(i int) *flow.Flow {
	f := &flow.Flow{
		Has:      flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasTCPState | flow.HasID,
		TCPState: 3, Timeout: 300, ID: uint32(1015734848 + i),
	}
	f.Orig = flow.Tuple{
		Family: flow.IPv4, Proto: flow.TCP, SrcPort: 56282, DstPort: 22,
		Src: flow.Addr{10, 35, 100, 87}, Dst: flow.Addr{172, 31, 20, 12},
	}
	f.Orig.SrcPort += uint16(i)
	f.Reply = f.Orig.Inverse()
	f.Status = flow.StatusSeenReply | flow.StatusAssured
	return f
}

// quietLog is a log that nobody reads.
var quietLog = slog.New(slog.DiscardHandler)

// start serves b on a socket of its own until the test ends and returns a client of it.
func start(t testing.TB, b Backend, set ...func(*Server)) *Client {
	t.Helper()
	ln, err := Listen(t.Context(), filepath.Join(t.TempDir(), "s"), "", quietLog)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, b, set...)
	c := New(ln.Addr().String())
	t.Cleanup(c.Close)
	return c
}

// serveOn serves b on ln until the test ends, with shorter timeouts than the daemon has.
func serveOn(t testing.TB, ln net.Listener, b Backend, set ...func(*Server)) *Server {
	t.Helper()
	s := NewServer(b, quietLog)
	for _, f := range set {
		f(s)
	}
	s.headerTimeout, s.requestTimeout, s.streamTimeout = 300*time.Millisecond, 600*time.Millisecond, 3*time.Second
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("server does not end")
		}
	})
	return s
}
