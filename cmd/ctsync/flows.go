package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// tableLegend stands above VyOS's "show conntrack table".
const tableLegend = `TCP state codes: SS - SYN SENT, SR - SYN RECEIVED, ES - ESTABLISHED,
                 FW - FIN WAIT, CW - CLOSE WAIT, LA - LAST ACK,
                 TW - TIME WAIT, CL - CLOSE, LI - LISTEN

CONN ID    Source                 Destination            Protocol         TIMEOUT
`

// tableEmpty is what VyOS's documentation notes on an empty table.
const tableEmpty = "The table is empty. If connections are expected, conntrack is not enabled: create a NAT or a firewall rule.\n"

// cacheHeading stands above the lines of a cache, which are conntrackd's.
const cacheHeading = "Main Table Entries:\n\n"

func (a *app) showTable() *cobra.Command {
	return &cobra.Command{
		Use: "table [ipv4|ipv6]", Short: "Show the kernel's conntrack table", Args: words("ipv4", "ipv6"),
		ValidArgs: []string{"ipv4", "ipv6"},
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.FlowQuery{Table: control.TableKernel}
			if len(args) == 1 {
				q.Family = map[string]flow.Family{"ipv4": flow.IPv4, "ipv6": flow.IPv6}[args[0]]
			}
			n, err := a.list(cmd.Context(), q, control.FormatVyOS, tableLegend)
			if err == nil && n == 0 && !a.json {
				fmt.Fprint(a.stderr, tableEmpty)
			}
			return err
		},
	}
}

func (a *app) showCache() *cobra.Command {
	xml := false
	cmd := &cobra.Command{
		Use: "cache internal|external [main|expect]", Short: "Show the entries of a cache (conntrackd -i, -e)", Args: cacheArgs,
		ValidArgs: []string{"internal", "external"},
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.FlowQuery{Table: control.Table(args[0])}
			if len(args) == 2 {
				q.Entries = args[1]
			}
			format, head := control.FormatConntrackd, cacheHeading
			if xml {
				format, head = control.FormatXML, ""
			}
			_, err := a.list(cmd.Context(), q, format, head)
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

// list prints a list of flows below a heading and returns its length in bytes. With --json it prints an object per line
// and no heading.
func (a *app) list(ctx context.Context, q control.FlowQuery, format control.Format, head string) (n int64, err error) {
	if a.json {
		format, head = control.FormatNDJSON, ""
	}
	err = a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		r, err := c.FlowText(ctx, q, format)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := a.print([]byte(head)); err != nil {
			return err
		}
		n, err = spool(a.stdout, r)
		return err
	})
	return n, err
}
