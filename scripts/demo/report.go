package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"ctsync/scripts/lab"
)

// round makes a duration readable: milliseconds.
func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// commandLine prints a command as an operator would type it: program and files without their directories.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		words[i] = filepath.Base(w)
	}
	return strings.Join(words, " ")
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// report prints one column for each failover.
func report(runs []*failover) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	row := func(title string, cell func(*failover) string) {
		fmt.Fprint(w, title)
		for _, f := range runs {
			fmt.Fprint(w, "\t", cell(f))
		}
		fmt.Fprintln(w)
	}
	row("", func(f *failover) string { return "sync: " + f.name() })
	row("new master after", func(f *failover) string { return round(f.master.Sub(f.off)).String() })
	row("UDP interruption", func(f *failover) string { return f.traffic(&f.status.UDP) })
	row("TCP interruption", func(f *failover) string { return f.traffic(&f.status.TCP) })
	row("flows committed", func(f *failover) string { return fmt.Sprint(f.flows) })
	row("TCP stream", func(f *failover) string {
		if err := f.lived(); err != nil {
			return "died: " + err.Error()
		}
		return fmt.Sprintf("survived, %.1f MB, checksum right", float64(f.status.TCP.Bytes)/1e6)
	})
	_ = w.Flush()
	b.WriteString("UDP shows when the new master begins to forward. TCP also waits for its next retransmission, and\n" +
		"doubles the time between two of them.\n")
	for _, f := range runs {
		if f.kinds[1] != lab.None {
			fmt.Fprintf(&b, "commit by %s: %s\n", f.kinds[1], f.commit)
		}
	}
	return b.String()
}

// traffic says how long a stream was interrupted.
func (f *failover) traffic(s *Stream) string {
	after, ok := f.resumed(s)
	if !ok {
		return "permanent"
	}
	return fmt.Sprintf("%v (%v after MASTER)", round(f.silence(s)), round(after))
}

// verdict returns nil if the result is as it must be: the stream survives where flows are synchronised, and nowhere
// else.
func verdict(runs []*failover) error {
	for _, f := range runs {
		err := f.lived()
		switch synced := f.kinds[1] != lab.None; {
		case synced && err != nil:
			return fmt.Errorf("with %s the stream did not survive the failover: %w", f.name(), err)
		case !synced && err == nil:
			return fmt.Errorf("the stream survived without synchronisation: this lab proves nothing")
		}
	}
	return nil
}
