package main

import (
	"context"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/tui"
)

func (a *app) monitor() *cobra.Command {
	var opt tui.Options
	cmd := &cobra.Command{
		Use: "tui", Short: "Monitor the daemon in the terminal", Args: none,
		Long: `Tui shows the daemon live in the terminal: whether the pair is in step, the tables and how they
differ, one flow through a failover, links, transitions, the log. Press ? for the keys.

It changes nothing unless you start it with --write. Then you can enter operations after ":", and
confirm each by typing it again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				return tui.Run(ctx, c, opt)
			})
		},
	}
	cmd.Flags().BoolVar(&opt.Write, "write", false, `allow operations (commit, flush, ...) after ":"`)
	cmd.Flags().BoolVar(&opt.NoColor, "no-color", false, "no colours (also NO_COLOR)")
	return cmd
}
