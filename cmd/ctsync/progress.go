package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// progress shows the progress of an operation on one line of a terminal.
type progress struct {
	w     io.Writer // nil where there is no terminal
	name  string
	shown bool
}

// newProgress returns a progress that shows nothing unless w is a terminal.
func newProgress(w io.Writer, name string) *progress {
	f, ok := bare(w).(*os.File)
	if !ok {
		return &progress{}
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return &progress{}
	}
	return &progress{w: f, name: name}
}

// clearLine returns to the start of the line and erases it.
const clearLine = "\r\x1b[K"

func (p *progress) show(done, total int) {
	if p.w == nil {
		return
	}
	p.shown = true
	if total > 0 {
		fmt.Fprintf(p.w, "%s%s: %d of %d (%d %%)", clearLine, p.name, done, total, done*100/total)
		return
	}
	fmt.Fprintf(p.w, "%s%s: %d", clearLine, p.name, done)
}

// say shows what the operation waits for.
func (p *progress) say(what string) {
	if p.w == nil {
		return
	}
	p.shown = true
	fmt.Fprintf(p.w, "%s%s: %s", clearLine, p.name, what)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, clearLine)
	}
}
