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

// Bounds of what is asked of the daemon for offers. Nobody waits longer for a tab, and nobody reads longer lists.
const (
	offerWait = 2 * time.Second
	offerMost = 30
)

// noFiles keeps the shell from offering files as well.
const noFiles = cobra.ShellCompDirectiveNoFileComp

// groupOf has the keys of a filter whose values the daemon can count, and the names by which it groups them.
var groupOf = map[string]string{
	"proto": "protocol", "src": "source", "dst": "destination", "dport": "port",
	"zone": "zone", "mark": "mark", "helper": "helper",
}

const filterUsage = "only flows that match this `FILTER`, such as \"proto:tcp dport:443\": see \"ctsync help filter\""

// filterFlag adds --filter to cmd.
func (a *app) filterFlag(cmd *cobra.Command, filter *string) {
	cmd.Flags().StringVar(filter, "filter", "", filterUsage)
	complete(cmd, "filter", func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		live := func(key string, filter *expr.Expr) []control.Group {
			return a.values(cmd.Context(), args, key, filter)
		}
		return completeFilter(typed, live), noFiles | cobra.ShellCompDirectiveNoSpace
	})
}

// complete sets what is offered for the value of a flag.
func complete(cmd *cobra.Command, flag string, offer cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, offer); err != nil {
		panic(err) // there is no such flag
	}
}

// offerSort offers the columns that the list has, with a dash when one was typed.
func (o *listOptions) offerSort(
	cmd *cobra.Command, _ []string, typed string,
) (offers []string, _ cobra.ShellCompDirective) {
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

// liveValues returns the values of a key among the flows that match filter (nil = all), each with the number of flows.
type liveValues func(key string, filter *expr.Expr) []control.Group

// completeFilter offers keys and their values for the last word of a filter. live gets the words before it. A key that
// is the only match is offered together with its values, because shells close the quotes behind a single offer.
func completeFilter(typed string, live liveValues) (offers []string) {
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

// completeValue offers what can stand behind the last comma of values.
func completeValue(before, key, values string, k expr.Key, live liveValues) (offers []string) {
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
	if err != nil { // it is empty, or not complete
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

// plain reports whether a value has no special meaning for a shell. Names of helpers come from the peer, and an offer
// ends up on a command line.
func plain(value string) bool {
	return value != "" && strings.Trim(value, letters+strings.ToUpper(letters)+"0123456789.:_-") == ""
}

const letters = "abcdefghijklmnopqrstuvwxyz"

// values asks the daemon for the values of a key: in the external cache when the command is about that, else in the
// internal cache, which has the flows of the kernel's table and costs the kernel nothing. Without a daemon there are
// none.
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
	if err != nil && filter != nil { // it may ask for what a cache does not have
		q.Filter = nil
		g, err = c.Groups(ctx, q)
	}
	if err != nil {
		return nil
	}
	return g.Groups
}

// offerNotify offers the states as first argument of a notification, and the daemon's sync-group as second.
func (a *app) offerNotify(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return []string{"master", "backup", "fault", "stop"}, noFiles
	case 1:
		ctx, cancel := context.WithTimeout(cmd.Context(), offerWait)
		defer cancel()
		c := control.New(a.socket)
		defer c.Close()
		if s, err := c.Status(ctx); err == nil && plain(s.Followed().Name) {
			return []string{s.Followed().Name + "\twhat the daemon follows"}, noFiles
		}
	}
	return nil, noFiles
}
