package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

// operations are the commands for conntrackd's -c -f -R -B -n -t.
func (a *app) operations() []*cobra.Command {
	const flushUse = "flush [internal|external]"
	flush := a.operation(control.Flush, flushUse, "Empty both caches, or one of them (conntrackd -f)")
	flush.Args = words(control.CacheInternal, control.CacheExternal)
	flush.ValidArgs = []string{control.CacheInternal, control.CacheExternal}
	return []*cobra.Command{
		a.operation(control.Commit, "commit", "Commit the external cache to the kernel's table (conntrackd -c)"),
		flush,
		a.operation(control.Resync, "resync", "Correct the internal cache by the kernel's table (conntrackd -R)"),
		a.operation(control.Bulk, "bulk", "Send the whole internal cache to the peer (conntrackd -B)"),
		a.operation(control.Request, "request", "Ask the peer for its internal cache (conntrackd -n)"),
		a.operation(control.Purge, "purge", "Let flows that the peer has taken over expire quickly (conntrackd -t)"),
	}
}

// operation returns the command for a verb. Its argument, if there is one, is a cache.
func (a *app) operation(verb control.Verb, use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: none,
		RunE: func(cmd *cobra.Command, args []string) error {
			act := control.Action{Verb: verb}
			if len(args) == 1 {
				act.Cache = args[0]
			}
			return a.act(cmd.Context(), act)
		},
	}
}

// reset returns VyOS's reset commands.
func (a *app) reset() *cobra.Command {
	cmd := &cobra.Command{Use: "reset", Short: "Empty a cache and fill it again"}
	group(cmd)
	for _, r := range []struct{ name, cache, short string }{
		{"internal-cache", control.CacheInternal, "Fill the internal cache from the kernel and send it to the peer"},
		{"external-cache", control.CacheExternal, "Fill the external cache from the peer"},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: r.name, Short: r.short, Args: none,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.act(cmd.Context(), control.Action{Verb: control.Reset, Cache: r.cache})
			},
		})
	}
	return cmd
}

// act carries out an action, shows its progress on a terminal, and prints its result.
func (a *app) act(ctx context.Context, act control.Action) error {
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		p := newProgress(a.stderr, string(act.Verb))
		res, err := c.Action(ctx, act, p.show)
		p.clear()
		switch {
		case err != nil && ctx.Err() != nil:
			fmt.Fprintf(a.stderr, "ctsync: %s: interrupted here; the daemon finishes it\n", act.Verb)
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%s: %w", act.Verb, err)
		}
		if a.json {
			return a.printJSON(res)
		}
		return a.print(appendResult(nil, res))
	})
}

// appendResult appends the result of an operation, and below that of a commit the flows that were not restored.
func appendResult(b []byte, r control.Result) []byte {
	b = fmt.Appendf(b, "%s (%s)\n", r.Summary, r.Duration)
	if r.Commit != nil {
		for _, name := range r.Commit.Named {
			b = fmt.Appendf(b, "  %s\n", name)
		}
	}
	return b
}
