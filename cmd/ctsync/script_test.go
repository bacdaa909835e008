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
	ln, err := control.Listen(ts.Getenv("CTSYNC_SOCKET"), "")
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
			return control.Status{Version: "0.1", PID: 1, Mode: "ftfw", Started: at(0), Role: control.RoleMaster, SyncGroup: "GEFOEKOM", Interface: "eth0.5", Transport: control.TransportMulticast}, refuse()
		},
		Statistics: func(context.Context) (control.Statistics, error) { return pageNumbers(), refuse() },
		Snapshot: func(context.Context) (control.Snapshot, error) {
			return control.Snapshot{Statistics: pageNumbers()}, refuse()
		},
		Transitions: func(context.Context) ([]control.Transition, error) { return sampleTransitions(), refuse() },
		Resend: func(context.Context) ([]control.Resend, error) {
			return []control.Resend{{Kind: control.ResendControl, Seq: 1795381300, Flags: 8}, {Kind: control.ResendObject, Seq: 1795381301}, {Kind: control.ResendObject, Seq: 1795381304}}, refuse()
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
			r := control.Result{Summary: strings.TrimSpace(string(a.Verb)+" "+a.Cache) + ": 2 flows", Flows: 2, Duration: control.Duration(time.Millisecond)}
			if a.Verb == control.Commit {
				r.Commit = &control.CommitResult{Total: 2, Created: 1, Failed: 1, Named: []string{"tcp a > b: not restored: EEXIST"}}
			}
			return r, nil
		},
		Log: func(after uint64) control.LogPage {
			p := control.LogPage{Last: 1003} // of which the first three are forgotten
			for id := max(after, 1000) + 1; id <= p.Last; id++ {
				p.Lines = append(p.Lines, control.LogLine{ID: id, Time: at(int(id)), Level: "INFO", Text: "ready flows=3"})
			}
			return p
		},
		// One expectation in the external cache; about the internal one this daemon speaks as while expect-sync is off.
		Expectations: func(_ context.Context, q control.FlowQuery, fn func(*flow.Expectation, control.Meta) error) error {
			if q.Table == control.TableInternal {
				return &control.Error{Code: control.CodeDisabled, Message: "ExpectationSync is disabled", Hint: "set expect-sync in the configuration"}
			}
			return fn(&pageExpectation, control.Meta{Created: time.Now().Add(-2500 * time.Millisecond)})
		},
		Groups: func(_ context.Context, q control.FlowQuery) (control.Groups, error) { return pageGroups(q), refuse() },
		Differences: func(_ context.Context, q control.FlowQuery, fn func(*control.Difference, control.Meta) error) (control.DifferenceCounts, error) {
			if q.Family == flow.IPv6 {
				return control.DifferenceCounts{Compared: 3}, refuse()
			}
			counts := control.DifferenceCounts{Compared: 3, Found: map[string]uint64{control.KernelOnly: 1}}
			return counts, errors.Join(refuse(), fn(&control.Difference{What: control.KernelOnly, Kernel: pageFlow(0, control.TableKernel)}, control.Meta{}))
		},
		Events: func(_ context.Context, q control.FlowQuery, fn func(*control.EventBatch) error) error {
			return errors.Join(fn(&control.EventBatch{}), fn(&control.EventBatch{Events: []control.Event{{At: at(0), Flow: *pageFlow(1, q.Table), Peer: q.Table == control.TableExternal}}, Lost: 4}))
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
				if q.Table != control.TableKernel {
					m.Created, m.Updated = time.Now().Add(-3500*time.Millisecond), time.Now().Add(-1500*time.Millisecond)
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

// pageGroups are the flows of the page by port, of the kernel with what they carried.
func pageGroups(q control.FlowQuery) control.Groups {
	g := control.Groups{By: q.Group, Count: control.Count{Flows: 15}, Groups: []control.Group{{Key: "tcp/22", Count: control.Count{Flows: 10}}, {Key: "icmp", Count: control.Count{Flows: 2}}}}
	if q.Table == control.TableKernel {
		g.Packets, g.Bytes, g.Groups[0].Packets, g.Groups[0].Bytes = 1000, 123456789, 999, 123456700
	}
	if q.Limit > 0 {
		g.OtherCount, g.Other, g.Unnamed = 2, control.Count{Flows: 2}, control.Count{Flows: 1}
	}
	return g
}

// pageFlow returns a flow of the reference page: an established TCP, a UDP or an ICMP one.
func pageFlow(i int, table control.Table) *flow.Flow {
	f := &flow.Flow{Has: flow.HasStatus | flow.HasTimeout, Status: flow.StatusSeenReply, Timeout: 29}
	switch i % 3 {
	case 0:
		f.Orig = flow.Tuple{Src: flow.Addr{10, 35, 100, 87}, Dst: flow.Addr{172, 31, 20, 12}, SrcPort: 58172, DstPort: 22, Family: flow.IPv4, Proto: flow.TCP}
		f.Has |= flow.HasTCPState
		f.TCPState, f.Timeout, f.ID, f.Status = 3, 430279, 1015736576, flow.StatusSeenReply|flow.StatusAssured
	case 1:
		f.Orig = flow.Tuple{Src: flow.Addr{172, 31, 20, 12}, Dst: flow.Addr{239, 10, 10, 14}, SrcPort: 60286, DstPort: 694, Family: flow.IPv4, Proto: flow.UDP}
		f.ID = 1015734272
	case 2:
		f.Orig = flow.Tuple{Src: flow.Addr{10, 100, 68, 100}, Dst: flow.Addr{172, 31, 120, 21}, SrcPort: 5, DstPort: 8 << 8, Family: flow.IPv4, Proto: flow.ICMP}
		f.ID = 1006237088
	}
	if table != control.TableExternal {
		f.Has |= flow.HasReply | flow.HasID
		f.Reply = f.Orig.Inverse()
	}
	return f
}

// The rows of a table follow the page, too: heading, legend and rows as one.
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
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"--socket", serveFake(t, b), "show", "table", "ipv4"}, time.Now(), &out, &errs); code != 0 {
		t.Fatalf("exit status %d: %s", code, errs.String())
	}
	page(t, pageTable, out.Bytes())
	golden(t, "table", out.Bytes())
}

// pageFlows are the six flows of the page.
func pageFlows() []flow.Flow {
	mk := func(id uint32, src, dst [4]byte, sport, dport uint16, p flow.Proto, timeout uint32) flow.Flow {
		f := flow.Flow{Has: flow.HasReply | flow.HasStatus | flow.HasTimeout | flow.HasID, ID: id, Timeout: timeout, Status: flow.StatusSeenReply}
		f.Orig = flow.Tuple{SrcPort: sport, DstPort: dport, Family: flow.IPv4, Proto: p}
		copy(f.Orig.Src[:], src[:])
		copy(f.Orig.Dst[:], dst[:])
		if p == flow.TCP {
			f.Has |= flow.HasTCPState
			f.TCPState = 3
		}
		f.Reply = f.Orig.Inverse()
		return f
	}
	return []flow.Flow{
		mk(1015736576, [4]byte{10, 35, 100, 87}, [4]byte{172, 31, 20, 12}, 58172, 22, flow.TCP, 430279),
		mk(1006235648, [4]byte{10, 35, 101, 221}, [4]byte{172, 31, 120, 21}, 57483, 22, flow.TCP, 413310),
		mk(1006237088, [4]byte{10, 100, 68, 100}, [4]byte{172, 31, 120, 21}, 77, 8<<8, flow.ICMP, 29),
		mk(1015734848, [4]byte{10, 35, 100, 87}, [4]byte{172, 31, 20, 12}, 56282, 22, flow.TCP, 300),
		mk(1015734272, [4]byte{172, 31, 20, 12}, [4]byte{239, 10, 10, 14}, 60286, 694, flow.UDP, 29),
		mk(1006239392, [4]byte{10, 35, 101, 221}, [4]byte{172, 31, 120, 21}, 78, 8<<8, flow.ICMP, 29),
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

// The list is read to its end although nothing is written yet.
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
	if n, err := spool(&out, io.MultiReader(strings.NewReader("text"), errReader{broken})); !errors.Is(err, broken) || n != 4 {
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
	Expect: flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{10, 0, 1, 2}, Dst: flow.Addr{10, 0, 2, 2}, DstPort: 50185},
	Mask:   flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{255, 255, 255, 255}, Dst: flow.Addr{255, 255, 255, 255}, DstPort: 65535},
	Master: flow.Tuple{Family: flow.IPv4, Proto: flow.TCP, Src: flow.Addr{10, 0, 1, 2}, Dst: flow.Addr{10, 0, 2, 2}, SrcPort: 42021, DstPort: 21},
	Helper: [16]byte{'f', 't', 'p'},
}

// The columns of IPv6 are wide enough for the longest addresses, under the same legend.
func TestTableLayoutIPv6(t *testing.T) {
	b := fakeDaemon("plain")
	b.Flows = func(_ context.Context, q control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
		if q.Family != flow.IPv6 {
			t.Errorf("family %v was asked for", q.Family)
		}
		for i, proto := range []flow.Proto{flow.TCP, flow.UDP, flow.ICMPv6} {
			f := flow.Flow{Has: flow.HasTimeout | flow.HasID, ID: uint32(1015734848 + i), Timeout: 300}
			f.Orig = flow.Tuple{Family: flow.IPv6, Proto: proto, SrcPort: 58172, DstPort: 22, Src: flow.Addr{0xfd, 15: 1}}
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
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"--socket", serveFake(t, b), "show", "table", "ipv6"}, time.Now(), &out, &errs); code != 0 {
		t.Fatalf("exit status %d: %s", code, errs.String())
	}
	golden(t, "table-ipv6", out.Bytes())
}
