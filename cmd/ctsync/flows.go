package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// tableEmpty is what VyOS's documentation notes on an empty table.
const tableEmpty = "The table is empty. If connections are expected, conntrack is not enabled: create a NAT or a firewall rule.\n"

// cacheHeading and expectHeading stand above the lines of a cache, which are conntrackd's.
const (
	cacheHeading  = "Main Table Entries:\n\n"
	expectHeading = "Expect Table Entries:\n\n"
)

func (a *app) showTable() *cobra.Command {
	return &cobra.Command{
		Use: "table [ipv4|ipv6]", Short: "Show the kernel's conntrack table", Args: words("ipv4", "ipv6"),
		ValidArgs: []string{"ipv4", "ipv6"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case a.json && len(args) == 0:
				_, err := a.list(cmd.Context(), control.FlowQuery{Table: control.TableKernel}, control.FormatNDJSON, heading{})
				return err
			case len(args) == 0:
				return a.tables(cmd.Context(), flow.IPv4, flow.IPv6)
			}
			f, err := flow.ParseFamily(args[0])
			if err != nil {
				return usageError{err}
			}
			return a.tables(cmd.Context(), f)
		},
	}
}

// tables prints VyOS's table of each family below one legend. A second family without flows is left out.
func (a *app) tables(ctx context.Context, families ...flow.Family) error {
	var total int64
	for i, f := range families {
		h := heading{text: flow.VyOSHeaderIPv4 + "\n", always: i == 0}
		if f == flow.IPv6 {
			h.text = flow.VyOSHeaderIPv6 + "\n"
		}
		if h.always {
			h.text = flow.VyOSLegend + "\n\n" + h.text
		} else if total > 0 {
			h.text = "\n" + h.text
		}
		n, err := a.list(ctx, control.FlowQuery{Table: control.TableKernel, Family: f}, control.FormatVyOS, h)
		if err != nil {
			return err
		}
		total += n
	}
	if total == 0 && !a.json {
		fmt.Fprint(a.stderr, tableEmpty)
	}
	return nil
}

func (a *app) showCache() *cobra.Command {
	xml := false
	cmd := &cobra.Command{
		Use: "cache internal|external [main|expect]", Short: "Show the entries of a cache (conntrackd -i, -e)", Args: cacheArgs,
		ValidArgs: []string{"internal", "external"},
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.FlowQuery{Table: control.Table(args[0])}
			format, h := control.FormatConntrackd, heading{text: cacheHeading, always: true}
			if len(args) == 2 {
				q.Entries = args[1]
			}
			if q.Entries == control.EntriesExpect {
				h.text = expectHeading
			}
			if xml {
				format, h = control.FormatXML, heading{}
			}
			_, err := a.list(cmd.Context(), q, format, h)
			return err
		},
	}
	cmd.Flags().BoolVar(&xml, "xml", false, "one XML element per line (conntrackd -x)")
	return cmd
}

// cacheArgs checks the words after "show cache".
func cacheArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) > 2 || args[0] != control.CacheInternal && args[0] != control.CacheExternal {
		return usageError{fmt.Errorf("want: show cache internal|external [main|expect]")}
	}
	if len(args) == 2 && args[1] != control.EntriesMain && args[1] != control.EntriesExpect {
		return usageError{fmt.Errorf("unexpected %q: want main or expect", args[1])}
	}
	return nil
}

// heading stands above a list, or is left out together with an empty one unless it is printed always.
type heading struct {
	text   string
	always bool
}

// list prints a list of flows below a heading and returns the length of the list in bytes. With --json it prints an
// object per line and no heading.
func (a *app) list(ctx context.Context, q control.FlowQuery, format control.Format, h heading) (n int64, err error) {
	if a.json {
		format, h = control.FormatNDJSON, heading{}
	}
	err = a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		r, err := c.FlowText(ctx, q, format)
		if err != nil {
			return err
		}
		defer r.Close()
		w := &headed{w: a.stdout, head: h.text}
		if h.always {
			if _, err := w.Write(nil); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
		}
		n, err = spool(w, r)
		return err
	})
	return n, err
}

// headed writes a heading before the first write.
type headed struct {
	w    io.Writer
	head string
}

func (h *headed) Write(b []byte) (int, error) {
	if h.head != "" {
		if _, err := io.WriteString(h.w, h.head); err != nil {
			return 0, err
		}
		h.head = ""
	}
	return h.w.Write(b)
}
