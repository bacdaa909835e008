// Package tui is the monitor: it shows the daemon through the control client, in a terminal.
//
// Update does no input or output: it returns commands, whose answers come back as messages. View is a pure function of
// the model, and the model's time is that of the last tick. The daemon pages, sorts, filters and counts; the model holds
// a window of some screens of rows around the visible ones, so that a key press is answered from here while the next
// window is on its way.
//
// Each view has a file, with what it shows and how it asks for it. What is common to them:
//
//	model.go    the model and its messages
//	pace.go     how often the daemon is asked
//	keys.go     the keys: what they do, where they work, what help says
//	frame.go    header, tabs, body, bottom line
//	grid.go     columns fitted into a width, and cards where they do not fit
//	list.go     which rows are visible and which one is selected
//	style.go    colours and signs, each colour with a second cue
package tui

import (
	"context"
	"errors"
	"os"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	_ "ctsync/tui/quiet" // before Bubble Tea
)

// Options are what the user asked for.
type Options struct {
	Write   bool // operations may be given on a command line
	NoColor bool
}

// Run shows the monitor until the user quits or ctx ends. Standard input and output must be a terminal.
func Run(ctx context.Context, client *control.Client, opt Options) error {
	for _, f := range []*os.File{os.Stdin, os.Stdout} {
		if err := needTerminal(f); err != nil {
			return err
		}
	}
	out := &terminal{File: os.Stdout}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // gives up the questions and streams that are under way
	m := newModel(ctx, client, opt)
	m.look = lookOf(opt, os.Getenv)
	m.out = out
	if host, err := os.Hostname(); err == nil {
		m.host = printable(host)
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithAltScreen(), tea.WithMouseCellMotion(), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // told to end
	}
	return err
}

// New returns the monitor as a Bubble Tea model, in a terminal of 80×24 until a message says another size. Its questions
// to the daemon end with ctx.
func New(ctx context.Context, client *control.Client, opt Options) tea.Model {
	return newModel(ctx, client, opt)
}

// lookOf decides how to draw from what the environment says of the terminal. NO_COLOR: https://no-color.org.
func lookOf(opt Options, env func(string) string) look {
	term := env("TERM")
	l := look{colour: !opt.NoColor && env("NO_COLOR") == "" && term != "dumb" && !strings.HasPrefix(term, "vt")}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set counts: setlocale(3)
		if v := env(name); v != "" {
			charset := strings.ToLower(v)
			l.ascii = !strings.Contains(charset, "utf-8") && !strings.Contains(charset, "utf8")
			return l
		}
	}
	l.ascii = true
	return l
}
