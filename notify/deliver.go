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

// Deliver hands n to the daemon at socket. When none answers within Deadline, n is parked for the daemon's next start.
// The error is a refusal by a daemon that is there (*control.Error), or says that parking failed too.
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
	return Delivery{Parked: path, Cause: err}, nil
}
