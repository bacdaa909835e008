package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
)

// --follow prints each line once, and goes on after a restart of the daemon.
func TestFollowLog(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The lines that the daemon keeps, from ID 1.
	pages := [][]string{{"one", "two"}, {"one", "two"}, {"one", "two", "three"}, {"restarted"}}
	asked := 0
	b := fakeDaemon("plain")
	b.Log = func(after uint64) control.LogPage {
		lines := pages[min(asked, len(pages)-1)]
		if after > 0 || asked == 0 { // after a restart the same page is asked for again
			asked++
		}
		p := control.LogPage{Last: uint64(len(lines))}
		for i := after; i < p.Last; i++ {
			p.Lines = append(p.Lines, control.LogLine{ID: i + 1, Time: at(0), Level: "INFO", Text: lines[i]})
		}
		return p
	}
	out := &framesWriter{left: 4, cancel: cancel}
	var errs bytes.Buffer
	a := &app{stdout: out, stderr: &errs, socket: serveFake(t, b)}
	if err := a.log(ctx, 0, time.Millisecond); !errors.Is(err, context.Canceled) || errs.Len() > 0 {
		t.Errorf("%v: %s", err, errs.String())
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.TrimSpace(line[strings.Index(line, "INFO")+4:]))
	}
	if want := "one two three restarted"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}
