package control

import (
	"encoding/json"
	"net/http"
	"time"
)

// progressEvery bounds how often progress is written: what a terminal can show.
const progressEvery = 100 * time.Millisecond

// action runs an Action and streams its progress. The HTTP status is sent with the first line, so an error that comes
// before any progress still has a fitting one.
func (s *Server) action(w http.ResponseWriter, r *http.Request) {
	var a Action
	if err := readJSON(w, r, &a); err != nil {
		s.refuse(w, err)
		return
	}
	if err := a.Validate(); err != nil {
		s.refuse(w, asError(err))
		return
	}
	out := lines{w: w, rc: http.NewResponseController(w)}
	var last time.Time
	res, err := s.backend.Action(s.ctx, a, func(done, total int) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			out.write(ActionLine{Progress: &Progress{Done: done, Total: total}})
		}
	})
	switch {
	case err == nil:
		out.write(ActionLine{Result: &res})
	case out.begun:
		out.write(ActionLine{Error: asError(err)})
	default:
		s.refuse(w, asError(err))
	}
}

// lines writes NDJSON to a client that may be gone: the action is finished all the same.
type lines struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	begun bool
	gone  bool
}

// lineTimeout is how long a client that watches an action may leave a line unread. It is short because the action
// waits for it.
const lineTimeout = 200 * time.Millisecond

func (l *lines) write(v ActionLine) {
	if l.gone {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	wait := lineTimeout
	if v.Progress == nil {
		wait = answerTimeout
	}
	_ = l.rc.SetWriteDeadline(time.Now().Add(wait))
	if _, err := l.w.Write(append(b, '\n')); err != nil || l.rc.Flush() != nil {
		l.gone = true
	}
}
