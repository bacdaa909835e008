package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

// How long a restart waits for what, and how often it looks.
const (
	restartWait = 60 * time.Second // for the daemon, which first reads the kernel's table
	peerWait    = 10 * time.Second // for the peer, which says something every second
	restartPoll = 50 * time.Millisecond
)

// restarted is what a restart came to, for JSON.
type restarted struct {
	Version     string           `json:"version"`
	PID         int              `json:"pid"`
	Ready       control.Duration `json:"ready_seconds"` // from the command to readiness
	PeerAnswers bool             `json:"peer_answers"`  // otherwise neither of the following was tried
	Request     *control.Result  `json:"request,omitempty"`
	Bulk        *control.Result  `json:"bulk,omitempty"`
}

// restart is VyOS's "restart conntrack-sync".
func (a *app) restart() *cobra.Command {
	return &cobra.Command{
		Use: "restart", Short: "Restart the daemon, ask for the peer's table and send ours", Args: none,
		Long: `Restart the daemon in its process, by the program that is on disk now; then ask for the peer's table and send ours.
A configuration that the program does not accept refuses the restart and changes nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				p := newProgress(a.stderr, "restart")
				r, err := restartPair(ctx, c, p)
				p.clear()
				switch {
				case err != nil && ctx.Err() != nil:
					fmt.Fprintln(a.stderr, "ctsync: restart: interrupted here; the daemon finishes what it began")
					return ctx.Err()
				case err != nil:
					return fmt.Errorf("restart: %w", err)
				}
				if a.json {
					return a.printJSON(r)
				}
				return a.print(appendRestarted(nil, r))
			})
		},
	}
}

// restartPair restarts the daemon and brings both routers in step again.
func restartPair(ctx context.Context, c *control.Client, p *progress) (r restarted, err error) {
	began := time.Now()
	before, err := c.Status(ctx)
	if err != nil {
		return r, err
	}
	if _, err := c.Action(ctx, control.Action{Verb: control.Restart}, nil); err != nil {
		return r, err
	}
	if slices.Contains(before.NeedRestart, "socket") {
		return r, errors.New("the daemon begins anew and serves another socket now, as its configuration says: run ctsync request and ctsync bulk there")
	}
	p.say("waiting for the daemon")
	now, err := await(ctx, c, restartWait, func(s *control.Status) bool { return s.Ready && !s.Started.Equal(before.Started) })
	if err != nil {
		return r, fmt.Errorf("the daemon is not ready after %v, see its log: %w", restartWait, err)
	}
	r = restarted{Version: now.Version, PID: now.PID, Ready: control.Duration(time.Since(began))}
	p.say("waiting for the peer")
	switch _, err := await(ctx, c, peerWait, func(s *control.Status) bool { return s.Established }); {
	case errors.Is(err, errWaited):
		return r, nil
	case err != nil:
		return r, err
	}
	r.PeerAnswers = true
	for _, step := range []struct {
		verb control.Verb
		to   **control.Result
	}{{control.Request, &r.Request}, {control.Bulk, &r.Bulk}} {
		p.name = string(step.verb)
		res, err := c.Action(ctx, control.Action{Verb: step.verb}, p.show)
		if err != nil {
			return r, fmt.Errorf("the daemon runs again, but %s: %w", step.verb, err)
		}
		*step.to = &res
	}
	return r, nil
}

// errWaited is what await returns when the daemon answers and cond does not hold in time.
var errWaited = errors.New("not within the time")

// await asks for the status until cond holds. A daemon that cannot be reached meanwhile is waited for, too.
func await(ctx context.Context, c *control.Client, within time.Duration, cond func(*control.Status) bool) (s control.Status, err error) {
	for deadline := time.Now().Add(within); ; {
		s, err = c.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return s, ctx.Err()
		case err == nil && cond(&s):
			return s, nil
		case time.Now().After(deadline) && err == nil:
			return s, errWaited
		case time.Now().After(deadline):
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(restartPoll):
		}
	}
}

// appendRestarted appends a line for each step.
func appendRestarted(b []byte, r restarted) []byte {
	b = fmt.Appendf(b, "ctsyncd %s runs anew, pid %d, ready after %s\n", r.Version, r.PID, r.Ready)
	if !r.PeerAnswers {
		return fmt.Appendf(b, "the peer did not answer within %v: when it does, ctsync request asks for its table and ctsync bulk sends ours\n", peerWait)
	}
	return appendResult(appendResult(b, *r.Request), *r.Bulk)
}
