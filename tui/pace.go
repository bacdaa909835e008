package tui

import (
	"context"
	"errors"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

const (
	// beat is how often the monitor looks whether something is to be asked: the same is not asked more often, nor what a key
	// changes. Only windows of a list that is scrolled through follow one another faster.
	beat = 500 * time.Millisecond
	// stateEvery is how often status and statistics are asked for: one value of a graph.
	stateEvery = time.Second
	// retryEvery is how often a question is repeated that failed and costs the daemon a walk of the kernel's table.
	retryEvery = 5 * time.Second
	// share bounds what one question costs the daemon: after one that took t it is left alone for share times t.
	share = 9
	// stateTimeout bounds a question that is answered from memory: a daemon that does not answer is shown as away.
	stateTimeout = 2 * time.Second
	// listTimeout bounds a question for which a whole table is walked.
	listTimeout = 2 * time.Minute
)

// pacer lets one question of a kind be under way at a time, and keeps the distance between them.
type pacer struct {
	serial uint64 // of the newest question: answers to older ones are of no interest
	busy   bool
	began  time.Time
	due    time.Time
	cancel context.CancelFunc
}

// answer is what came of a question. Both times are of this machine's clock.
type answer[T any] struct {
	serial    uint64
	asked, at time.Time
	value     T
	err       error
}

// ask makes the command that asks a question, in place of one that is still under way. f runs in another goroutine than
// what the pacer belongs to.
func ask[T any](
	ctx context.Context, p *pacer, now time.Time, limit time.Duration, f func(context.Context) (T, error),
) tea.Cmd {
	p.drop()
	p.serial++
	p.busy, p.began = true, now
	ctx, cancel := context.WithTimeout(ctx, limit)
	p.cancel = cancel
	serial := p.serial
	return func() tea.Msg {
		defer cancel()
		a := answer[T]{serial: serial, asked: time.Now()}
		a.value, a.err = f(ctx)
		a.at = time.Now()
		return a
	}
}

// drop gives up a question that is under way; the daemon then ends its work for it.
func (p *pacer) drop() {
	if p.busy {
		p.cancel()
		p.busy = false
		p.serial++
	}
}

// taken notes that an answer came and reports whether it is the one that is waited for.
func taken[T any](p *pacer, a answer[T], every time.Duration) bool {
	if a.serial != p.serial || !p.busy {
		return false
	}
	p.busy = false
	if p.due = a.at.Add(every); a.err == nil { // how long a failure took says nothing about the daemon's work
		p.due = a.asked.Add(max(every, (share+1)*a.at.Sub(a.asked)))
	}
	return true
}

// reading is what is read from the daemon over and over, apart from its value.
type reading struct {
	pace pacer
	read time.Time // when what is shown was read; zero = not yet
	err  error     // of the last question
}

func (r *reading) unread() bool    { return r.read.IsZero() }
func (r *reading) paces() []*pacer { return []*pacer{&r.pace} }

// fresh notes that an answer came and reports whether it brings a value that is waited for.
func fresh[T any](r *reading, a answer[T], every time.Duration) bool {
	if !taken(&r.pace, a, every) {
		return false
	}
	if r.err = a.err; a.err == nil {
		r.read = a.at
	}
	return a.err == nil
}

// ready reports whether it is time for a refresh. Half a beat early is in time: beats are not exact.
func (p *pacer) ready(now time.Time) bool { return !p.busy && !now.Add(beat/2).Before(p.due) }

// disabled reports whether the daemon's configuration leaves out what was asked for: with disable-external-cache there is
// no external cache.
func disabled(err error) bool {
	var e *control.Error
	return errors.As(err, &e) && e.Code == control.CodeDisabled
}
