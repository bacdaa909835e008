package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

func testMain(m *testing.M) { testscript.Main(m, map[string]func(){"ctsync": main}) }

// TestScripts runs testdata/script. The command "daemon NAME" serves a fake daemon at $CTSYNC_SOCKET: plain, empty (no
// flows), refusing (every request) or breaking (lists end half-way).
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("CTSYNC_SOCKET", filepath.Join(e.WorkDir, "ctsync.sock"))
			e.Setenv("TZ", "UTC")
			script, err := filepath.Abs("../../scripts/ctsync-notify")
			e.Setenv("NOTIFY_SCRIPT", script)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"daemon": daemonCmd},
	})
}

func daemonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: daemon plain|empty|refusing|breaking")
	}
	ln, err := control.Listen(context.Background(), ts.Getenv("CTSYNC_SOCKET"), "", slog.New(slog.DiscardHandler))
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		control.NewServer(fakeDaemon(args[0]), slog.New(slog.DiscardHandler)).Serve(ctx, ln)
	}()
	ts.Defer(func() { cancel(); <-done })
}

func fakeDaemon(kind string) control.Backend {
	refuse := func() error {
		if kind == "refusing" {
			return &control.Error{Code: control.CodeBusy, Message: "a commit is running", Hint: "try again\nlater"}
		}
		return nil
	}
	return control.Backend{
		Status: func(context.Context) (control.Status, error) {
			return control.Status{
				Version: "0.1", PID: 1, Mode: "ftfw", Started: at(0), Role: control.RoleMaster, SyncGroup: "GEFOEKOM",
				Interface: "eth0.5", Transport: control.TransportMulticast,
			}, refuse()
		},
		Statistics: func(context.Context) (control.Statistics, error) { return pageNumbers(), refuse() },
		Snapshot: func(context.Context) (control.Snapshot, error) {
			return control.Snapshot{Statistics: pageNumbers()}, refuse()
		},
		Transitions: func(context.Context) ([]control.Transition, error) { return sampleTransitions(), refuse() },
		Resend: func(context.Context) ([]control.Resend, error) {
			return []control.Resend{
				{Kind: control.ResendControl, Seq: 1795381300, Flags: 8},
				{Kind: control.ResendObject, Seq: 1795381301}, {Kind: control.ResendObject, Seq: 1795381304},
			}, refuse()
		},
		Notify: func(_ context.Context, n control.Notification) (control.Transition, error) {
			t := control.Transition{ID: 1, Type: n.Type, Group: n.Name, State: n.State, Outcome: control.OutcomeRunning}
			if n.Name == "other" {
				t.Outcome = control.OutcomeIgnored + "group other is not sync-group GEFOEKOM"
			}
			return t, refuse()
		},
		Action: func(_ context.Context, a control.Action, progress func(int, int)) (control.Result, error) {
			if err := refuse(); err != nil {
				return control.Result{}, err
			}
			progress(1, 2)
			r := control.Result{
				Summary: strings.TrimSpace(string(a.Verb)+" "+a.Cache) + ": 2 flows", Flows: 2,
				Duration: control.Duration(time.Millisecond),
			}
			if a.Verb == control.Commit {
				r.Commit = &control.CommitResult{
					Total: 2, Created: 1, Failed: 1, Named: []string{"tcp a > b: not restored: EEXIST"},
				}
			}
			return r, nil
		},
		Log: func(after uint64) control.LogPage {
			p := control.LogPage{Last: 1003} // of which the first three are forgotten
			for id := max(after, 1000) + 1; id <= p.Last; id++ {
				l := control.LogLine{ID: id, Time: at(int(id)), Level: "INFO", Text: "ready flows=3"}
				p.Lines = append(p.Lines, l)
			}
			return p
		},
		// There is one expectation in the external cache. Of the internal cache it says what a daemon without
		// expect-sync says.
		Expectations: func(
			_ context.Context, q control.FlowQuery, fn func(*flow.Expectation, control.Meta) error,
		) error {
			if q.Table == control.TableInternal {
				return &control.Error{
					Code: control.CodeDisabled, Message: "ExpectationSync is disabled",
					Hint: "set expect-sync in the configuration",
				}
			}
			return fn(&pageExpectation, control.Meta{Created: time.Now().Add(-2500 * time.Millisecond)})
		},
		Groups: func(_ context.Context, q control.FlowQuery) (control.Groups, error) { return pageGroups(q), refuse() },
		Differences: func(
			_ context.Context, q control.FlowQuery, fn func(*control.Difference, control.Meta) error,
		) (control.DifferenceCounts, error) {
			if q.Family == flow.IPv6 {
				return control.DifferenceCounts{Compared: 3}, refuse()
			}
			counts := control.DifferenceCounts{Compared: 3, Found: map[string]uint64{control.KernelOnly: 1}}
			return counts, errors.Join(refuse(), fn(pageDifference(), control.Meta{}))
		},
		Events: func(_ context.Context, q control.FlowQuery, fn func(*control.EventBatch) error) error {
			e := control.Event{At: at(0), Flow: *pageFlow(1, q.Table), Peer: q.Table == control.TableExternal}
			none, one := &control.EventBatch{}, &control.EventBatch{Events: []control.Event{e}, Lost: 4}
			return errors.Join(fn(none), fn(one))
		},
		Flows: func(_ context.Context, q control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
			if err := refuse(); err != nil || kind == "empty" || q.Family == flow.IPv6 {
				return err
			}
			n := 3
			if kind == "breaking" {
				n = 2000
			}
			shown := 0
			for i := range n {
				f := pageFlow(i, q.Table)
				if q.Filter != nil && !q.Filter.Match(f, flow.Ages{}) || q.Limit > 0 && shown == q.Limit {
					continue
				}
				shown++
				var m control.Meta
				if now := time.Now(); q.Table != control.TableKernel {
					m.Created, m.Updated = now.Add(-3500*time.Millisecond), now.Add(-1500*time.Millisecond)
				}
				if err := fn(f, m); err != nil {
					return err
				}
			}
			if kind == "breaking" {
				return errors.New("dump kernel table: interrupted")
			}
			return nil
		},
	}
}

// pageGroups returns the flows of the page by port, for the kernel's table with packets and bytes.
func pageGroups(q control.FlowQuery) control.Groups {
	g := control.Groups{By: q.Group, Count: control.Count{Flows: 15}, Groups: []control.Group{
		{Key: "tcp/22", Count: control.Count{Flows: 10}}, {Key: "icmp", Count: control.Count{Flows: 2}},
	}}
	if q.Table == control.TableKernel {
		g.Packets, g.Bytes, g.Groups[0].Packets, g.Groups[0].Bytes = 1000, 123456789, 999, 123456700
	}
	if q.Limit > 0 {
		g.OtherCount, g.Other, g.Unnamed = 2, control.Count{Flows: 2}, control.Count{Flows: 1}
	}
	return g
}

func ipv4(p flow.Proto, src, dst flow.Addr, sport, dport uint16) flow.Tuple {
	return flow.Tuple{Family: flow.IPv4, Proto: p, Src: src, Dst: dst, SrcPort: sport, DstPort: dport}
}

// pageDifference is a flow that only the kernel has.
func pageDifference() *control.Difference {
	return &control.Difference{What: control.KernelOnly, Kernel: pageFlow(0, control.TableKernel)}
}

// pageFlow returns a flow of the reference page: an established TCP, a UDP or an ICMP flow.
func pageFlow(i int, table control.Table) *flow.Flow {
	f := &flow.Flow{Has: flow.HasStatus | flow.HasTimeout, Status: flow.StatusSeenReply, Timeout: 29}
	switch i % 3 {
	case 0:
		f.Orig = ipv4(flow.TCP, flow.Addr{10, 35, 100, 87}, flow.Addr{172, 31, 20, 12}, 58172, 22)
		f.Has |= flow.HasTCPState
		f.TCPState, f.Timeout, f.ID, f.Status = 3, 430279, 1015736576, flow.StatusSeenReply|flow.StatusAssured
	case 1:
		f.Orig = ipv4(flow.UDP, flow.Addr{172, 31, 20, 12}, flow.Addr{239, 10, 10, 14}, 60286, 694)
		f.ID = 1015734272
	case 2:
		f.Orig = ipv4(flow.ICMP, flow.Addr{10, 100, 68, 100}, flow.Addr{172, 31, 120, 21}, 5, 8<<8)
		f.ID = 1006237088
	}
	if table != control.TableExternal {
		f.Has |= flow.HasReply | flow.HasID
		f.Reply = f.Orig.Inverse()
	}
	return f
}

// printed returns what a command prints about a fake daemon.
func printed(t *testing.T, b control.Backend, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"--socket", serveFake(t, b)}, args...)
	if code := run(context.Background(), args, time.Now(), &out, &errs); code != exitDone || errs.Len() > 0 {
		t.Fatalf("%s: exit status %d: %s", args, code, errs.String())
	}
	return out.Bytes()
}

// A table looks as on the page: legend, heading and rows.
func TestTableLayout(t *testing.T) {
	b := fakeDaemon("plain")
	b.Flows = func(_ context.Context, _ control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
		for _, f := range pageFlows() {
			if err := fn(&f, control.Meta{}); err != nil {
				return err
			}
		}
		return nil
	}
	text := printed(t, b, "show", "table", "ipv4")
	page(t, pageTable, text)
	golden(t, "table", text)
}

// pageFlows are the six flows of the page.
func pageFlows() []flow.Flow {
	mk := func(id uint32, src, dst flow.Addr, sport, dport uint16, p flow.Proto, timeout uint32) flow.Flow {
		f := flow.Flow{ID: id, Timeout: timeout, Status: flow.StatusSeenReply}
		f.Has = flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasID
		f.Orig = ipv4(p, src, dst, sport, dport)
		if p == flow.TCP {
			f.Has |= flow.HasTCPState
			f.TCPState = 3
		}
		f.Reply = f.Orig.Inverse()
		return f
	}
	return []flow.Flow{
		mk(1015736576, flow.Addr{10, 35, 100, 87}, flow.Addr{172, 31, 20, 12}, 58172, 22, flow.TCP, 430279),
		mk(1006235648, flow.Addr{10, 35, 101, 221}, flow.Addr{172, 31, 120, 21}, 57483, 22, flow.TCP, 413310),
		mk(1006237088, flow.Addr{10, 100, 68, 100}, flow.Addr{172, 31, 120, 21}, 77, 8<<8, flow.ICMP, 29),
		mk(1015734848, flow.Addr{10, 35, 100, 87}, flow.Addr{172, 31, 20, 12}, 56282, 22, flow.TCP, 300),
		mk(1015734272, flow.Addr{172, 31, 20, 12}, flow.Addr{239, 10, 10, 14}, 60286, 694, flow.UDP, 29),
		mk(1006239392, flow.Addr{10, 35, 101, 221}, flow.Addr{172, 31, 120, 21}, 78, 8<<8, flow.ICMP, 29),
	}
}

// slowWriter blocks until it is released.
type slowWriter struct {
	release chan struct{}
	n       int
}

func (w *slowWriter) Write(b []byte) (int, error) {
	<-w.release
	w.n += len(b)
	return len(b), nil
}

// spool reads the list to its end before anything is written.
func TestSpoolReadsAhead(t *testing.T) {
	const size = 10 << 20
	r, pw := io.Pipe()
	read := make(chan struct{})
	go func() {
		chunk := make([]byte, 4096)
		for range size / len(chunk) {
			pw.Write(chunk)
		}
		pw.Close()
		close(read)
	}()
	w := &slowWriter{release: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		n, err := spool(w, r)
		if n != size || w.n != size {
			err = errors.Join(err, errors.New("not all was written"))
		}
		done <- err
	}()
	select {
	case <-read:
	case <-time.After(20 * time.Second):
		t.Fatal("reading waits for writing")
	}
	close(w.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestSpoolErrors(t *testing.T) {
	if _, err := spool(failingWriter{}, strings.NewReader("text")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write error: %v", err)
	}
	broken := errors.New("broke off")
	var out bytes.Buffer
	n, err := spool(&out, io.MultiReader(strings.NewReader("text"), errReader{broken}))
	if !errors.Is(err, broken) || n != 4 {
		t.Errorf("read error: %d, %v", n, err)
	}
	if n, err := spool(&out, strings.NewReader("")); n != 0 || err != nil {
		t.Errorf("empty: %d, %v", n, err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// pageExpectation is of a passive FTP data connection.
var pageExpectation = flow.Expectation{
	Has:    flow.HasMaster | flow.HasMask | flow.HasClass | flow.HasHelper,
	Expect: ipv4(flow.TCP, flow.Addr{10, 0, 1, 2}, flow.Addr{10, 0, 2, 2}, 0, 50185),
	Mask:   ipv4(flow.TCP, flow.Addr{255, 255, 255, 255}, flow.Addr{255, 255, 255, 255}, 0, 65535),
	Master: ipv4(flow.TCP, flow.Addr{10, 0, 1, 2}, flow.Addr{10, 0, 2, 2}, 42021, 21),
	Helper: [16]byte{'f', 't', 'p'},
}

// The columns of the IPv6 table are wide enough for the longest addresses.
func TestTableLayoutIPv6(t *testing.T) {
	b := fakeDaemon("plain")
	b.Flows = func(_ context.Context, q control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
		if q.Family != flow.IPv6 {
			t.Errorf("family %v was asked for", q.Family)
		}
		for i, proto := range []flow.Proto{flow.TCP, flow.UDP, flow.ICMPv6} {
			f := flow.Flow{Has: flow.HasTimeout | flow.HasID, ID: uint32(1015734848 + i), Timeout: 300}
			f.Orig = flow.Tuple{Family: flow.IPv6, Proto: proto, SrcPort: 58172, DstPort: 22}
			f.Orig.Src = flow.Addr{0xfd, 15: 1}
			for j := range f.Orig.Dst {
				f.Orig.Dst[j] = 0xfd
			}
			if proto == flow.TCP {
				f.Has, f.TCPState = f.Has|flow.HasTCPState, flow.TCPEstablished
			}
			if err := fn(&f, control.Meta{}); err != nil {
				return err
			}
		}
		return nil
	}
	golden(t, "table-ipv6", printed(t, b, "show", "table", "ipv6"))
}
