package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// logQueue is how many lines may wait for a log that does not take them: a syslog daemon that was stopped, a pipe that
// nobody reads. Beyond it they are dropped and counted, for nothing may block the daemon's core loop.
const logQueue = 1024

// flushTime bounds how long the end of the daemon waits for its last lines to leave.
const flushTime = 200 * time.Millisecond

// queue stands between the logger and an output while the daemon runs.
type queue struct {
	on      atomic.Bool
	lines   chan queued
	dropped atomic.Uint64
}

type queued struct {
	severity int
	line     string
}

// start lets a goroutine write the lines from now on. The function it returns writes what waits and ends that.
func (o *output) start() (stop func()) {
	o.queue.lines = make(chan queued, logQueue)
	quit, done := make(chan struct{}), make(chan struct{})
	go o.drain(quit, done)
	o.queue.on.Store(true)
	return func() {
		o.queue.on.Store(false)
		close(quit)
		select {
		case <-done:
		case <-time.After(flushTime):
		}
	}
}

func (o *output) drain(quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	for {
		select {
		case l := <-o.queue.lines:
			o.writeQueued(l)
		case <-quit:
			for {
				select {
				case l := <-o.queue.lines:
					o.writeQueued(l)
				default:
					return
				}
			}
		}
	}
}

func (o *output) writeQueued(l queued) {
	if n := o.queue.dropped.Swap(0); n > 0 {
		o.print(severityWarning, fmt.Sprintf("%d log lines were dropped: the log did not take them", n))
	}
	_ = o.write(l.severity, l.line) // there is nowhere else to say it
}

// pass hands a line to the queue, or writes it where none runs.
func (o *output) pass(severity int, line string) error {
	if !o.queue.on.Load() {
		return o.write(severity, line)
	}
	select {
	case o.queue.lines <- queued{severity, line}:
	default:
		o.queue.dropped.Add(1)
	}
	return nil
}
