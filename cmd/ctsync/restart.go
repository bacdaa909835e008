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

// How long a restart waits, and how often it asks.
const (
	restartWait = 60 * time.Second // for the daemon, which first reads the kernel's table
	peerWait    = 10 * time.Second // for the peer, which sends at least every second
	restartPoll = 50 * time.Millisecond
)

// restarted is the result of a restart, for JSON.
type restarted struct {
	Version     string           `json:"version"`
	PID         int              `json:"pid"`
	Ready       control.Duration `json:"ready_seconds"` // from the command until the daemon was ready
	PeerAnswers bool             `json:"peer_answers"`  // without an answer the following are not tried
	Request     *control.Result  `json:"request,omitempty"`
	Bulk        *control.Result  `json:"bulk,omitempty"`
}

// restart is VyOS's "restart conntrack-sync".
func (a *app) restart() *cobra.Command {
	return &cobra.Command{
		Use: "restart", Short: "Restart the daemon, request the peer's table and send ours", Args: none,
		Long: `Restart in place with the program now on disk; refused, with nothing changed, if it rejects the
configuration. Afterwards request the peer's table and send ours.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				p := newProgress(a.stderr, "restart")
				r, err := restartPair(ctx, c, p)
				p.clear()
				switch {
				case err != nil && ctx.Err() != nil:
					fmt.Fprintln(a.stderr, "ctsync: restart: interrupted here; the daemon finishes what it has begun")
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

// restartPair restarts the daemon and then exchanges both tables with the peer.
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
		return r, errors.New("the daemon restarts and then serves another socket, as its configuration says: " +
			"run ctsync request and ctsync bulk with --socket")
	}
	p.say("waiting for the daemon")
	now, err := await(ctx, c, restartWait, func(s *control.Status) bool {
		return s.Ready && !s.Started.Equal(before.Started)
	})
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
			return r, fmt.Errorf("the daemon is running again, but %s: %w", step.verb, err)
		}
		*step.to = &res
	}
	return r, nil
}

// errWaited is the error of await when the daemon answers but the condition does not hold in time.
var errWaited = errors.New("not within the time")

// await asks for the status until cond holds. It also waits for a daemon that is not reachable meanwhile.
func await(
	ctx context.Context, c *control.Client, within time.Duration, cond func(*control.Status) bool,
) (s control.Status, err error) {
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
	b = fmt.Appendf(b, "ctsyncd restarted: version %s, pid %d, ready after %s\n", r.Version, r.PID, r.Ready)
	if !r.PeerAnswers {
		return fmt.Appendf(b, "the peer did not answer within %v: run ctsync request and ctsync bulk later\n", peerWait)
	}
	return appendResult(appendResult(b, *r.Request), *r.Bulk)
}
