package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// logQueue is how many lines may wait for a log that is stuck: a syslog daemon that was stopped, a pipe that nobody
// reads. Further lines are dropped and counted, because logging must not block the core loop.
const logQueue = 1024

// flushTime bounds how long the daemon waits at its end for the last lines to be written.
const flushTime = 200 * time.Millisecond

// queue lies between the logger and an output while the daemon runs.
type queue struct {
	on      atomic.Bool // lines go through the queue
	lines   chan queued
	dropped atomic.Uint64
}

type queued struct {
	severity int
	line     string
}

// start starts a goroutine that writes the lines from now on. stop writes the lines that wait and ends the goroutine.
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
		o.print(severityWarning, fmt.Sprintf("%d log lines were dropped: the log did not accept them in time", n))
	}
	_ = o.write(l.severity, l.line) // an error of the log cannot be logged
}

// pass puts a line into the queue, or writes it when no queue is running.
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
