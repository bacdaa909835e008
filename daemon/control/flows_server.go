package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"ctsync/daemon/flow"
)

// Lists that are being read at a time: each holds a buffer, and perhaps a dump of the kernel's table.
var (
	streamRoom = [ranks]int{reader: 16, actor: 8, owner: 16}
	streamEach = [ranks]int{reader: 8, actor: 8, owner: 16}
)

// Lists of events, which do not end by themselves, have fewer places, besides.
var (
	watchRoom = [ranks]int{reader: 4, actor: 4, owner: 4}
	watchEach = [ranks]int{reader: 2, actor: 4, owner: 4}
)

const (
	// streamBuffer is how much text is gathered before it is written.
	streamBuffer = 64 << 10
	// errorTrailer is where an error goes that ends a list of which a part was already sent.
	errorTrailer = "Ctsync-Error"
	// nextTrailer is where a list that stopped at its limit goes on: the from of the next query.
	nextTrailer = "Ctsync-Next"
)

// errGone ends a list whose reader has disconnected.
var errGone = errors.New("reader is gone")

// flows streams a list, or counts it by groups. The text is made here: the client only copies it, 100 000 lines at a
// time.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	q, err := parseFlowQuery(r.URL.Query())
	if err == nil && q.Group != "" {
		s.groups(w, r, q)
		return
	}
	var format Format
	if err == nil {
		format, err = parseFormat(r.URL.Query(), flowFormats)
	}
	if err == nil && (format == FormatVyOS || format == FormatConntrack) && q.Entries == EntriesExpect {
		err = badQuery("format", r.URL.Query(), "conntrackd, xml or ndjson for expectations")
	}
	s.stream(w, r, q, format, err, func(out *stream) error {
		if q.Entries == EntriesExpect {
			return s.backend.Expectations(r.Context(), q, out.addExpectation)
		}
		return s.backend.Flows(r.Context(), q, out.add)
	})
}

// groups answers with one JSON value.
func (s *Server) groups(w http.ResponseWriter, r *http.Request, q FlowQuery) {
	leave, ok := s.enter(w, r, &s.streams)
	if !ok {
		return
	}
	defer leave()
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // as in stream
	g, err := s.backend.Groups(r.Context(), q)
	if err != nil {
		s.refuse(w, asError(err))
		return
	}
	reply(w, http.StatusOK, g)
}

// differences streams the differences between a cache and the kernel's table, and their counts as the last line.
func (s *Server) differences(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q, err := parseDifferenceQuery(v)
	var format Format
	if err == nil {
		format, err = parseFormat(v, lineFormats)
	}
	s.stream(w, r, q, format, err, func(out *stream) error {
		counts, err := s.backend.Differences(r.Context(), q, out.addDifference)
		if err == nil {
			err = out.addCounts(counts)
		}
		return err
	})
}

// events streams the changes of flows until the client disconnects.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q, err := parseEventQuery(v)
	var format Format
	if err == nil {
		format, err = parseFormat(v, lineFormats)
	}
	leave, ok := s.enter(w, r, &s.watches)
	if !ok {
		return
	}
	defer leave()
	s.stream(w, r, q, format, err, func(out *stream) error { return s.backend.Events(r.Context(), q, out.addEvents) })
}

// enter takes one of some places, or refuses.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, of *places) (leave func(), ok bool) {
	c, known := CallerFrom(r.Context())
	u := s.actors.taker(&c, known)
	if full := of.enter(u); full != nil {
		s.noPlace(&c, full)
		s.refuse(w, full)
		return nil, false
	}
	return func() { of.leave(u) }, true
}

// stream answers a query with what write adds to the stream, or refuses it with err.
func (s *Server) stream(
	w http.ResponseWriter, r *http.Request, q FlowQuery, format Format, err error, write func(*stream) error,
) {
	if err != nil {
		s.refuse(w, asError(err))
		return
	}
	leave, ok := s.enter(w, r, &s.streams)
	if !ok {
		return
	}
	defer leave()
	out := &stream{
		w: w, rc: http.NewResponseController(w), timeout: s.streamTimeout,
		format: format, external: q.Table == TableExternal, now: time.Now(), limit: q.Limit,
	}
	if q.Sort != "" {
		out.limit = 0
	}
	// The server watches for a reader that disconnects by reading on. The deadline for reading the request would end
	// that, and look like a reader that is gone.
	_ = out.rc.SetReadDeadline(time.Time{})
	out.finish(write(out))
}

// stream writes flows to one client, in pieces of streamBuffer.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration // for one write

	format   Format
	external bool // the list is of the external cache
	now      time.Time
	limit    int // of a list that can be continued, 0 = none

	place uint32 // of the last flow that was added
	count int

	buf   []byte
	begun bool
}

func (o *stream) add(f *flow.Flow, m Meta) (err error) {
	o.place = m.Place
	o.count++
	o.buf, err = appendFlow(o.buf, o, f, m)
	return o.added(err)
}

func (o *stream) addExpectation(e *flow.Expectation, m Meta) (err error) {
	o.buf, err = appendExpectation(o.buf, o, e, m)
	return o.added(err)
}

// added writes the buffer to the client once it is full.
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
	h.Set("Trailer", errorTrailer+", "+nextTrailer)
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

// finish sends the rest, or says why the list is not complete. A list that was cut off must not look complete to a
// reader that is still there: the connection is then broken off.
func (o *stream) finish(err error) {
	if errors.Is(err, errGone) || errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler)
	}
	if err != nil && !o.begun {
		refuse(o.w, asError(err))
		return
	}
	if o.flush() != nil {
		return
	}
	if err == nil {
		if o.place > 0 && o.count == o.limit {
			o.w.Header().Set(nextTrailer, strconv.FormatUint(uint64(o.place)+1, 10))
		}
		return
	}
	if b, jerr := json.Marshal(asError(err)); jerr == nil {
		o.w.Header().Set(errorTrailer, string(b))
	}
}
