package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

func (a *app) show() *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Show tables, caches, counters and state"}
	group(cmd)
	cmd.AddCommand(a.showTable(), a.showCache(), a.showDiff(), a.showStatistics(), a.showStatus())
	cmd.AddCommand(a.showTransitions(), a.showLog())
	return cmd
}

func (a *app) showStatus() *cobra.Command {
	watch := time.Duration(0)
	cmd := &cobra.Command{
		Use: "status", Short: "Show the role, the peer, and whether the pair is in step", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.repeat(cmd.Context(), watch, func(ctx context.Context, _ int) error {
				return shown(a, ctx, (*control.Client).Status, appendStatus)
			})
		},
	}
	watchFlag(cmd, &watch)
	return cmd
}

func (a *app) showStatistics() *cobra.Command {
	detail, watch := false, time.Duration(0)
	cmd := &cobra.Command{
		Use: "statistics [" + sectionWords + "]", Short: "Show the counters (conntrackd -s)",
		Long: "All counters; with a word (network, cache, ...) the same block as conntrackd -s WORD.",
		Args: sectionArgs, ValidArgs: strings.Split(sectionWords, "|"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && detail {
				return usageError{fmt.Errorf("--detail adds to all counters, %q selects some: leave one out", args[0])}
			}
			return a.repeat(cmd.Context(), watch, func(ctx context.Context, _ int) error {
				if len(args) > 0 {
					return a.showSection(ctx, args[0])
				}
				return a.statistics(ctx, detail)
			})
		},
	}
	cmd.Flags().BoolVar(&detail, "detail", false, "add the counters that conntrackd does not have")
	watchFlag(cmd, &watch)
	return cmd
}

// statistics prints the counters once.
func (a *app) statistics(ctx context.Context, detail bool) error {
	return shown(a, ctx, (*control.Client).Statistics, func(b []byte, s control.Statistics) []byte {
		b = appendStatistics(b, s)
		if detail {
			b = appendDetail(b, s)
		}
		return b
	})
}

func (a *app) showTransitions() *cobra.Command {
	watch := time.Duration(0)
	cmd := &cobra.Command{
		Use: "transitions", Short: "Show keepalived's last notifications and what the daemon did", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.repeat(cmd.Context(), watch, func(ctx context.Context, rows int) error {
				return shown(a, ctx, (*control.Client).Transitions, func(b []byte, ts []control.Transition) []byte {
					return appendLastTransitions(b, ts, rows)
				})
			})
		},
	}
	watchFlag(cmd, &watch)
	return cmd
}

// question is a method of the client that returns one value.
type question[T any] func(*control.Client, context.Context) (T, error)

// shown asks for a value and prints it as text or as JSON.
func shown[T any](a *app, ctx context.Context, ask question[T], text func([]byte, T) []byte) error {
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		v, err := ask(c, ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(v)
		}
		return a.print(text(nil, v))
	})
}
