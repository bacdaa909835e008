package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ctsync/daemon/flow"
)

const (
	// maxStreams bounds the lists that are being read at a time: each holds a buffer and perhaps a kernel dump.
	maxStreams = 16
	// streamBuffer is how much text is gathered before it is written.
	streamBuffer = 64 << 10
	// errorTrailer is where an error goes that ends a list of which a part was already sent.
	errorTrailer = "Ctsync-Error"
)

// errGone ends a list whose reader went away.
var errGone = errors.New("reader is gone")

// flows streams a list. The text is made here, not in the client, so that 100 000 lines are one copy through it.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	q, err := parseFlowQuery(r.URL.Query())
	if err != nil {
		s.refuse(w, asError(err))
		return
	}
	format, err := parseFormat(r.URL.Query())
	if err == nil && format == FormatVyOS && q.Entries == EntriesExpect {
		err = badQuery("format", r.URL.Query(), "conntrackd, xml or ndjson for expectations")
	}
	if err != nil {
		s.refuse(w, asError(err))
		return
	}
	if !s.takeStream(w) {
		return
	}
	defer func() { <-s.streams }()
	out := &stream{
		w: w, rc: http.NewResponseController(w), timeout: s.streamTimeout,
		format: format, external: q.Table == TableExternal, now: time.Now(),
	}
	// The deadline for reading the request would also end the watch for a reader who goes away, as if he had gone.
	_ = out.rc.SetReadDeadline(time.Time{})
	if q.Entries == EntriesExpect {
		out.finish(s.backend.Expectations(r.Context(), q, out.addExpectation))
		return
	}
	out.finish(s.backend.Flows(r.Context(), q, out.add))
}

// takeStream takes one of the places of lists being read, or refuses the request. The caller gives it back.
func (s *Server) takeStream(w http.ResponseWriter) bool {
	select {
	case s.streams <- struct{}{}:
		return true
	default:
	}
	s.refuse(w, &Error{Code: CodeBusy, Message: fmt.Sprintf("%d lists are being read already", maxStreams), Hint: "try again"})
	return false
}

// stream writes flows to one client, in pieces of streamBuffer.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration // for one write

	format   Format
	external bool // the list is of the external cache
	now      time.Time

	buf   []byte
	begun bool
}

func (o *stream) add(f *flow.Flow, m Meta) (err error) {
	o.buf, err = appendFlow(o.buf, o, f, m)
	return o.added(err)
}

func (o *stream) addExpectation(e *flow.Expectation, m Meta) (err error) {
	o.buf, err = appendExpectation(o.buf, o, e, m)
	return o.added(err)
}

// added writes what has gathered when it is enough.
func (o *stream) added(err error) error {
	if err != nil || len(o.buf) < streamBuffer {
		return err
	}
	return o.flush()
}

// begin sends the header. Until then a refusal can still have its own status.
func (o *stream) begin() {
	if o.begun {
		return
	}
	o.begun = true
	h := o.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if o.format == FormatNDJSON {
		h.Set("Content-Type", "application/x-ndjson")
	}
	h.Set("Trailer", errorTrailer)
	o.w.WriteHeader(http.StatusOK)
}

func (o *stream) flush() error {
	o.begin()
	_ = o.rc.SetWriteDeadline(time.Now().Add(o.timeout))
	if _, err := o.w.Write(o.buf); err != nil {
		return errGone
	}
	o.buf = o.buf[:0]
	return nil
}

// finish sends the rest, or says why the list is not complete. What is cut off must not look complete to a reader who is
// still there: then the connection is broken off.
func (o *stream) finish(err error) {
	if errors.Is(err, errGone) || errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler)
	}
	if err != nil && !o.begun {
		refuse(o.w, asError(err))
		return
	}
	if o.flush() != nil || err == nil {
		return
	}
	if b, jerr := json.Marshal(asError(err)); jerr == nil {
		o.w.Header().Set(errorTrailer, string(b))
	}
}
