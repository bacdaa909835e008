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

// Delivery says where a notification went. Transition is the daemon's record of it; it is nil when the notification was
// parked in the file Parked, because of Cause.
type Delivery struct {
	Transition *control.Transition
	Parked     string
	Cause      error
}

// Deliver hands n to the daemon at socket. When no daemon answers within 800 ms, or it has no place for one more
// caller, it parks n: a running daemon takes it up at once (see Watch), another one when it starts. The error is a
// refusal by the daemon (*control.Error), or says that parking failed as well.
//
// A daemon that is slow may read the request after n was parked, and then reads n a second time. That is safe: it
// records the second as a repetition.
func Deliver(ctx context.Context, socket string, n control.Notification) (Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	client := control.New(socket)
	defer client.Close()
	t, err := client.Notify(ctx, n)
	if err == nil {
		return Delivery{Transition: &t}, nil
	}
	if e, refused := errors.AsType[*control.Error](err); refused && e.Code != control.CodeCrowded ||
		!refused && !errors.Is(err, control.ErrUnreachable) {
		return Delivery{}, err
	}
	path := ParkedPath(socket)
	moved, perr := park(path, n)
	if perr != nil {
		return Delivery{}, fmt.Errorf("%w; %w", err, perr)
	}
	if moved != nil {
		err = fmt.Errorf("%w; %w", err, moved)
	}
	return Delivery{Parked: path, Cause: err}, nil
}
