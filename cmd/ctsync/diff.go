package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

func (a *app) showDiff() *cobra.Command {
	filter, limit, watch := "", 0, time.Duration(0)
	cmd := &cobra.Command{
		Use: "diff internal|external [ipv4|ipv6]", Short: "Show in which flows a cache and the kernel's table differ",
		Long: `Diff internal shows the flows that would be lost or wrong after a failover because the internal cache does not have them
as the kernel does: kernel-only flows are not replicated, cache-only ones have ended, and differing ones say in what
(kernel / cache). Whether the peer has the cache, "ctsync show status" says. Diff external shows what a commit would do to
the kernel's table now: create, update or replace flows, or not restore them because they are expired or lost on the way.
Nothing is changed. A flow that changes at the moment is looked at again before it is shown.`,
		Args: cacheAnd("ipv4", "ipv6"), ValidArgsFunction: offerCacheAnd("ipv4", "ipv6"),
		RunE: func(cmd *cobra.Command, args []string) error {
			expr, err := parseFilter(filter)
			if err != nil {
				return err
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d: want a number of rows", limit)}
			}
			q := control.FlowQuery{Table: control.Table(args[0]), Filter: expr, Limit: limit}
			if q.Family, err = family(args[1:]); err != nil {
				return err
			}
			return a.repeat(cmd.Context(), watch, func(ctx context.Context, rows int) error {
				if rows > 0 { // the last but one is for the counts, the last stays free
					rows = max(rows-2, 1)
				}
				return a.copyText(ctx, (*control.Client).DifferenceText, fitting(q, rows))
			})
		},
	}
	a.filterFlag(cmd, &filter)
	cmd.Flags().IntVar(&limit, "limit", 0, "show at most so many; all are counted")
	watchFlag(cmd, &watch)
	return cmd
}
