package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/notify"
)

func (a *app) notify() *cobra.Command {
	return &cobra.Command{
		Use:   "notify STATE [GROUP]",
		Short: "Report a change of keepalived's state to the daemon",
		Long: `Notify reports that keepalived changed the state of a sync-group to master, backup, fault or
stop. keepalived's notify scripts call it.

It returns within milliseconds: the daemon accepts the notification and does the work afterwards.
When it cannot reach the daemon, it parks the notification in a file beside the daemon's socket. A
running daemon takes it up from there at once, another one when it starts. In both cases the exit
status is 0.

The arguments that keepalived appends to a generic notify script are understood:

    notify_master "/usr/bin/ctsync notify master"
    notify        "/usr/bin/ctsync notify"          (keepalived appends: GROUP "syncgrp" MASTER 0)`,
		Example: "  ctsync notify master\n  ctsync notify backup syncgrp\n  ctsync notify GROUP syncgrp MASTER 100",
		Args:    cobra.ArbitraryArgs, ValidArgsFunction: a.offerNotify,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := notify.Parse(args)
			if err != nil {
				return usageError{fmt.Errorf("notify: %w", err)}
			}
			n.At, n.Boottime, n.Source = a.started, control.Boottime(), notify.Source()
			// keepalived kills its scripts when it stops. SIGTERM must not lose the notification: it waits for the
			// deadline.
			d, err := notify.Deliver(context.WithoutCancel(cmd.Context()), a.socket, n)
			if err != nil {
				return fmt.Errorf("notify %s: %w", n.State, err)
			}
			return a.printDelivery(n, d)
		},
	}
}

// printDelivery prints nothing when the daemon has accepted the notification: ctsync-notify writes what is printed to
// the system log.
func (a *app) printDelivery(n control.Notification, d notify.Delivery) error {
	if a.json {
		return a.printJSON(struct {
			Parked     string              `json:"parked,omitempty"`
			Transition *control.Transition `json:"transition,omitempty"`
		}{d.Parked, d.Transition})
	}
	switch {
	case d.Transition == nil:
		fmt.Fprintf(a.stderr, "ctsync: notify %s: parked in %s for the daemon: %s\n",
			n.State, d.Parked, oneLine(d.Cause.Error()))
	case d.Transition.Outcome != control.OutcomeRunning && d.Transition.Outcome != control.OutcomeDone:
		fmt.Fprintf(a.stderr, "ctsync: notify %s: %s\n", n.State, oneLine(d.Transition.Outcome))
	}
	return nil
}
