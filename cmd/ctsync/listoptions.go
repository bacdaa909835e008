package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// listOptions are the flags of commands that list flows.
type listOptions struct {
	filter, sort, group string
	limit               int
	wide                bool
	watch               time.Duration // between two lists, 0 = only one list
}

func (o *listOptions) flags(a *app, cmd *cobra.Command) {
	a.filterFlag(cmd, &o.filter)
	f := cmd.Flags()
	orders, keys := strings.Join(control.Orders, ", "), strings.Join(control.GroupKeys, ", ")
	f.StringVar(&o.sort, "sort", "", "sort by this `COLUMN`, or descending by -COLUMN: "+orders)
	f.StringVar(&o.group, "group-by", "", "count flows by this `KEY` instead of listing them: "+keys)
	f.IntVar(&o.limit, "limit", 0, "print at most `N` rows")
	f.BoolVar(&o.wide, "wide", false, "print both tuples, mark, zone and counters, as conntrack -L does")
	watchFlag(cmd, &o.watch)
	complete(cmd, "sort", o.offerSort)
	complete(cmd, "group-by", cobra.FixedCompletions(control.GroupKeys, noFiles))
}

// query returns the query that the flags describe.
func (o *listOptions) query(t control.Table) (q control.FlowQuery, err error) {
	q = control.FlowQuery{Table: t, Limit: o.limit, Group: o.group}
	if q.Filter, err = parseFilter(o.filter); err != nil {
		return q, err
	}
	q.Sort, q.Desc = strings.CutPrefix(o.sort, "-")
	orders := control.Orders
	if o.group != "" {
		orders = control.GroupOrders
		if err := oneOf("--group-by", o.group, control.GroupKeys); err != nil {
			return q, err
		}
	}
	if o.sort != "" {
		if err := oneOf("--sort", q.Sort, orders); err != nil {
			return q, err
		}
	}
	switch {
	case o.limit < 0:
		return q, usageError{fmt.Errorf("--limit %d: want a number of rows", o.limit)}
	case o.group != "" && o.wide:
		return q, usageError{fmt.Errorf("--group-by counts flows, --wide lists them: leave one out")}
	case q.Sort != "" && o.group == "" && o.limit == 0:
		q.Limit = control.MaxSorted
	}
	return q, nil
}

// parseFilter reads the value of --filter. It returns nil for an empty one.
func parseFilter(text string) (*expr.Expr, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	e, err := expr.Parse(text)
	if err != nil {
		return nil, usageError{err}
	}
	return e, nil
}

// oneOf checks that the value of a flag is one of some words.
func oneOf(flag, word string, words []string) error {
	if slices.Contains(words, word) {
		return nil
	}
	if near := flow.Nearest(word, words); near != "" {
		return usageError{fmt.Errorf("%s %s: did you mean %s?", flag, word, near)}
	}
	return usageError{fmt.Errorf("%s %s: want one of %s", flag, word, strings.Join(words, ", "))}
}
