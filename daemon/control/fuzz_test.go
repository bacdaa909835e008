package control

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
)

// FuzzRequest: whatever is asked for, the answer is what was asked for or an Error whose code goes with the status.
func FuzzRequest(f *testing.F) {
	for _, s := range [][4]string{
		{"GET", "/v1/status", "", ""}, {"POST", "/v1/actions", "", `{"verb":"flush","cache":"internal"}`},
		{"POST", "/v1/notify", "", `{"type":"GROUP","state":"MASTER"}`}, {"GET", "/v1/flows", "table=internal&sort=age&limit=5&desc=1", ""},
		{"GET", "/v1/flows", "table=kernel;limit=%zz", ""}, {"HEAD", "//v1/../metrics", "a=b", ""}, {"PUT", "/v1/actions", "", "{"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	s := NewServer(fake(), slog.New(slog.DiscardHandler))
	h := s.handler()
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		s.ctx = r.Context()
		r = r.WithContext(asCaller(r.Context(), Caller{UID: uint32(os.Geteuid())}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code/100 == 2 {
			return
		}
		var e Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" || status[e.Code] != w.Code {
			t.Errorf("%q %q?%q: %d, %q: %v", method, path, query, w.Code, w.Body, err)
		}
		if len(e.Message) > 1000 {
			t.Errorf("a message of %d bytes", len(e.Message))
		}
	})
}
