package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Resend is a message that was sent to the peer and that the peer has not acknowledged yet.
type Resend struct {
	Kind  string `json:"kind"` // ResendControl or ResendObject
	Seq   uint32 `json:"seq"`
	Flags uint8  `json:"flags,omitempty"` // of a control message, as on the wire
}

// Kinds of a Resend, as conntrackd names them.
const (
	ResendControl = "control"
	ResendObject  = "object" // the state of a flow or an expectation
)

// resend streams the messages in flight. Formats are conntrackd (its -s rsqueue) and ndjson.
func (s *Server) resend(w http.ResponseWriter, r *http.Request) {
	format, err := parseFormat(r.URL.Query(), resendFormats)
	s.stream(w, r, FlowQuery{}, format, err, func(out *stream) error {
		list, err := s.backend.Resend(r.Context())
		if err == nil && format == FormatConntrackd {
			out.buf = fmt.Appendf(out.buf, "resent queue (len=%d)\n", len(list))
		}
		for i := 0; i < len(list) && err == nil; i++ {
			out.buf, err = appendResend(out.buf, format, list[i])
			err = out.added(err)
		}
		return err
	})
}

// appendResend appends one line.
func appendResend(b []byte, format Format, m Resend) ([]byte, error) {
	switch {
	case format == FormatNDJSON:
		j, err := json.Marshal(m)
		if err != nil {
			return b, fmt.Errorf("write message as JSON: %w", err)
		}
		return append(append(b, j...), '\n'), nil
	case m.Kind == ResendControl:
		return fmt.Appendf(b, "control -> seq:%d flags:%d\n", m.Seq, m.Flags), nil
	}
	return fmt.Appendf(b, "object -> seq:%d\n", m.Seq), nil
}

// ResendText asks for the messages in flight as text; see FlowText for how it is read.
func (c *Client) ResendText(ctx context.Context, format Format) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/resend?format="+string(format), nil)
	if err != nil {
		return nil, err
	}
	return &flowText{c: c, resp: resp}, nil
}
