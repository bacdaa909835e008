package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctsync/daemon/control"
)

// Kinds of Daemon for NewDaemon.
const (
	Ctsync       = "ctsync"
	CtsyncInject = "ctsync-inject" // with disable-external-cache
	Conntrackd   = "conntrackd"
	None         = "none"
)

// Daemon keeps a router's flows in step with its peer's.
type Daemon interface {
	// Start starts the daemon and returns when it answers.
	Start(ctx context.Context) error
	// Process returns the running daemon, nil if there is none.
	Process() *Process
	// Script returns the notify script for keepalived, and the environment that it needs.
	Script() (path string, env []string)
	// Held returns the number of flows in the two caches; without an external cache, the second number is that of the
	// peer's flows in the kernel.
	Held() (internal, external int, err error)
	// Overruns returns how often the kernel dropped events because the buffer was full (ENOBUFS).
	Overruns() (int, error)
	// Do carries out an action and returns when the daemon reports that it is done.
	Do(ctx context.Context, a control.Action) error
	// Takeover reports MASTER to the daemon as keepalived would, and returns when the daemon has done its work.
	Takeover(ctx context.Context) error
	// External calls each for every flow of the external cache, with its line in conntrackd's layout. The next line
	// overwrites it.
	External(ctx context.Context, each func(line []byte) error) error
	// Table returns the command that shows the kernel's table to an operator.
	Table() []string
	// Committed returns how many flows the last commit put into the kernel, and its result in words. Where a takeover
	// needs no commit, flows is the number of the peer's flows in the kernel. ok is false if there was none or it is
	// not complete.
	Committed() (flows int, detail string, ok bool)
	// Show returns the commands that show the daemon's state; run them in the router's namespace.
	Show() [][]string
	// Attach returns command lines for a user who wants to look around.
	Attach() []string
}

// NewDaemon returns a daemon of the given kind for r.
func (l *Lab) NewDaemon(kind string, r *Router) (Daemon, error) {
	switch kind {
	case Ctsync:
		return &ctsync{lab: l, router: r}, nil
	case CtsyncInject:
		return &ctsync{lab: l, router: r, inject: true}, nil
	case Conntrackd:
		return &conntrackd{lab: l, router: r}, nil
	case None:
		return none{}, nil
	}
	return nil, fmt.Errorf("no daemon %q: %s, %s, %s or %s", kind, Ctsync, CtsyncInject, Conntrackd, None)
}

// none is the control: keepalived without synchronisation.
type none struct{}

func (none) Start(context.Context) error    { return nil }
func (none) Process() *Process              { return nil }
func (none) Script() (string, []string)     { return "/bin/true", nil }
func (none) Held() (int, int, error)        { return 0, 0, nil }
func (none) Overruns() (int, error)         { return 0, nil }
func (none) Takeover(context.Context) error { return nil }
func (none) Table() []string                { return nil }
func (none) Committed() (int, string, bool) { return 0, "nothing to commit", true }
func (none) Attach() []string               { return nil }
func (none) Show() [][]string               { return nil }

func (none) Do(context.Context, control.Action) error                { return nil }
func (none) External(context.Context, func(line []byte) error) error { return nil }

// ErrTimeout is returned by Wait.
var ErrTimeout = errors.New("not in time")

// Wait polls cond until it holds or ctx ends. After the time within it returns ErrTimeout, wrapped with what it waited
// for.
func Wait(ctx context.Context, within time.Duration, what string, cond func() bool) error {
	deadline := time.Now().Add(within)
	for !cond() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w (%v)", what, ErrTimeout, within)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// waitReady waits until answers holds. If the process ends before, the error has its last output.
func waitReady(ctx context.Context, p *Process, answers func() bool) error {
	err := Wait(ctx, 10*time.Second, p.Name+" answers", func() bool { return !p.Running() || answers() })
	if err == nil && !p.Running() {
		err = fmt.Errorf("%s ended at its start", p.Name)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail(20))
	}
	return nil
}
