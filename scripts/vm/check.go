package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// check is one thing that is looked at in the machines.
type check struct {
	name  string
	shows string   // in a sentence
	needs []string // checks that go before, because this one builds on what they leave
	run   func(*lab)
	on    use // of router-b; all checks may use router-a
}

// use says how a check uses router-b.
type use int

const (
	alone  use = iota // not at all
	both              // together with router-a
	beside            // while the checks go on that do without it; it may not use router-a
)

// lab is the pair of machines, for a check. Its methods end the check with a failure.
type lab struct {
	ctx  context.Context
	a, b *machine
	say  func(format string, args ...any)
}

// failure is what ends a check.
type failure struct{ error }

func fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// attempt runs a check, and returns why it failed.
func attempt(c check, l *lab) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ours := r.(failure)
			if !ours {
				panic(r)
			}
			err = f
		}
	}()
	c.run(l)
	return nil
}

// commandTime bounds a command of a check unless it says otherwise.
const commandTime = 30 * time.Second

// sh runs a script that must succeed, and returns what it printed.
func (l *lab) sh(m *machine, script string) string { return l.shWithin(m, commandTime, script) }

func (l *lab) shWithin(m *machine, within time.Duration, script string) string {
	out, err := m.run(l.ctx, within, script)
	if err != nil {
		panic(failure{err})
	}
	return strings.TrimSpace(out)
}

// want is sh for a script whose output must match a regular expression.
func (l *lab) want(m *machine, script, pattern string) string {
	out := l.sh(m, script)
	if !regexp.MustCompile(pattern).MatchString(out) {
		fail("%s: want %s, got\n%s", firstLine(script), pattern, tail(out, 30))
	}
	return out
}

// soon is want for a script that may fail, or print something else, for a while.
func (l *lab) soon(m *machine, within time.Duration, script, pattern string) string {
	for deadline := time.Now().Add(within); ; {
		out, err := m.run(l.ctx, commandTime, script)
		switch {
		case err == nil && regexp.MustCompile(pattern).MatchString(out):
			return out
		case l.ctx.Err() != nil:
			panic(failure{context.Cause(l.ctx)})
		case time.Now().After(deadline):
			fail("%s: no %s within %v, got\n%s", firstLine(script), pattern, within, tail(out, 30))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// reboot starts a machine again.
func (l *lab) reboot(m *machine) {
	if err := m.reboot(l.ctx); err != nil {
		panic(failure{err})
	}
}

// choose returns the checks that are named, or all, and what they need, in their order.
func choose(all []check, only string) ([]check, error) {
	if only == "" {
		return all, nil
	}
	wanted := strings.Split(only, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(c check) bool { return c.name == name }) {
			return nil, fmt.Errorf("there is no check %q: see vm list", name)
		}
	}
	var chosen []check
	for _, c := range slices.Backward(all) { // what a check needs stands before it
		if slices.Contains(wanted, c.name) {
			wanted = append(wanted, c.needs...)
			chosen = append(chosen, c)
		}
	}
	slices.Reverse(chosen)
	return chosen, nil
}

// inMachines starts the machines, runs the checks, and returns the names of those that failed.
func inMachines(ctx context.Context, d disk, chosen []check, say func(string, ...any)) (failed []string, err error) {
	dir, err := os.MkdirTemp("", "ctsync-vm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	payload, err := makePayload(ctx, dir)
	if err != nil {
		return nil, err
	}
	say("programs and tests built")
	l := &lab{ctx: ctx, say: say}
	for i, m := range []**machine{&l.b, &l.a} { // the one that survives holds the wires
		if *m, err = startMachine(ctx, d, payload, dir, []string{"router-b", "router-a"}[i], i == 0); err != nil {
			return nil, err
		}
		defer (*m).kill()
	}
	for _, m := range []*machine{l.a, l.b} {
		if err := m.started(ctx); err != nil {
			return nil, err
		}
		say("%s has started: %s", m.name, l.sh(m, "uname -r; systemctl --version | head -1"))
	}
	return l.check(chosen), context.Cause(ctx)
}

// check runs the checks and returns the names of those that failed.
func (l *lab) check(chosen []check) (failed []string) {
	done := make(chan bool)
	running := 0 // checks beside the others
	for _, c := range chosen {
		if c.on != alone {
			for ; running > 0; running-- {
				if !<-done {
					failed = append(failed, "tests")
				}
			}
		}
		switch {
		case l.ctx.Err() != nil:
			return append(failed, c.name)
		case slices.ContainsFunc(c.needs, func(name string) bool { return slices.Contains(failed, name) }):
			l.say("FAIL  %-18s         not tried: another failed that it needs", c.name)
			failed = append(failed, c.name)
		case c.on == beside:
			running++
			go func() { done <- l.try(c) }()
		case !l.try(c):
			failed = append(failed, c.name)
		}
	}
	for ; running > 0; running-- {
		if !<-done {
			failed = append(failed, "tests")
		}
	}
	return failed
}

// try runs a check, and says what became of it.
func (l *lab) try(c check) bool {
	began := time.Now()
	err := attempt(c, l)
	took := time.Since(began).Seconds()
	if err == nil {
		l.say("ok    %-18s %5.1fs  %s", c.name, took, c.shows)
		return true
	}
	m := l.a
	if c.on != alone {
		m = l.b
	}
	text, _ := m.run(l.ctx, commandTime, "journalctl -u ctsyncd -u keepalived -n 20 --no-pager -o short-monotonic")
	l.say("FAIL  %-18s %5.1fs  %s\n%v\njournal of %s:\n%s", c.name, took, c.shows, err, m.name, text)
	return false
}
