package control

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// route is one call of the API.
type route struct {
	method string   // GET answers HEAD too
	params []string // what its query may hold
	acts   bool     // it changes something: only actors may call it
	handle http.HandlerFunc
}

// routes is the table of the API, by path. docs/api.md describes every one.
func (s *Server) routes() map[string]route {
	table := map[string]route{
		"/v1/status":      {method: http.MethodGet, handle: answer(s.backend.Status)},
		"/v1/statistics":  {method: http.MethodGet, handle: answer(s.backend.Statistics)},
		"/v1/snapshot":    {method: http.MethodGet, handle: answer(s.backend.Snapshot)},
		"/v1/resend":      {method: http.MethodGet, handle: s.resend, params: []string{"format"}},
		"/v1/transitions": {method: http.MethodGet, handle: answer(s.backend.Transitions)},
		"/v1/flows":       {method: http.MethodGet, handle: s.flows, params: flowParams},
		"/v1/differences": {method: http.MethodGet, handle: s.differences, params: differenceParams},
		"/v1/events":      {method: http.MethodGet, handle: s.events, params: eventParams},
		"/v1/log":         {method: http.MethodGet, handle: s.logLines, params: []string{"after"}},
		"/v1/notify":      {method: http.MethodPost, handle: s.notify, acts: true},
		"/v1/actions":     {method: http.MethodPost, handle: s.action, acts: true},
	}
	if m := s.backend.Metrics; m != nil {
		table["/metrics"] = route{method: http.MethodGet, handle: m.ServeHTTP}
	}
	return table
}

// Parameters of the queries of flows, see parseFlowQuery, parseDifferenceQuery and parseEventQuery, and their format.
var (
	flowParams       = []string{"table", "entries", "family", "filter", "group", "sort", "desc", "skip", "limit", "from", "format"}
	differenceParams = []string{"table", "family", "filter", "limit", "format"}
	eventParams      = []string{"table", "family", "filter", "format"}
)

// handler finds the route of a request and refuses what does not fit it before anything is asked of the backend. A
// http.ServeMux would redirect paths that it takes for untidy, and answer in words of its own.
func (s *Server) handler() http.Handler {
	routes := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, known := routes[r.URL.Path]
		if !known {
			s.refuse(w, &Error{Code: CodeNotFound, Message: fmt.Sprintf("%.10s %.100q is not part of this API", r.Method, r.URL.Path)})
			return
		}
		if err := t.fits(w, r); err != nil {
			s.refuse(w, err)
			return
		}
		if t.acts {
			if err := s.mayAct(r); err != nil {
				s.refuse(w, err)
				return
			}
		}
		t.handle(w, r)
	})
}

// fits returns nil or why r cannot be meant for t.
func (t *route) fits(w http.ResponseWriter, r *http.Request) *Error {
	if r.Method != t.method && (r.Method != http.MethodHead || t.method != http.MethodGet) {
		w.Header().Set("Allow", t.method)
		return &Error{
			Code: CodeMethod, Message: fmt.Sprintf("%.10q is no method of %s", r.Method, r.URL.Path), Hint: "use " + t.method,
		}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("query: %.100v", err)}
	}
	for name, given := range values {
		switch {
		case !slices.Contains(t.params, name):
			return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("unknown query parameter %.40q", name), Hint: t.wants()}
		case len(given) > 1:
			return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("query parameter %s is given %d times", name, len(given)), Hint: "give it once"}
		}
	}
	return nil
}

func (t *route) wants() string {
	if len(t.params) == 0 {
		return "this call has none"
	}
	return "want one of " + strings.Join(t.params, ", ")
}

// deniedEvery is how often it is logged at most that somebody may not act.
const deniedEvery = time.Second

// mayAct returns nil or why the caller may only read.
func (s *Server) mayAct(r *http.Request) *Error {
	c, ok := CallerFrom(r.Context())
	if !ok {
		return &Error{Code: CodeForbidden, Message: "the kernel does not say who you are", Hint: "act through the unix socket"}
	}
	if s.actors.allow(&c) {
		return nil
	}
	s.mu.Lock()
	now := time.Now()
	say := now.Sub(s.deniedAt) >= deniedEvery
	if say {
		s.deniedAt = now
	}
	s.mu.Unlock()
	if say {
		s.log.Warn("a caller may read but not act: see control-group", "call", r.URL.Path, "pid", c.PID, "uid", c.UID)
	}
	return &Error{
		Code: CodeForbidden, Message: fmt.Sprintf("uid %d may read but not act", c.UID),
		Hint: fmt.Sprintf("be root or a member of group %s, or name your group as control-group in the configuration", groupName(s.actors.gid)),
	}
}
