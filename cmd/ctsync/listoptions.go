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

// listOptions are the flags of what lists flows.
type listOptions struct {
	filter, sort, group string
	limit               int
	wide                bool
	watch               time.Duration // 0 = once
}

func (o *listOptions) flags(a *app, cmd *cobra.Command) {
	a.filterFlag(cmd, &o.filter)
	f := cmd.Flags()
	f.StringVar(&o.sort, "sort", "", "sort by a column, the other way round with a dash in front: "+strings.Join(control.Orders, ", "))
	f.StringVar(&o.group, "group-by", "", "count instead of listing, by "+strings.Join(control.GroupKeys, ", "))
	f.IntVar(&o.limit, "limit", 0, "at most so many rows")
	f.BoolVar(&o.wide, "wide", false, "both tuples, mark, zone and counters, in the layout of conntrack -L")
	watchFlag(cmd, &o.watch)
	complete(cmd, "sort", o.offerSort)
	complete(cmd, "group-by", cobra.FixedCompletions(control.GroupKeys, noFiles))
}

// query makes the query that the flags say.
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

// parseFilter reads the value of --filter, nil for none.
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

func oneOf(flag, word string, words []string) error {
	if slices.Contains(words, word) {
		return nil
	}
	if near := flow.Nearest(word, words); near != "" {
		return usageError{fmt.Errorf("%s %s: did you mean %s?", flag, word, near)}
	}
	return usageError{fmt.Errorf("%s %s: want one of %s", flag, word, strings.Join(words, ", "))}
}
