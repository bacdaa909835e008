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
		Use: "events [internal|external]", Short: "Show changes of this router's and the peer's flows as they happen",
		Long: `Events prints a line when a flow begins, changes or ends: for this router's flows (internal)
when its kernel reports it, for the peer's flows (external) when the peer's messages report it.
There is no event for what a commit puts into the kernel, and none for what a flush, a comparison
or a sweep changes in a cache.

The daemon does not wait for a slow reader. Events that are not read in time are lost, and a line
says how many. A reader who reads nothing for a minute is disconnected.`,
		Args:      words(control.CacheInternal, control.CacheExternal),
		ValidArgs: []string{control.CacheInternal, control.CacheExternal},
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

// textRequest is a method of the client that returns a stream of lines.
type textRequest func(*control.Client, context.Context, control.FlowQuery, control.Format) (io.ReadCloser, error)

// copyText prints the daemon's lines as they come.
func (a *app) copyText(ctx context.Context, ask textRequest, q control.FlowQuery) error {
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
