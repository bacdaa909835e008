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
		Short: "Tell the daemon what keepalived made of this router",
		Long: `notify tells the daemon that keepalived changed the state of a sync-group: master, backup, fault or stop.

It returns in milliseconds: the daemon accepts the transition and does its work afterwards. If the daemon is away the
transition is parked beside its socket, and carried out when it starts. Both are exit status 0.

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
			n.At, n.Boottime, n.Source = a.started, control.Boottime(), notify.SourceNotify
			// keepalived kills its scripts when it stops, and what it said then would be lost: SIGTERM waits for the deadline.
			d, err := notify.Deliver(context.WithoutCancel(cmd.Context()), a.socket, n)
			if err != nil {
				return fmt.Errorf("notify %s: %w", n.State, err)
			}
			return a.printDelivery(n, d)
		},
	}
}

// printDelivery is silent when all went as expected: ctsync-notify writes what is printed to the system log.
func (a *app) printDelivery(n control.Notification, d notify.Delivery) error {
	if a.json {
		return a.printJSON(struct {
			Parked     string              `json:"parked,omitempty"`
			Transition *control.Transition `json:"transition,omitempty"`
		}{d.Parked, d.Transition})
	}
	switch {
	case d.Transition == nil:
		fmt.Fprintf(a.stderr, "ctsync: notify %s: parked in %s until the daemon starts: %s\n", n.State, d.Parked, oneLine(d.Cause.Error()))
	case d.Transition.Outcome != control.OutcomeRunning && d.Transition.Outcome != control.OutcomeDone:
		fmt.Fprintf(a.stderr, "ctsync: notify %s: %s\n", n.State, oneLine(d.Transition.Outcome))
	}
	return nil
}
