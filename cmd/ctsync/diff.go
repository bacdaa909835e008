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
		Long: `Diff internal compares the internal cache with the kernel's table. It shows the flows that a
failover would lose or restore wrongly: kernel-only flows are not replicated, cache-only flows
have ended, and for differing flows it shows what differs (kernel / cache). "ctsync show status"
says whether the peer has received the cache.

Diff external shows what a commit would do to the kernel's table now: which flows it would
create, update or replace, and which it would not restore, because they have expired or because
the protocol does not carry their key (lost). Foreign flows are translated to an address of the
other router alone: they cannot work here (restore-foreign-nat = false leaves them out).

Neither changes anything. A flow that changes meanwhile is compared again before it is shown.`,
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
				if rows > 0 { // the last row but one is for the counts, the last stays empty
					rows = max(rows-2, 1)
				}
				return a.copyText(ctx, (*control.Client).DifferenceText, fitting(q, rows))
			})
		},
	}
	a.filterFlag(cmd, &filter)
	cmd.Flags().IntVar(&limit, "limit", 0, "print at most `N` differences; all are counted")
	watchFlag(cmd, &watch)
	return cmd
}
