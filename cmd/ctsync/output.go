package main

import (
	"encoding/json"
	"fmt"
	"io"

	"ctsync/tui/printable"
)

// bare returns what w writes to without escaping, for those who draw on a terminal by sequences of their own.
func bare(w io.Writer) io.Writer {
	if p, ok := w.(*printable.Writer); ok {
		return p.To
	}
	return w
}

// print writes finished text to stdout.
func (a *app) print(b []byte) error {
	if _, err := a.stdout.Write(b); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// printJSON writes v as indented JSON to stdout.
func (a *app) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return a.print(append(b, '\n'))
}
