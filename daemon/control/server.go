package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the server.
const (
	maxBody       = 16 << 10 // bytes of a request; the largest sensible one has 300
	maxHeader     = 16 << 10
	answerTimeout = 30 * time.Second
	idleTimeout   = 30 * time.Second
	shutdownTime  = 300 * time.Millisecond // for answers under way when the daemon ends
)

// Server answers control requests from a Backend.
type Server struct {
	backend Backend
	log     *slog.Logger
	ctx     context.Context // of Serve: actions end with it
	streams places          // lists that are being read
	watches places          // of them, those of events
	actors  actors

	scrapers scrapers

	headerTimeout  time.Duration // from connecting to the end of the request's header
	requestTimeout time.Duration // ... to the end of its body
	streamTimeout  time.Duration // how long a reader may leave a list unread

	unknown, unread, crowded atomic.Uint64 // RequestStatistics

	mu      sync.Mutex
	stopped bool
	busy    sync.WaitGroup // requests being handled
}

// NewServer returns a server that is not yet serving. log should hold back what repeats: callers cause it.
func NewServer(b Backend, log *slog.Logger) *Server {
	return &Server{
		backend: b, log: log, actors: ownActors(),
		streams:       places{what: "lists", room: streamRoom, each: streamEach},
		watches:       places{what: "lists of events", room: watchRoom, each: watchEach},
		headerTimeout: 2 * time.Second, requestTimeout: 5 * time.Second, streamTimeout: 60 * time.Second,
	}
}

// Serve answers on ln until ctx ends. Then it closes ln, gives answers under way a moment, waits until no request uses
// the backend, and returns nil. It returns an error when accepting fails for another reason.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.ctx = ctx
	srv := &http.Server{
		Handler:           s.tracked(s.handler()),
		ReadHeaderTimeout: s.headerTimeout,
		ReadTimeout:       s.requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withCaller,
		BaseContext:       func(net.Listener) context.Context { return ctx },

		DisableGeneralOptionsHandler: true, // OPTIONS * is no part of this API either
	}
	if err := ServeUntil(ctx, srv, func() error { return srv.Serve(newDoor(ln, s)) }); err != nil {
		return fmt.Errorf("serve control socket: %w", err)
	}
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.busy.Wait()
	return nil
}

// ServeUntil runs serve, which must serve srv, until ctx ends, and then gives answers under way a moment. It returns
// nil when ctx ended it, and otherwise what serve returned.
func ServeUntil(ctx context.Context, srv *http.Server, serve func() error) error {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := serve()
	if stop() { // ctx has not ended
		srv.Close()
		return err
	}
	<-ended
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// tracked counts the requests that h is handling and refuses new ones after the end.
func (s *Server) tracked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		stopped := s.stopped
		if !stopped {
			s.busy.Add(1)
			defer s.busy.Done()
		}
		s.mu.Unlock()
		if !stopped {
			h.ServeHTTP(w, r)
		}
	})
}

// Requests returns what the server counts for Statistics.
func (s *Server) Requests() RequestStatistics {
	return RequestStatistics{Unknown: s.unknown.Load(), ReadFailed: s.unread.Load(), Crowded: s.crowded.Load()}
}

// noPlace counts and logs that there is no place for a caller.
func (s *Server) noPlace(c *Caller, full *Error) {
	s.crowded.Add(1)
	s.log.Warn("no place for a caller of the control socket: end the processes that hold the others",
		"why", full.Message, "pid", c.PID, "uid", c.UID)
}

// answer makes a handler of a function that returns a value to be written as JSON.
func answer[T any](ask func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := ask(r.Context())
		if err != nil {
			refuse(w, asError(err))
			return
		}
		reply(w, http.StatusOK, v)
	}
}

func (s *Server) notify(w http.ResponseWriter, r *http.Request) {
	var n Notification
	if err := readJSON(w, r, &n); err != nil {
		s.refuse(w, err)
		return
	}
	if n.At.IsZero() {
		n.At = time.Now()
	}
	if n.Boottime == 0 {
		n.Boottime = Boottime()
	}
	if err := n.Validate(); err != nil {
		s.refuse(w, asError(err))
		return
	}
	if c, ok := CallerFrom(r.Context()); ok {
		n.Source = fmt.Sprintf("%s pid=%d uid=%d", n.Source, c.PID, c.UID)
	}
	t, err := s.backend.Notify(r.Context(), n)
	if err != nil {
		s.refuse(w, asError(err))
		return
	}
	reply(w, http.StatusAccepted, t)
}

// readJSON reads a bounded JSON body. Unknown fields are an error: they would silently have no effect.
func readJSON(w http.ResponseWriter, r *http.Request, v any) *Error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("more follows after the JSON value")
		}
	}
	if err == nil {
		return nil
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return &Error{Code: CodeTooLarge, Message: fmt.Sprintf("request is larger than %d bytes", maxBody)}
	}
	if netErr := net.Error(nil); errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr) {
		return &Error{Code: CodeBrokenOff, Message: "read request: " + err.Error()}
	}
	return &Error{Code: CodeBadRequest, Message: "read request: " + err.Error()}
}

func reply(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		code = http.StatusInternalServerError
		b = []byte(`{"error":"answer cannot be written as JSON","code":"internal"}`)
	}
	// The deadline counts from now, not from the request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // if the client is gone, nobody is left to hear of it
}

// refuse counts what was wrong with a request and answers it.
func (s *Server) refuse(w http.ResponseWriter, e *Error) {
	switch e.Code {
	case CodeBadRequest, CodeNotFound, CodeMethod:
		s.unknown.Add(1)
	case CodeTooLarge, CodeBrokenOff:
		s.unread.Add(1)
	}
	refuse(w, e)
}

func refuse(w http.ResponseWriter, e *Error) {
	code, ok := status[e.Code]
	if !ok {
		code = http.StatusInternalServerError
	}
	reply(w, code, e)
}
