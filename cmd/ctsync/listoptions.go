package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// listOptions are the flags of what lists flows.
type listOptions struct {
	filter, sort, group string
	limit               int
	wide                bool
	watch               time.Duration // 0 = once
}

// watchEvery is the interval of --watch without a value.
const watchEvery = 2 * time.Second

func (o *listOptions) flags(cmd *cobra.Command) {
	filterFlag(cmd, &o.filter)
	f := cmd.Flags()
	f.StringVar(&o.sort, "sort", "", "sort by a column, the other way round with a dash in front: "+strings.Join(control.Orders, ", "))
	f.StringVar(&o.group, "group-by", "", "count instead of listing, by "+strings.Join(control.GroupKeys, ", "))
	f.IntVar(&o.limit, "limit", 0, "at most so many rows")
	f.BoolVar(&o.wide, "wide", false, "both tuples, mark, zone and counters, in the layout of conntrack -L")
	f.DurationVar(&o.watch, "watch", 0, "show it again and again, as --watch or --watch=5s")
	f.Lookup("watch").NoOptDefVal = watchEvery.String()
	complete(cmd, "sort", slices.Concat(control.Orders, control.GroupOrders))
	complete(cmd, "group-by", control.GroupKeys)
}

// filterFlag adds --filter to cmd.
func filterFlag(cmd *cobra.Command, filter *string) {
	cmd.Flags().StringVar(filter, "filter", "", `only flows that match, such as "proto:tcp dport:443": see "ctsync help filter"`)
	_ = cmd.RegisterFlagCompletionFunc("filter", func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return completeFilter(typed), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
}

// complete offers words for a flag.
func complete(cmd *cobra.Command, flag string, words []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // fails only without the flag
}

// completeFilter offers keys, and values of keys that take names, for the last word of a filter.
func completeFilter(typed string) (offers []string) {
	at := strings.LastIndexAny(typed, " (!") + 1
	before, word := typed[:at], typed[at:]
	for _, k := range flow.Keys() {
		values, named := strings.CutPrefix(word, k.Name+":")
		if !named {
			if strings.HasPrefix(k.Name, word) {
				offers = append(offers, before+k.Name+":\t"+k.Doc)
			}
			continue
		}
		last := strings.LastIndexByte(values, ',') + 1
		for _, v := range k.Values {
			if strings.HasPrefix(v, values[last:]) {
				offers = append(offers, before+k.Name+":"+values[:last]+v)
			}
		}
	}
	return offers
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
	case o.watch < 0:
		return q, usageError{fmt.Errorf("--watch %v: want a time such as 2s", o.watch)}
	case o.group != "" && o.wide:
		return q, usageError{fmt.Errorf("--group-by counts flows, --wide lists them: leave one out")}
	case q.Sort != "" && o.group == "" && o.limit == 0:
		q.Limit = control.MaxSorted
	}
	return q, nil
}

// parseFilter reads the value of --filter, nil for none.
func parseFilter(text string) (*flow.Expr, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	e, err := flow.ParseExpr(text)
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
