package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
)

// Sequences of a terminal.
const (
	clearScreen = "\x1b[H\x1b[2J"
	cursorHome  = "\x1b[H"
	clearRest   = "\x1b[K" // of the line
	clearBelow  = "\x1b[J"
)

// repeat shows something once, or again and again with --watch until it is interrupted. A terminal is redrawn, and no more
// is asked for than it shows; elsewhere a line with the time stands in front of each, unless that is JSON, and an empty line
// behind it.
func (a *app) repeat(ctx context.Context, o *listOptions, q *control.FlowQuery, show func(context.Context) error) error {
	if o.watch == 0 {
		return show(ctx)
	}
	out := a.stdout
	defer func() { a.stdout = out }()
	limit := q.Limit
	for first := true; ; first = false {
		rows, columns := terminalSize(out)
		if rows > 0 && (limit == 0 || limit > rows) {
			q.Limit = rows
		}
		var frame bytes.Buffer
		a.stdout = &frame
		if err := show(ctx); err != nil {
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
		case <-time.After(o.watch):
		}
	}
}

// writeFrame writes one picture; rows is 0 where there is no terminal, and only there head stands in front.
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
		if n++; n == rows { // the last row stays free, so that nothing scrolls
			break
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		b.Write(line[:min(len(line), columns)])
		b.WriteString(clearRest + "\r\n")
	}
	b.WriteString(clearBelow)
	_, err := w.Write(b.Bytes())
	return err
}

// terminalSize returns the size of the terminal that w is, or 0, 0.
func terminalSize(w io.Writer) (rows, columns int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	if size.Row == 0 || size.Col == 0 { // a terminal that does not know
		return 24, 80
	}
	return int(size.Row), int(size.Col)
}
