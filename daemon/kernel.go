package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
)

// kernel is what the daemon asks of ctnetlink; *ctnetlink.Conn is the real one. One goroutine at a time uses it.
type kernel interface {
	Dump(family flow.Family, fn func(*flow.Flow) error) (interrupted bool, err error)
	DumpExpectations(family flow.Family, fn func(*flow.Expectation) error) (interrupted bool, err error)
	CreateExpectations(list []flow.Expectation, errs []unix.Errno) error
	UpdateExpectations(list []flow.Expectation, errs []unix.Errno) error
	DeleteExpectations(list []flow.Expectation, errs []unix.Errno) error
	GetExpectation(key *flow.Tuple, e *flow.Expectation) error
	Create(flows []flow.Flow, errs []unix.Errno) error
	Update(flows []flow.Flow, errs []unix.Errno) error
	Delete(keys []flow.Flow, errs []unix.Errno) error
	Get(key *flow.Tuple, dir flow.Direction, f *flow.Flow) error
	GetBatch(keys []flow.Flow, out []flow.Flow, errs []unix.Errno) error
	SetLiberal(on bool) // whether Create and Update make TCP flows be-liberal
	Close() error
}

// turn lends a kernel to one user at a time.
type turn chan kernel

func newTurn(k kernel) turn {
	t := make(turn, 1)
	t <- k
	return t
}

func (t turn) take(ctx context.Context) (kernel, error) {
	select {
	case k := <-t:
		return k, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t turn) give(k kernel) { t <- k }

// openKernel opens the event socket and the request sockets. What the committer changes raises no event here: the
// kernel drops those, and the committer puts its changes into the internal cache itself.
func (d *Daemon) openKernel() error {
	limit := d.cfg.EventListenQueueSize
	l, err := ctnetlink.Listen(ctnetlink.ListenConfig{
		Buffer: limit / 2, MaxBuffer: limit, Coalesce: d.cfg.Coalesce, Expectations: len(d.cfg.ExpectSync) > 0,
	})
	if err != nil {
		return fmt.Errorf("listen for conntrack events: %w", err)
	}
	d.listener = l
	committer, err := ctnetlink.Dial()
	if err != nil {
		return fmt.Errorf("dial ctnetlink: %w", err)
	}
	d.committer = newTurn(committer)
	if err := l.Ignore(committer.PortID()); err != nil {
		return fmt.Errorf("filter own conntrack events: %w", err)
	}
	if err := d.filterEvents(); err != nil {
		return err
	}
	dumper, err := ctnetlink.Dial()
	if err != nil {
		return fmt.Errorf("dial ctnetlink: %w", err)
	}
	d.dumper = newTurn(dumper)
	return nil
}

// runEvents is the task that reads the kernel's events.
func (d *Daemon) runEvents(ctx context.Context) error {
	stop := context.AfterFunc(ctx, d.listener.Stop)
	defer stop()
	for {
		var b *eventBlock
		select {
		case b = <-d.in.freeEvents:
		case <-ctx.Done():
			return nil
		}
		overrun, err := d.listener.Read(&b.Block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read conntrack events: %w", err)
		}
		b.overrun, b.read = overrun, d.core.now()
		select {
		case d.in.events <- b:
		case <-ctx.Done():
			return nil
		}
	}
}
