package tui

import (
	"bufio"
	"context"

	"ctsync/daemon/control"
)

// readRows asks for one page of a table, in the layout of `show table`.
func readRows(ctx context.Context, c *control.Client, q control.FlowQuery) ([]string, error) {
	text, err := c.FlowText(ctx, q, control.FormatVyOS)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	var rows []string
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		rows = append(rows, lines.Text())
	}
	return rows, lines.Err()
}
