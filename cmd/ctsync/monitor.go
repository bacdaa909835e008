package main

import (
	"context"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/tui"
)

func (a *app) monitor() *cobra.Command {
	return &cobra.Command{
		Use: "tui", Short: "Watch the daemon in the terminal", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error { return tui.Run(ctx, c) })
		},
	}
}
