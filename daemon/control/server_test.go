package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	c := start(t, fake())
	ctx := context.Background()
	if got, err := c.Status(ctx); err != nil || !cmp.Equal(sampleStatus, got) {
		t.Errorf("status: %v\n%s", err, cmp.Diff(sampleStatus, got))
	}
	if got, err := c.Statistics(ctx); err != nil || !cmp.Equal(sampleStatistics, got) {
		t.Errorf("statistics: %v\n%s", err, cmp.Diff(sampleStatistics, got))
	}
	both := Snapshot{Status: sampleStatus, Statistics: sampleStatistics}
	if got, err := c.Snapshot(ctx); err != nil || !cmp.Equal(both, got) {
		t.Errorf("snapshot: %v\n%s", err, cmp.Diff(both, got))
	}
	want := []Transition{sampleTransition}
	if got, err := c.Transitions(ctx); err != nil || !cmp.Equal(want, got) {
		t.Errorf("transitions: %v\n%s", err, cmp.Diff(want, got))
	}
}

func TestNotify(t *testing.T) {
	c := start(t, fake())
	n := Notification{Type: TypeGroup, Name: "g", State: StateMaster, Source: "test"}
	before, began := Boottime(), time.Now()
	got, err := c.Notify(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("test pid=%d uid=%d", os.Getpid(), os.Getuid()); got.Source != want {
		t.Errorf("source %q, want %q", got.Source, want)
	}
	if got.Boottime < before || got.Boottime > Boottime() {
		t.Errorf("boottime %d was not filled in", got.Boottime)
	}
	if got.Sent.Before(began.Round(0)) || time.Since(got.Sent) > time.Minute {
		t.Errorf("time %v was not filled in", got.Sent)
	}
	for name, spoil := range map[string]func(*Notification){
		"type":       func(n *Notification) { n.Type = "group" },
		"state":      func(n *Notification) { n.State = "master" },
		"no state":   func(n *Notification) { n.State = "" },
		"long state": func(n *Notification) { n.State = State(strings.Repeat("A", 33)) },
		"long name":  func(n *Notification) { n.Name = strings.Repeat("a", 256) },
		"name":       func(n *Notification) { n.Name = "a\nb" },
		"escape":     func(n *Notification) { n.Source = "\x1b[2J" },
		"instance":   func(n *Notification) { n.Type, n.Name = TypeInstance, "" },
	} {
		bad := n
		spoil(&bad)
		if _, err := c.Notify(context.Background(), bad); !hasCode(err, CodeBadRequest) {
			t.Errorf("bad %s: %v", name, err)
		}
	}
}

func hasCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

func TestActions(t *testing.T) {
	c := start(t, fake())
	for _, a := range []Action{
		{Verb: Commit}, {Verb: Flush}, {Verb: Flush, Cache: CacheInternal}, {Verb: Flush, Cache: CacheExternal}, {Verb: Resync},
		{Verb: Bulk}, {Verb: Request}, {Verb: Purge}, {Verb: Reset, Cache: CacheInternal}, {Verb: Reset, Cache: CacheExternal},
	} {
		var done, total int
		got, err := c.Action(context.Background(), a, func(d, t int) { done, total = d, t })
		if want := (Result{Summary: string(a.Verb) + " " + a.Cache, Flows: 2}); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%v: %+v, %v", a, got, err)
		}
		if done != 1 || total != 2 {
			t.Errorf("%v: progress %d of %d", a, done, total)
		}
	}
	for _, a := range []Action{
		{}, {Verb: "explode"}, {Verb: Commit, Cache: CacheInternal}, {Verb: Flush, Cache: "kernel"}, {Verb: Reset},
	} {
		if _, err := c.Action(context.Background(), a, nil); !hasCode(err, CodeBadRequest) {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// An action can fail before it made progress, when the answer has no status yet, and after.
func TestActionFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		b := fake()
		b.Action = func(_ context.Context, _ Action, progress func(int, int)) (Result, error) {
			if after {
				progress(5, 10)
			}
			return Result{}, &Error{Code: CodeBusy, Message: "a commit is running", Hint: "wait"}
		}
		_, err := start(t, b).Action(context.Background(), Action{Verb: Commit}, nil)
		if !hasCode(err, CodeBusy) || err.Error() != "a commit is running: wait" {
			t.Errorf("after progress %v: %v", after, err)
		}
	}
}

// The daemon finishes what it began although the client went away, and a client that does not read costs it little.
func TestActionOutlivesItsClient(t *testing.T) {
	begun, finished := make(chan struct{}), make(chan error, 1)
	b := fake()
	b.Action = func(ctx context.Context, _ Action, progress func(int, int)) (Result, error) {
		progress(1, 10)
		close(begun)
		for i := range 5 {
			time.Sleep(progressEvery)
			progress(i, 10)
		}
		finished <- ctx.Err()
		return Result{}, nil
	}
	c := start(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-begun; cancel() }()
	if _, err := c.Action(ctx, Action{Verb: Commit}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v", err)
	}
	select {
	case err := <-finished:
		if err != nil {
			t.Errorf("the action was cancelled: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the action did not finish")
	}
}

func TestRefusals(t *testing.T) {
	b := fake()
	b.Status = func(context.Context) (Status, error) { return Status{}, errors.New("core: loop has ended") }
	c := start(t, b)
	if _, err := c.Status(context.Background()); !hasCode(err, CodeInternal) || err.Error() != "core: loop has ended" {
		t.Errorf("plain error: %v", err)
	}
	for _, r := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/", "", 404, "not part of this API"},
		{"GET", "/v2/status", "", 404, "not part of this API"},
		{"GET", "/v1/status/", "", 404, "not part of this API"},
		{"GET", "//v1/status", "", 404, "not part of this API"},
		{"GET", "/v1/../v1/status", "", 404, "not part of this API"},
		{"GET", "/metrics", "", 404, "not part of this API"}, // this backend has none
		{"POST", "/v1/status", "", 405, "use GET"},
		{"DELETE", "/v1/flows?table=internal", "", 405, "use GET"},
		{"GET", "/v1/notify", "", 405, "use POST"},
		{"HEAD", "/v1/actions", "", 405, ""},
		{"BREW", "/v1/actions", "", 405, "use POST"},
		{"GET", "/v1/status?verbose=1", "", 400, "this call has none"},
		{"GET", "/v1/flows?table=internal&tabel=kernel", "", 400, `unknown query parameter "tabel": want one of table, `},
		{"GET", "/v1/flows?table=internal&table=kernel", "", 400, "given 2 times"},
		{"GET", "/v1/flows?table=internal;sort=age", "", 400, "query: "},
		{"GET", "/v1/flows?table=%zz", "", 400, "query: "},
		{"POST", "/v1/actions?verb=flush", `{"verb":"flush"}`, 400, "unknown query parameter"},
		{"POST", "/v1/actions", `{"verb":"` + strings.Repeat("x", maxBody), 413, "larger than"},
		{"POST", "/v1/notify", "", 400, "EOF"},
		{"POST", "/v1/notify", "garbage", 400, "invalid character"},
		{"POST", "/v1/notify", `{"type":"GROUP","state":"MASTER","sate":1}`, 400, "unknown field"},
		{"POST", "/v1/notify", `{} {}`, 400, "more follows"},
		{"POST", "/v1/notify", strings.Repeat(" ", maxBody+1) + "{}", 413, "larger than"},
		{"POST", "/v1/actions", `{"verb":"explode"}`, 400, "unknown verb"},
		{"GET", "/v1/flows", "", 400, "kernel, internal or external"},
		{"GET", "/v1/flows?table=kernel&family=ipx", "", 400, "ipv4 or ipv6"},
		{"GET", "/v1/flows?table=kernel&format=yaml", "", 400, "format"},
		{"GET", "/v1/flows?table=kernel&sort=idle&limit=5", "", 400, "how long a flow is idle"},
		{"GET", "/v1/flows?table=internal&sort=age", "", 400, "1 to 10000"},
		{"GET", "/v1/flows?table=internal&sort=age&limit=10001", "", 400, "1 to 10000"},
		{"GET", "/v1/flows?table=internal&sort=beauty&limit=5", "", 400, "sort"},
		{"GET", "/v1/flows?table=internal&skip=-1", "", 400, "skip"},
		{"GET", "/v1/flows?table=internal&desc=perhaps", "", 400, "desc"},
	} {
		req, err := http.NewRequest(r.method, "http://ctsync"+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", r.method, r.path, err)
			continue
		}
		rerr := readError(resp)
		resp.Body.Close()
		if r.method == "HEAD" { // has no body
			rerr = &Error{Code: codeOf(resp.StatusCode)}
		}
		var e *Error
		got := resp.StatusCode
		if got != r.status || !errors.As(rerr, &e) || !strings.Contains(e.Error(), r.says) || status[e.Code] != got {
			t.Errorf("%s %s %.40s: %d, %v; want %d, %q", r.method, r.path, r.body, got, rerr, r.status, r.says)
		}
		if allow := resp.Header.Get("Allow"); (r.status == http.StatusMethodNotAllowed) != (allow != "") {
			t.Errorf("%s %s: Allow: %q", r.method, r.path, allow)
		}
	}
}

// codeOf is the code that a status stands for.
func codeOf(statusCode int) Code {
	for code, s := range status {
		if s == statusCode {
			return code
		}
	}
	return ""
}

func TestDuration(t *testing.T) {
	for d, want := range map[Duration]string{
		0: "0", Duration(time.Second): "1", Duration(351 * time.Millisecond): "0.351", 1: "0.000000001",
	} {
		b, err := d.MarshalJSON()
		if err != nil || string(b) != want {
			t.Errorf("%d: %s, %v", d, b, err)
		}
		var back Duration
		if err := back.UnmarshalJSON(b); err != nil || back != d {
			t.Errorf("%s: %d, %v", b, back, err)
		}
	}
	if (new(Duration)).UnmarshalJSON([]byte(`"1s"`)) == nil {
		t.Error("a string was taken")
	}
}
