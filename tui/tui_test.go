package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"ctsync/daemon/control"
)

func sample() model {
	m := newModel(control.New("/nonexistent"))
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	t := control.Transition{State: "MASTER", Group: "syncgrp", Outcome: "done", Received: at, Commit: &control.CommitResult{
		Created: 41, Updated: 1, Failed: 2, Named: []string{"tcp 10.0.0.1:1 → 10.0.0.2:2: ENOMEM"}, Duration: control.Duration(time.Second),
	}}
	m = m.take(stateMsg{
		at:          at,
		status:      control.Status{Role: "master", RoleSince: at, SyncGroup: "syncgrp", Interface: "eth0", Why: []string{"the peer has been silent for 9s"}, LastTransition: &t},
		statistics:  control.Statistics{Internal: control.CacheStats{Active: 1234}},
		transitions: []control.Transition{t},
	})
	for i := range 200 {
		m.rows = append(m.rows, fmt.Sprintf("%-10d 10.0.0.%d:1000          10.0.0.2:443           tcp [6] ES       431999", i, i%250))
	}
	return m
}

// TestGeometry draws every view at every small size: the frame never exceeds the terminal, and nothing panics.
func TestGeometry(t *testing.T) {
	m := sample()
	for v := range views {
		for h := 0; h <= 40; h++ {
			for _, w := range []int{0, 1, 2, 3, 10, 39, 79, 80, 81, 200} {
				m.view, m.width, m.height = v, w, h
				lines := strings.Split(m.View(), "\n")
				if h > 0 && w > 0 && len(lines) != h {
					t.Fatalf("%s at %dx%d has %d lines", viewNames[v], w, h, len(lines))
				}
				for _, l := range lines {
					if ansi.StringWidth(l) > w {
						t.Fatalf("%s at %dx%d has a line of %d columns: %q", viewNames[v], w, h, ansi.StringWidth(l), l)
					}
				}
			}
		}
	}
}

func TestViews(t *testing.T) {
	m := sample()
	m.width = 200
	for v, want := range map[view][]string{
		viewOverview:    {"master since", "1234 flows", "in step", "no", "silent for 9s", "42 flows committed"},
		viewTable:       {"internal, flows from 1", "CONN ID", "10.0.0.2:443"},
		viewTransitions: {"MASTER", "MASTER done", "ENOMEM"},
	} {
		m.view = v
		text := ansi.Strip(m.View())
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q:\n%s", viewNames[v], w, text)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	press := func(m model, keys ...string) model {
		for _, k := range keys {
			next, _ := m.key(k)
			m = next.(model)
		}
		return m
	}
	m := sample()
	if got := press(m, "tab").view; got != viewTable {
		t.Errorf("tab shows %s", viewNames[got])
	}
	if got := press(m, "3", "1").view; got != viewOverview {
		t.Errorf("1 shows %s", viewNames[got])
	}
	if got := press(m, "2", "t", "t").table; tables[got] != control.TableKernel {
		t.Errorf("t twice shows %s", tables[got])
	}
	if got := press(m, "2", "j", "j", "k").skip; got != 1 {
		t.Errorf("j j k skips %d", got)
	}
	if got := press(m, "2", "k").skip; got != 0 {
		t.Errorf("k at the top skips %d", got)
	}
	if got := press(m, "j").skip; got != 0 {
		t.Errorf("j outside the table skips %d", got)
	}
	if !press(m, "p").paused {
		t.Error("p does not pause")
	}
	if _, cmd := m.key("q"); cmd == nil || cmd() != tea.Quit() {
		t.Error("q does not quit")
	}
}

func TestLostDaemonKeepsOldData(t *testing.T) {
	m := sample()
	m.width = 120
	m = m.take(stateMsg{err: errors.New("gone")})
	text := ansi.Strip(m.View())
	if !strings.Contains(text, "old data") || !strings.Contains(text, "1234 flows") {
		t.Errorf("view of a lost daemon:\n%s", text)
	}
}
