package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ctsync/daemon/control"
)

// restarting is a daemon that restarts when asked, is ready some requests later, and then hears its peer.
func restarting(did *atomic.Value) control.Backend {
	b := fakeDaemon("plain")
	var asked atomic.Int64 // since the restart; 0 = before it
	act, verbs := b.Action, []string{}
	b.Action = func(ctx context.Context, a control.Action, progress func(int, int)) (control.Result, error) {
		verbs = append(verbs, string(a.Verb))
		did.Store(strings.Join(verbs, " "))
		if a.Verb == control.Restart {
			asked.Store(1)
		}
		return act(ctx, a, progress)
	}
	b.Status = func(context.Context) (control.Status, error) {
		s := control.Status{Version: "1", PID: 7, Started: at(0), Ready: true, Established: true}
		if n := asked.Load(); n > 0 {
			asked.Add(1)
			s.Version, s.Started, s.Ready, s.Established = "2", at(60), n > 3, n > 5
		}
		return s, nil
	}
	return b
}

// What was true before the restart is not taken for what is true after it.
func TestRestartSteps(t *testing.T) {
	for _, flag := range []string{"", "--json"} {
		var did atomic.Value
		var out, errs bytes.Buffer
		args := append([]string{"--socket", serveFake(t, restarting(&did)), "restart"}, strings.Fields(flag)...)
		if code := run(context.Background(), args, time.Now(), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Fatalf("exit status %d: %s", code, errs.String())
		}
		if did.Load() != "restart request bulk" {
			t.Errorf("the daemon did %v", did.Load())
		}
		if flag == "" {
			text := out.String()
			if !strings.HasPrefix(text, "ctsyncd restarted: version 2, pid 7, ready after ") ||
				!strings.HasSuffix(text, "\nrequest: 2 flows (1ms)\nbulk: 2 flows (1ms)\n") {
				t.Errorf("%s", text)
			}
			continue
		}
		var r restarted
		err := json.Unmarshal(out.Bytes(), &r)
		if err != nil || !r.PeerAnswers || r.Bulk == nil || r.Bulk.Flows != 2 || r.Version != "2" {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

func TestRestartRefused(t *testing.T) {
	moved := fakeDaemon("plain")
	moved.Status = func(context.Context) (control.Status, error) {
		return control.Status{Started: at(0), NeedRestart: []string{"socket", "coalesce"}}, nil
	}
	for _, c := range []struct {
		socket, says string
		want         int
	}{
		{serveFake(t, moved), "another socket", exitFailed},
		{serveFake(t, fakeDaemon("refusing")), "a commit is running", exitFailed},
		{t.TempDir() + "/none", "not reachable", exitUnreachable},
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), []string{"--socket", c.socket, "restart"}, time.Now(), &out, &errs)
		if code != c.want || !strings.Contains(errs.String(), c.says) {
			t.Errorf("exit status %d, want %d and %q: %s", code, c.want, c.says, errs.String())
		}
	}
}
