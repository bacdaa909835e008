package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

func (a *app) events() *cobra.Command {
	filter := ""
	cmd := &cobra.Command{
		Use: "events [internal|external]", Short: "Show what happens to this router's flows, and what the peer tells of its own, live",
		Long: `Events shows the beginning, change and end of flows as they happen: of this router (internal), as its kernel tells,
and of the peer (external), as its messages tell. What a commit puts into the kernel raises no event, nor does what a
flush, a comparison or a sweep changes in a cache.

Events that are not read in time are lost: how many is said where they are missing. The daemon never waits; a reader who
takes nothing for a minute is disconnected.`,
		Args: words(control.CacheInternal, control.CacheExternal), ValidArgs: []string{control.CacheInternal, control.CacheExternal},
		RunE: func(cmd *cobra.Command, args []string) error {
			expr, err := parseFilter(filter)
			if err != nil {
				return err
			}
			q := control.FlowQuery{Filter: expr}
			if len(args) == 1 {
				q.Table = control.Table(args[0])
			}
			if err = a.copyText(cmd.Context(), (*control.Client).EventText, q); cmd.Context().Err() != nil {
				return nil // the user has seen enough
			}
			return err
		},
	}
	a.filterFlag(cmd, &filter)
	return cmd
}

// copyText prints what the daemon writes, line by line as it comes.
func (a *app) copyText(ctx context.Context, ask func(*control.Client, context.Context, control.FlowQuery, control.Format) (io.ReadCloser, error), q control.FlowQuery) error {
	format := control.FormatText
	if a.json {
		format = control.FormatNDJSON
	}
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		r, err := ask(c, ctx, q, format)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(a.stdout, r)
		return err
	})
}
