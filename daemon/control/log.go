package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// LogLine is one line of the daemon's log. Text is the message and its attributes (key=value), one line
// of printable characters.
type LogLine struct {
	ID    uint64    `json:"id"` // ascending by 1
	Time  time.Time `json:"time"`
	Level string    `json:"level"` // DEBUG, INFO, WARN or ERROR
	Text  string    `json:"text"`
}

// LogPage is the lines after a certain one, oldest first. Lines that the daemon no longer keeps are missing, which
// the ID of the first one shows. Last is the ID of the newest line; after a restart of the daemon it is smaller than
// before.
type LogPage struct {
	Lines []LogLine `json:"lines"`
	Last  uint64    `json:"last"`
}

// Log returns the lines that the daemon keeps in memory, after the one with the given ID.
func (c *Client) Log(ctx context.Context, after uint64) (v LogPage, err error) {
	return v, c.call(ctx, http.MethodGet, "/v1/log?after="+strconv.FormatUint(after, 10), nil, &v)
}

// logLines answers /v1/log.
func (s *Server) logLines(w http.ResponseWriter, r *http.Request) {
	after, err := parseAfter(r.URL.Query())
	if err != nil {
		s.refuse(w, asError(err))
		return
	}
	reply(w, http.StatusOK, s.backend.Log(after))
}

func parseAfter(v url.Values) (uint64, error) {
	s := v.Get("after")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, badQuery("after", v, "the id of a line")
	}
	return n, nil
}
