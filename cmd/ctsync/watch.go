package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"ctsync/daemon/control"
	"ctsync/tui"
	"ctsync/tui/printable"
)

// Escape sequences of terminals.
const (
	clearScreen = "\x1b[H\x1b[2J"
	cursorHome  = "\x1b[H"
	clearRest   = "\x1b[K" // of the line
	clearBelow  = "\x1b[J"
)

// watchEvery is the interval of --watch without a value.
const watchEvery = 2 * time.Second

// watchFlag adds --watch to cmd.
func watchFlag(cmd *cobra.Command, every *time.Duration) {
	cmd.Flags().DurationVar(every, "watch", 0, "repeat until interrupted: --watch or --watch=5s")
	cmd.Flags().Lookup("watch").NoOptDefVal = watchEvery.String()
}

// repeat calls show once, or with --watch repeatedly until it is interrupted. On a terminal each picture replaces the
// one before, notes on stderr included, and show gets the number of rows, so that it need not ask for more. Elsewhere
// rows is 0, and each picture stands between a line with the time (not with --json) and an empty line.
func (a *app) repeat(ctx context.Context, every time.Duration, show func(ctx context.Context, rows int) error) error {
	switch {
	case every < 0:
		return usageError{fmt.Errorf("--watch %v: want a time such as 2s", every)}
	case every == 0:
		return show(ctx, 0)
	}
	out, notes := a.stdout, a.stderr
	defer func() { a.stdout, a.stderr = out, notes }()
	for first := true; ; first = false {
		rows, columns := terminalSize(out)
		var frame bytes.Buffer
		a.stdout = &printable.Writer{To: &frame}
		if rows > 0 {
			a.stderr = a.stdout
		}
		if err := show(ctx, rows); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		head := time.Now().Local().Format(timeLayout) + "\n"
		if a.json {
			head = ""
		}
		if err := writeFrame(out, head, frame.Bytes(), rows, columns, first); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// fitting limits q to the rows of a terminal. 0 means no terminal, and no limit.
func fitting(q control.FlowQuery, rows int) control.FlowQuery {
	if rows > 0 && (q.Limit == 0 || q.Limit > rows) {
		q.Limit = rows
	}
	return q
}

// writeFrame writes one picture. Where there is no terminal, rows is 0, and head is written before the picture.
func writeFrame(w io.Writer, head string, frame []byte, rows, columns int, first bool) error {
	if rows == 0 {
		_, err := fmt.Fprintf(w, "%s%s\n", head, frame)
		return err
	}
	var b bytes.Buffer
	b.WriteString(cursorHome)
	if first {
		b.WriteString(clearScreen)
	}
	n := 0
	for line := range bytes.Lines(frame) {
		if n++; n == rows { // the last row stays empty, so that nothing scrolls
			break
		}
		b.WriteString(fit(string(bytes.TrimSuffix(line, []byte("\n"))), columns) + clearRest + "\r\n")
	}
	b.WriteString(clearBelow)
	_, err := bare(w).Write(b.Bytes())
	return err
}

// tabStop is the distance of a terminal's tab stops, in cells.
const tabStop = 8

// fit cuts a line to the cells of a terminal's row. It replaces tabs by blanks, because the width of a tab depends on
// its place.
func fit(line string, columns int) string {
	var b strings.Builder
	for i, part := range strings.Split(line, "\t") {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", tabStop-ansi.StringWidth(b.String())%tabStop))
		}
		b.WriteString(part)
	}
	return ansi.Truncate(b.String(), columns, "")
}

// terminalSize returns the size of the terminal w, or 0, 0 if w is no terminal.
func terminalSize(w io.Writer) (rows, columns int) {
	f, ok := bare(w).(*os.File)
	if !ok {
		return 0, 0
	}
	rows, columns, err := tui.Size(f)
	if err != nil {
		return 0, 0
	}
	return rows, columns
}
