package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

// cacheHeading and expectHeading stand above the entries of a cache, which are printed as conntrackd prints them.
const (
	cacheHeading  = "Main Table Entries:\n\n"
	expectHeading = "Expect Table Entries:\n\n"
)

func (a *app) showCache() *cobra.Command {
	xml, output := false, ""
	o := &listOptions{}
	cmd := &cobra.Command{
		Use: "cache internal|external [main|expect]", Short: "Show the entries of a cache (conntrackd -i, -e)",
		Args:              cacheAnd(control.EntriesMain, control.EntriesExpect),
		ValidArgsFunction: offerCacheAnd(control.EntriesMain, control.EntriesExpect),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := o.query(control.Table(args[0]))
			if err != nil {
				return err
			}
			if len(args) == 2 {
				q.Entries = args[1]
			}
			if err := a.cacheLayout(o, &xml, output); err != nil {
				return err
			}
			return a.repeat(cmd.Context(), o.watch, func(ctx context.Context, rows int) error {
				return a.cache(ctx, fitting(q, rows), o, xml)
			})
		},
	}
	cmd.Flags().BoolVarP(&xml, "xml", "x", false, "print one XML element per line (conntrackd -x)")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FORMAT` xml or json, as --xml or --json (conntrack -o)")
	complete(cmd, "output", cobra.FixedCompletions(outputs, noFiles))
	o.flags(a, cmd)
	return cmd
}

// outputs are the values of --output.
var outputs = []string{"xml", "json"}

// cacheLayout treats --output as the flag that it stands for, and refuses flags that contradict each other.
func (a *app) cacheLayout(o *listOptions, xml *bool, output string) error {
	switch output {
	case "":
	case "xml":
		*xml = true
	case "json":
		a.json = true
	default:
		return oneOf("--output", output, outputs)
	}
	switch {
	case !*xml:
	case o.group != "":
		return usageError{errors.New("--group-by counts flows, --xml lists them: leave one out")}
	case o.wide:
		return usageError{errors.New("--xml and --wide are two layouts: leave one out")}
	case a.json:
		return usageError{errors.New("--xml and --json are two layouts: leave one out")}
	}
	return nil
}

// cache prints the entries of a cache.
func (a *app) cache(ctx context.Context, q control.FlowQuery, o *listOptions, xml bool) error {
	if q.Group != "" {
		return a.groups(ctx, q)
	}
	format, h := control.FormatConntrackd, heading{text: cacheHeading, always: true}
	if q.Entries == control.EntriesExpect {
		h.text = expectHeading
	}
	switch {
	case xml:
		format, h = control.FormatXML, heading{}
	case o.wide:
		format = control.FormatConntrack
	}
	_, err := a.list(ctx, q, format, h)
	return err
}

// cacheAnd returns a cobra check: a cache, and optionally one of two words behind it.
func cacheAnd(one, other string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) > 2 || args[0] != control.CacheInternal && args[0] != control.CacheExternal {
			return usageError{fmt.Errorf("want: %s %s", cmd.Parent().Name(), cmd.Use)}
		}
		if len(args) == 2 && args[1] != one && args[1] != other {
			return usageError{fmt.Errorf("unexpected %q: want %s or %s", args[1], one, other)}
		}
		return nil
	}
}

// offerCacheAnd offers what cacheAnd accepts.
func offerCacheAnd(one, other string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return []string{control.CacheInternal, control.CacheExternal}, noFiles
		case 1:
			return []string{one, other}, noFiles
		}
		return nil, noFiles
	}
}
