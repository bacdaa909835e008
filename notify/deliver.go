package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctsync/daemon/control"
)

// Deadline bounds a delivery. keepalived waits for no script, but kills those that run when it stops.
const Deadline = 800 * time.Millisecond

// Sources that are written into a Notification.
const (
	SourceNotify = "notify"
	SourceParked = "parked"
)

// Delivery says where a notification went: Transition is the daemon's record of it, or nil when it was parked in the
// file Parked, because of Cause.
type Delivery struct {
	Transition *control.Transition
	Parked     string
	Cause      error
}

// Deliver hands n to the daemon at socket. When none answers within Deadline, n is parked for the daemon's next start,
// or handed over from there to one that started meanwhile. The error is a refusal by a daemon that is there
// (*control.Error), or says that parking failed too.
//
// A daemon that hangs may still read the request after it was parked as well; it then meets the parked one as a
// repetition at its next start, which is safe.
func Deliver(ctx context.Context, socket string, n control.Notification) (Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	client := control.New(socket)
	defer client.Close()
	t, err := client.Notify(ctx, n)
	if err == nil {
		return Delivery{Transition: &t}, nil
	}
	if !errors.Is(err, control.ErrUnreachable) {
		return Delivery{}, err
	}
	path := ParkedPath(socket)
	if perr := Park(path, n); perr != nil {
		return Delivery{}, fmt.Errorf("%w; %w", err, perr)
	}
	if t := handOver(ctx, client, path, n); t != nil {
		return Delivery{Transition: t}, nil
	}
	return Delivery{Parked: path, Cause: err}, nil
}

// handOver asks once more for a daemon, now that n is parked, and returns its record of n; nil means that n stays parked.
//
// A starting daemon first takes connections, then empties the file, then answers. If we cannot connect, it has all of that
// before it and finds n. If it answers, it has looked into the file and will not again: either it found n there, or it
// looked before n was parked. Then we empty the file; others who do the same wait for the lock and find nothing. If it
// takes connections without answering, nobody can tell, and n stays: should the file have been read, n is gone from there
// already. Killed half-way, we leave the file, and the next start meets repetitions.
func handOver(ctx context.Context, client *control.Client, path string, n control.Notification) *control.Transition {
	if _, err := client.Transitions(ctx); err != nil {
		return nil
	}
	// Half of what others wait for the lock. Whatever goes wrong, the list below tells what became of n.
	limited, cancel := context.WithTimeout(ctx, lockWait/2)
	defer cancel()
	_ = takeParked(path, func(n control.Notification) error { _, err := client.Notify(limited, n); return err })
	ts, err := client.Transitions(ctx)
	if err != nil {
		return nil
	}
	for i := range ts {
		if ts[i].Boottime == n.Boottime && ts[i].State == n.State {
			return &ts[i]
		}
	}
	return nil
}
