package daemon

import (
	"context"

	"ctsync/daemon/rtnetlink"
)

// runOwnAddresses is the task that keeps the filter in step with the addresses of this router. The kernel says that they
// changed; what they are now is read anew each time, so that nothing is missed when it has much to say.
func (d *Daemon) runOwnAddresses(ctx context.Context) error {
	changed, failed, err := rtnetlink.Watch(ctx, rtnetlink.Addresses)
	if err != nil {
		return err
	}
	for {
		other, err := d.refilter(ctx, func(*filterSource) {})
		if err != nil && ctx.Err() == nil {
			d.log.Error("the filter does not follow this router's addresses", "err", err)
		}
		if other {
			signal(d.core.wantReconcile)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-changed:
		}
	}
}
