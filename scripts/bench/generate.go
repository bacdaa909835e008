package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/ctnetlink"
	"ctsync/daemon/flow"
	"ctsync/scripts/lab"
)

// generator changes the table of one router's kernel.
type generator struct {
	conn *ctnetlink.Conn
	buf  []flow.Flow
	errs []unix.Errno
}

// request is a method of ctnetlink.Conn that makes a request for each of several flows.
type request func(*ctnetlink.Conn, []flow.Flow, []unix.Errno) error

var (
	create request = (*ctnetlink.Conn).Create
	update request = (*ctnetlink.Conn).Update
	remove request = (*ctnetlink.Conn).Delete
)

// block is how many flows a generator without a rate puts into one request.
const block = 500

func newGenerator(ns lab.NS) (*generator, error) {
	g := new(generator)
	return g, ns.Do(func() (err error) {
		g.conn, err = ctnetlink.Dial()
		return err
	})
}

func (g *generator) close() error { return g.conn.Close() }

// do makes the request for the flows with the numbers from to to-1. The kernel must accept all of them.
func (g *generator) do(req request, make maker, from, to int) error {
	for at := from; at < to; at += block {
		g.buf = g.buf[:0]
		for i := at; i < min(at+block, to); i++ {
			g.buf = append(g.buf, make(i))
		}
		for len(g.errs) < len(g.buf) {
			g.errs = append(g.errs, 0)
		}
		if err := req(g.conn, g.buf, g.errs); err != nil {
			return err
		}
		for i, errno := range g.errs[:len(g.buf)] {
			if errno != 0 {
				return fmt.Errorf("generate flow %d: the kernel refuses it: %w", at+i, errno)
			}
		}
	}
	return nil
}

// step is how often a generator with a rate writes: often enough that the daemon sees a stream and not bursts.
const step = time.Millisecond

// paced calls do for n items, a few at a time, at the given rate per second. Rate 0 is as fast as possible.
func paced(ctx context.Context, n, rate int, do func(from, to int) error) error {
	start := time.Now()
	for done := 0; done < n; {
		if err := ctx.Err(); err != nil {
			return err
		}
		due := min(done+block, n)
		if rate > 0 {
			time.Sleep(step)
			due = min(int(time.Since(start).Seconds()*float64(rate)), n)
		}
		if err := do(done, due); err != nil {
			return err
		}
		done = due
	}
	return nil
}
