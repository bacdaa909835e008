// Package tui is the monitor: it shows a daemon in the terminal, through the control client.
//
// Update does no input or output. It returns commands, whose answers come back as messages. View only reads the model,
// whose time is that of the last tick. The daemon pages, sorts, filters and counts. The table keeps a few screens of
// rows around the visible ones, so that most keys need no answer from the daemon.
//
// Each view is a screen in a file of its own: its keys, what it asks the daemon for, how it draws the answer. The views
// share these files:
//
//	screen.go   the interface of a view, and the list of all views
//	monitor.go  what all views have in common
//	model.go    the frame around them: messages, time, pause
//	frame.go    the frame as drawn: header, tabs, body, bottom line
//	keys.go     keys: when they work, what they do, what help says about them
//	prompt.go   the line that the user types
//	pace.go     how often the daemon is asked
//	grid.go     columns fitted into a width, and cards where they do not fit
//	list.go     which rows are visible and which one is selected
//	style.go    colours and signs; each colour has a second cue
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

// Options are the flags of the command.
type Options struct {
	Write   bool // the user may run operations such as commit
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
	defer cancel() // ends the requests and streams that are still open
	m := New(ctx, client, opt).(*model)
	m.look = lookOf(opt, os.Getenv)
	m.out = out
	if rows, columns, err := Size(os.Stdout); err == nil { // the first picture has the right size
		m.height, m.width = rows, columns
	}
	if host, err := os.Hostname(); err == nil {
		m.host = host
	}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithAltScreen(), tea.WithMouseCellMotion(), tea.WithOutput(out),
		tea.WithFilter(sized),
		// Signals end ctx. A second handler in Bubble Tea waits for ever if ctx has ended the loop before it.
		tea.WithoutSignalHandler())
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // the caller ended it
	}
	return err
}

// New returns the monitor as a Bubble Tea model. It draws for 80×24 until it gets a tea.WindowSizeMsg. Its requests to
// the daemon end with ctx.
func New(ctx context.Context, client *control.Client, opt Options) tea.Model {
	return newModel(ctx, client, opt)
}

// lookOf decides how to draw from what the environment says about the terminal. NO_COLOR: https://no-color.org.
func lookOf(opt Options, env func(string) string) look {
	term := env("TERM")
	mono := term == "" || term == "dumb" || term == "unknown" || strings.HasPrefix(term, "vt")
	l := look{colour: !opt.NoColor && env("NO_COLOR") == "" && !mono}
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
