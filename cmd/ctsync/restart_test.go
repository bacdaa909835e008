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

// reborn is a daemon that begins anew when it is told to, is ready some requests later and then hears its peer.
func reborn(did *atomic.Value) control.Backend {
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

// What was true of the former life is not taken for the new one's.
func TestRestartSteps(t *testing.T) {
	for _, flag := range []string{"", "--json"} {
		var did atomic.Value
		var out, errs bytes.Buffer
		args := append([]string{"--socket", serveFake(t, reborn(&did)), "restart"}, strings.Fields(flag)...)
		if code := run(context.Background(), args, time.Now(), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Fatalf("exit status %d: %s", code, errs.String())
		}
		if did.Load() != "restart request bulk" {
			t.Errorf("the daemon did %v", did.Load())
		}
		if flag == "" {
			if !strings.HasPrefix(out.String(), "ctsyncd 2 runs anew, pid 7, ready after ") || !strings.HasSuffix(out.String(), "\nrequest: 2 flows (1ms)\nbulk: 2 flows (1ms)\n") {
				t.Errorf("%s", out.String())
			}
			continue
		}
		var r restarted
		if err := json.Unmarshal(out.Bytes(), &r); err != nil || !r.PeerAnswers || r.Bulk == nil || r.Bulk.Flows != 2 || r.Version != "2" {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

func TestRestartRefused(t *testing.T) {
	var out, errs bytes.Buffer
	moved := fakeDaemon("plain")
	moved.Status = func(context.Context) (control.Status, error) {
		return control.Status{Started: at(0), NeedRestart: []string{"socket", "coalesce"}}, nil
	}
	if code := run(context.Background(), []string{"--socket", serveFake(t, moved), "restart"}, time.Now(), &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "another socket") {
		t.Errorf("a daemon that moves its socket: exit status %d: %s", code, errs.String())
	}
	if code := run(context.Background(), []string{"--socket", serveFake(t, fakeDaemon("refusing")), "restart"}, time.Now(), &out, &errs); code != exitFailed {
		t.Errorf("exit status %d: %s", code, errs.String())
	}
	if code := run(context.Background(), []string{"--socket", t.TempDir() + "/none", "restart"}, time.Now(), &out, &errs); code != exitUnreachable {
		t.Errorf("exit status %d without a daemon: %s", code, errs.String())
	}
}
