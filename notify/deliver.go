package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctsync/daemon/control"
)

// deliverWithin bounds a delivery. keepalived does not wait for its scripts, but kills those that still run when it
// stops.
const deliverWithin = 800 * time.Millisecond

// Sources of a Notification.
const (
	SourceNotify = "notify"
	SourceParked = "parked"
)

// Delivery says where a notification went. Transition is the daemon's record of it; it is nil when the notification was
// parked in the file Parked, because of Cause.
type Delivery struct {
	Transition *control.Transition
	Parked     string
	Cause      error
}

// Deliver hands n to the daemon at socket. When no daemon answers within 800 ms, it parks n for the daemon's next
// start, and hands it over from there if a daemon has started meanwhile. The error is a refusal by the daemon
// (*control.Error), or says that parking failed as well.
//
// A daemon that hangs may still read the request after n was parked. At its next start it then reads n a second time,
// which is safe.
func Deliver(ctx context.Context, socket string, n control.Notification) (Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
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
	if perr := park(path, n); perr != nil {
		return Delivery{}, fmt.Errorf("%w; %w", err, perr)
	}
	if t := handOver(ctx, client, path, n); t != nil {
		return Delivery{Transition: t}, nil
	}
	return Delivery{Parked: path, Cause: err}, nil
}

// handOver asks for a daemon once more, after n was parked, and returns its record of n; nil means that n stays parked.
//
// A starting daemon first accepts connections, then empties the file, then answers. So there are three cases:
//
//   - We cannot connect: the daemon has all three steps before it and will find n.
//   - It answers: it has emptied the file and will not look again. Either it found n there, or it looked before n was
//     parked; then we empty the file. Others who do the same wait for the lock and find nothing.
//   - It accepts connections and does not answer: nobody can tell whether it has emptied the file. We leave n alone; if
//     the daemon has read the file, n is gone from it.
//
// When we are killed half-way, the file stays, and the next start reads what it has already.
func handOver(ctx context.Context, client *control.Client, path string, n control.Notification) *control.Transition {
	if _, err := client.Transitions(ctx); err != nil {
		return nil
	}
	// At most half as long as others wait for the lock. Whatever goes wrong, the list below says what became of n.
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
