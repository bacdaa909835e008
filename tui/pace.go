package tui

import (
	"context"
	"errors"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

const (
	// beat is the time between two ticks. Nothing is asked more often than that, also if keys change the question
	// faster. The only exception are the windows of a list while the user scrolls.
	beat = 500 * time.Millisecond
	// stateEvery is how often status and statistics are read. Each reading is one value of the graphs.
	stateEvery = time.Second
	// retryEvery is how often a failed question is repeated that makes the daemon dump the kernel's table.
	retryEvery = 5 * time.Second
	// share limits the daemon's work for one question: if it took t, it is not repeated for share times t.
	share = 9
	// stateTimeout is for questions that the daemon answers from memory. If it does not, it is shown as lost.
	stateTimeout = 2 * time.Second
	// listTimeout is for questions that make the daemon walk a whole table.
	listTimeout = 2 * time.Minute
)

// pacer allows one open question of a kind at a time, and limits how often it is asked.
type pacer struct {
	serial uint64 // of the newest question: answers to older ones are ignored
	busy   bool   // it has no answer yet
	began  time.Time
	due    time.Time // when it may be asked again
	cancel context.CancelFunc
}

// answer is the answer to a question, as a message. asked and at are times of this machine's clock.
type answer[T any] struct {
	of        *pacer // of the question: only to be compared
	serial    uint64
	asked, at time.Time
	value     T
	err       error
}

func (a answer[T]) pacer() *pacer { return a.of }

// ask returns the command that asks a question. It cancels the last one if that has no answer yet. f runs in a
// goroutine of its own.
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
		a := answer[T]{of: p, serial: serial, asked: time.Now()}
		a.value, a.err = f(ctx)
		a.at = time.Now()
		return a
	}
}

// drop cancels the open question. The daemon then stops working on it.
func (p *pacer) drop() {
	if p.busy {
		p.cancel()
		p.busy = false
		p.serial++
	}
}

// taken notes an answer, and reports whether it answers the open question.
func taken[T any](p *pacer, a answer[T], every time.Duration) bool {
	if a.serial != p.serial || !p.busy {
		return false
	}
	p.busy = false
	if p.due = a.at.Add(every); a.err == nil { // a failure may take long without any work
		p.due = a.asked.Add(max(every, (share+1)*a.at.Sub(a.asked)))
	}
	return true
}

// reading is a question that is repeated. Whoever embeds it has the answer.
type reading struct {
	pace pacer
	read time.Time // when the shown answer came; zero = not yet
	err  error     // of the last question
}

func (r *reading) unread() bool    { return r.read.IsZero() }
func (r *reading) paces() []*pacer { return []*pacer{&r.pace} }

// fresh notes an answer, and reports whether its value is to be shown.
func fresh[T any](r *reading, a answer[T], every time.Duration) bool {
	if !taken(&r.pace, a, every) {
		return false
	}
	if r.err = a.err; a.err == nil {
		r.read = a.at
	}
	return a.err == nil
}

// ready reports whether the question may be asked now. Ticks are not exact: half a beat early is in time.
func (p *pacer) ready(now time.Time) bool { return !p.busy && !now.Add(beat/2).Before(p.due) }

// disabled reports whether the daemon is configured without what was asked for: with disable-external-cache it has no
// external cache.
func disabled(err error) bool {
	var e *control.Error
	return errors.As(err, &e) && e.Code == control.CodeDisabled
}
