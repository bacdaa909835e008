package control

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one call of the API.
type route struct {
	method string   // GET answers HEAD too
	params []string // that its query may have
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
		table[metricsPath] = route{method: http.MethodGet, handle: m.ServeHTTP}
	}
	return table
}

// Parameters of the queries of flows, see parseFlowQuery, parseDifferenceQuery and parseEventQuery, and their format.
var (
	flowParams = []string{
		"table", "entries", "family", "filter", "group", "sort", "desc", "skip", "limit", "from", "format",
	}
	differenceParams = []string{"table", "family", "filter", "limit", "format"}
	eventParams      = []string{"table", "family", "filter", "format"}
)

// handler finds the route of a request and refuses what does not fit it before the backend is asked. An http.ServeMux
// would redirect paths that are not clean, and answer in words of its own.
func (s *Server) handler() http.Handler {
	routes := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if full := crowded(r.Context()); full != nil {
			w.Header().Set("Connection", "close")
			s.refuse(w, full)
			return
		}
		t, known := routes[r.URL.Path]
		if !known {
			what := fmt.Sprintf("%.10s %.100q", r.Method, r.URL.Path)
			s.refuse(w, &Error{Code: CodeNotFound, Message: what + " is not part of this API"})
			return
		}
		if err := t.fits(w, r); err != nil {
			s.refuse(w, err)
			return
		}
		if err := s.mayRead(r); err != nil {
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
			Code: CodeMethod, Message: fmt.Sprintf("%.10q is no method of %s", r.Method, r.URL.Path),
			Hint: "use " + t.method,
		}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("query: %.100v", err)}
	}
	for name, given := range values {
		switch {
		case !slices.Contains(t.params, name):
			message := fmt.Sprintf("unknown query parameter %.40q", name)
			return &Error{Code: CodeBadRequest, Message: message, Hint: t.wants()}
		case len(given) > 1:
			message := fmt.Sprintf("query parameter %s is given %d times", name, len(given))
			return &Error{Code: CodeBadRequest, Message: message, Hint: "give it once"}
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

// mayAct returns nil or why the caller may only read.
func (s *Server) mayAct(r *http.Request) *Error {
	c, ok := CallerFrom(r.Context())
	if !ok {
		return &Error{
			Code: CodeForbidden, Message: "the kernel does not say who you are", Hint: "act through the unix socket",
		}
	}
	if s.actors.allow(&c) {
		return nil
	}
	s.log.Warn("refused a caller who may read but not act: to allow it, set control-group",
		"call", r.URL.Path, "pid", c.PID, "uid", c.UID)
	return &Error{
		Code: CodeForbidden, Message: fmt.Sprintf("uid %d may read but not act", c.UID),
		Hint: "be root or a member of group " + groupName(s.actors.gid) +
			", or name your group as control-group in the configuration",
	}
}
