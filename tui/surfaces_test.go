package tui

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"ctsync/daemon/control"
	"ctsync/daemon/controltest"
)

// TestSnapshotOnTheScreen draws a snapshot in which every field has a value of its own, and writes down which field
// stands where: a number beside the wrong words changes the golden file. The other surfaces are compared in cmd/ctsync.
func TestSnapshotOnTheScreen(t *testing.T) {
	s, leaves := controltest.Snapshot()
	with := s // a daemon that keeps an external cache, and one that does not
	with.Statistics.Inject, with.Status.Injecting, with.Status.LastTransition = nil, false, nil
	var all strings.Builder
	for _, one := range []control.Snapshot{with, s} {
		for _, v := range []int{viewOverview, viewLinks} {
			m := newModel(context.Background(), control.New("/nonexistent"), Options{NoColor: true})
			m.host, m.now, m.units = "router1", time.Unix(200_000, 0).UTC(), unitExact
			m.state.Snapshot, m.state.read, m.shown, m.width, m.height = one, m.now, m.screens[v], 600, 100
			m.table().sized()
			screen := ansi.Strip(m.View())
			for _, l := range leaves {
				text := fmt.Sprint(l.Value)
				if n, err := strconv.ParseUint(text, 10, 64); err == nil {
					text = grouped(n)
				}
				screen = regexp.MustCompile(`\b`+regexp.QuoteMeta(text)+`\b`).ReplaceAllString(screen, "<"+l.Path+">")
			}
			for line := range strings.Lines(screen) {
				if line = strings.TrimRight(line, " \n"); line != "" {
					all.WriteString(line + "\n")
				}
			}
		}
	}
	golden(t, "surfaces", all.String())
}
