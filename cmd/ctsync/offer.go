package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
)

// Bounds of what is asked of the daemon for offers. Nobody waits longer for a tab, and longer lists say nothing.
const (
	offerWait = 2 * time.Second
	offerMost = 30
)

// noFiles makes a list of offers all that is offered.
const noFiles = cobra.ShellCompDirectiveNoFileComp

// groupOf are the keys of a filter whose values the daemon can count, and by what it counts them.
var groupOf = map[string]string{
	"proto": "protocol", "src": "source", "dst": "destination", "dport": "port", "zone": "zone", "mark": "mark", "helper": "helper",
}

// filterFlag adds --filter to cmd.
func (a *app) filterFlag(cmd *cobra.Command, filter *string) {
	cmd.Flags().StringVar(filter, "filter", "", `only flows that match, such as "proto:tcp dport:443": see "ctsync help filter"`)
	complete(cmd, "filter", func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		live := func(key string, filter *expr.Expr) []control.Group { return a.values(cmd.Context(), args, key, filter) }
		return completeFilter(typed, live), noFiles | cobra.ShellCompDirectiveNoSpace
	})
}

// complete offers for a flag what offer returns.
func complete(cmd *cobra.Command, flag string, offer cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, offer); err != nil {
		panic(err) // there is no such flag
	}
}

// offerSort offers the columns that the list has, with a dash where one was typed.
func (o *listOptions) offerSort(cmd *cobra.Command, args []string, typed string) (offers []string, _ cobra.ShellCompDirective) {
	kernel := cmd.Name() == "table"
	columns := control.Orders
	if o.group != "" {
		columns = control.GroupOrders
	}
	dash := typed[:len(typed)-len(strings.TrimPrefix(typed, "-"))]
	for _, c := range columns {
		counted := c == "packets" || c == "bytes"
		if c == "idle" && kernel || counted && !kernel || !strings.HasPrefix(dash+c, typed) {
			continue
		}
		offers = append(offers, dash+c)
	}
	return offers, noFiles
}

// completeFilter offers keys and their values for the last word of a filter; live returns the values that flows have which
// the words before it let through (nil = all), with how many there are of each. A key that is the only one is offered
// with its values, because shells close quotes behind a single offer.
func completeFilter(typed string, live func(key string, filter *expr.Expr) []control.Group) (offers []string) {
	at := strings.LastIndexAny(typed, " (!") + 1
	if relation := strings.IndexByte(typed[at:], '='); relation == 0 { // the ! of key!=value
		at = strings.LastIndexAny(typed[:at-1], " (!") + 1
	}
	before, word := typed[:at], typed[at:]
	var matching []expr.Key
	for _, k := range expr.Keys() {
		for _, relation := range []string{":", "=", "!="} {
			if values, ok := strings.CutPrefix(word, k.Name+relation); ok {
				return completeValue(before, k.Name+relation, values, k, live)
			}
		}
		if strings.HasPrefix(k.Name, word) {
			matching = append(matching, k)
			offers = append(offers, before+k.Name+":\t"+k.Doc)
		}
	}
	if len(matching) == 1 {
		offers = append(offers, completeValue(before, matching[0].Name+":", "", matching[0], live)...)
	}
	return offers
}

// completeValue offers what can follow the last comma of values.
func completeValue(before, key, values string, k expr.Key, live func(string, *expr.Expr) []control.Group) (offers []string) {
	last := strings.LastIndexByte(values, ',') + 1
	offer := func(value, doc string) {
		if strings.HasPrefix(value, values[last:]) && len(offers) < offerMost {
			offers = append(offers, before+key+values[:last]+value+doc)
		}
	}
	for _, v := range k.Values {
		offer(v, "")
	}
	if groupOf[k.Name] == "" {
		return offers
	}
	filter, err := expr.Parse(strings.TrimRight(before, " (!"))
	if err != nil { // not finished, or empty
		filter = nil
	}
	seen := map[string]bool{}
	for _, g := range live(k.Name, filter) {
		value := g.Key
		if k.Name == "dport" {
			_, port, named := strings.Cut(value, "/")
			if !named { // a protocol without ports
				continue
			}
			value = port
		}
		if plain(value) && !seen[value] {
			seen[value] = true
			offer(value, fmt.Sprintf("\t%d flows (%s)", g.Flows, g.Key))
		}
	}
	return offers
}

// plain says whether a value means nothing to a shell: names of helpers come from the peer, and what is offered ends up on
// a command line.
func plain(value string) bool {
	return value != "" && strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-") == ""
}

// values asks the daemon for the values of a key: of the external cache where the command is about it, else of the
// internal one, which has what the kernel's table has and costs the kernel nothing. Without a daemon there are none.
func (a *app) values(ctx context.Context, args []string, key string, filter *expr.Expr) []control.Group {
	ctx, cancel := context.WithTimeout(ctx, offerWait)
	defer cancel()
	q := control.FlowQuery{Table: control.TableInternal, Group: groupOf[key], Filter: filter, Limit: control.MaxSorted}
	if slices.Contains(args, control.CacheExternal) {
		q.Table = control.TableExternal
	}
	c := control.New(a.socket)
	defer c.Close()
	g, err := c.Groups(ctx, q)
	if err != nil && filter != nil { // of what a cache does not have
		q.Filter = nil
		g, err = c.Groups(ctx, q)
	}
	if err != nil {
		return nil
	}
	return g.Groups
}

// offerNotify offers the states for the first word of a notification and the daemon's sync-group for the second.
func (a *app) offerNotify(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return []string{"master", "backup", "fault", "stop"}, noFiles
	case 1:
		ctx, cancel := context.WithTimeout(cmd.Context(), offerWait)
		defer cancel()
		c := control.New(a.socket)
		defer c.Close()
		if s, err := c.Status(ctx); err == nil && plain(s.SyncGroup) {
			return []string{s.SyncGroup + "\tthe daemon's sync-group"}, noFiles
		}
	}
	return nil, noFiles
}
