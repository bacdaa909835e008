package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// tableEmpty explains an empty table, as VyOS's documentation does.
const tableEmpty = "The table is empty. If there should be connections, conntrack is not enabled: " +
	"create a NAT or a firewall rule.\n"

func (a *app) showTable() *cobra.Command {
	o := &listOptions{}
	cmd := &cobra.Command{
		Use: "table [ipv4|ipv6]", Short: "Show the kernel's conntrack table", Args: words("ipv4", "ipv6"),
		ValidArgs: []string{"ipv4", "ipv6"},
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := o.query(control.TableKernel)
			if err != nil {
				return err
			}
			if q.Family, err = family(args); err != nil {
				return err
			}
			return a.repeat(cmd.Context(), o.watch, func(ctx context.Context, rows int) error {
				return a.table(ctx, fitting(q, rows), o)
			})
		},
	}
	o.flags(a, cmd)
	return cmd
}

// family reads the word ipv4 or ipv6 at the end of a command. 0 means both.
func family(args []string) (flow.Family, error) {
	if len(args) == 0 {
		return 0, nil
	}
	f, err := flow.ParseFamily(args[0])
	if err != nil {
		return 0, usageError{err}
	}
	return f, nil
}

// table prints the kernel's table.
func (a *app) table(ctx context.Context, q control.FlowQuery, o *listOptions) error {
	switch {
	case q.Group != "":
		return a.groups(ctx, q)
	case a.json:
		_, err := a.list(ctx, q, control.FormatNDJSON, heading{})
		return err
	case o.wide:
		_, err := a.list(ctx, q, control.FormatConntrack, heading{})
		return err
	case q.Family != 0:
		return a.tables(ctx, q, q.Family)
	}
	return a.tables(ctx, q, flow.IPv4, flow.IPv6)
}

// tables prints VyOS's table of each family below one legend. It leaves out a second family without flows.
func (a *app) tables(ctx context.Context, q control.FlowQuery, families ...flow.Family) error {
	list := func(f flow.Family, h heading) (listed, error) {
		q.Family = f
		return a.list(ctx, q, control.FormatVyOS, h)
	}
	if q.Sort != "" && len(families) > 1 {
		rows, err := a.sortedRows(ctx, q)
		if err != nil {
			return err
		}
		list = func(f flow.Family, h heading) (listed, error) { return a.below(h, bytes.NewReader(rows[f])) }
	}
	var total listed
	for i, f := range families {
		h := heading{text: flow.VyOSHeaderIPv4 + "\n", always: i == 0}
		if f == flow.IPv6 {
			h.text = flow.VyOSHeaderIPv6 + "\n"
		}
		if h.always {
			h.text = flow.VyOSLegend + "\n\n" + h.text
		} else if total.bytes > 0 {
			h.text = "\n" + h.text
		}
		n, err := list(f, h)
		if err != nil {
			return err
		}
		total.bytes += n.bytes
		if q.Limit > 0 && q.Sort == "" { // the limit counts both tables together, as it does in a sorted list
			if q.Limit -= n.lines; q.Limit <= 0 {
				return nil
			}
		}
	}
	if total.bytes == 0 && q.Filter == nil {
		fmt.Fprint(a.stderr, tableEmpty)
	}
	return nil
}

// sortedRows asks for a sorted list of both families and returns the rows of each, so that the limit counts both
// together. It holds the whole list, at most control.MaxSorted flows: the second table needs rows from all of it.
func (a *app) sortedRows(ctx context.Context, q control.FlowQuery) (map[flow.Family][]byte, error) {
	rows, n := map[flow.Family][]byte{}, 0
	err := a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		return c.Flows(ctx, q, func(e control.Entry) error {
			f, err := e.Flow()
			if err != nil {
				return fmt.Errorf("read flow: %w", err)
			}
			n++
			rows[f.Orig.Family] = append(flow.AppendVyOS(rows[f.Orig.Family], &f), '\n')
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	a.sayEnd(q, n)
	return rows, nil
}

// heading is the text above a list.
type heading struct {
	text   string
	always bool // also above an empty list
}

// listed is the length of a list without its heading.
type listed struct {
	bytes int64
	lines int
}

// list prints a list of flows below a heading. With --json it prints one object per line and no heading.
func (a *app) list(ctx context.Context, q control.FlowQuery, format control.Format, h heading) (n listed, err error) {
	if a.json {
		format, h = control.FormatNDJSON, heading{}
	}
	err = a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		r, err := c.FlowText(ctx, q, format)
		if err != nil {
			return err
		}
		defer r.Close()
		n, err = a.below(h, r)
		return err
	})
	if err == nil {
		a.sayEnd(q, n.lines)
	}
	return n, err
}

// below copies r to the output, below a heading.
func (a *app) below(h heading, r io.Reader) (n listed, err error) {
	w := &headed{w: a.stdout, head: h.text}
	if h.always {
		if _, err := w.Write(nil); err != nil {
			return n, fmt.Errorf("write output: %w", err)
		}
	}
	n.bytes, err = spool(w, r)
	n.lines = w.lines
	return n, err
}

// sayEnd prints a note when a sorted list is as long as the daemon makes one, so that there may be more flows.
func (a *app) sayEnd(q control.FlowQuery, lines int) {
	if q.Sort != "" && lines == control.MaxSorted {
		fmt.Fprintf(a.stderr, "ctsync: a sorted list ends after %d flows: narrow it by --filter\n", control.MaxSorted)
	}
}

// headed writes a heading before the first write, and counts the lines below it.
type headed struct {
	w     io.Writer
	head  string
	lines int
}

func (h *headed) Write(b []byte) (int, error) {
	if h.head != "" {
		if _, err := io.WriteString(h.w, h.head); err != nil {
			return 0, err
		}
		h.head = ""
	}
	h.lines += bytes.Count(b, []byte("\n"))
	return h.w.Write(b)
}
