package main

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

// TestLogThatNobodyReads logs into a pipe without a reader: the logger never waits, and a reader who comes later sees
// how many lines were dropped.
func TestLogThatNobodyReads(t *testing.T) {
	r, w := io.Pipe()
	out := &output{kind: logStderr, stderr: w}
	stop := out.start()
	log := out.logger(false)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for range 3 * logQueue {
			log.Info("line")
		}
	}()
	select {
	case <-logged:
	case <-time.After(30 * time.Second):
		t.Fatal("the logger waits for its reader")
	}
	lines := make(chan string, 4*logQueue)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	stop()
	log.Info("after the end")
	w.Close()
	n, notice := 0, ""
	for l := range lines {
		switch {
		case strings.Contains(l, "dropped"):
			notice = l
		default:
			n++
		}
	}
	if n < logQueue || n > logQueue+3 || notice == "" {
		t.Errorf("%d lines, %q; want about %d and how many were dropped", n, notice, logQueue)
	}
}
