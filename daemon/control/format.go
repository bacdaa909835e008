package control

import (
	"encoding/json"
	"net/url"
	"time"

	"ctsync/daemon/flow"
)

// Format is how flows are written.
type Format string

// Formats of a list of flows.
const (
	FormatNDJSON Format = "ndjson"
)

func parseFormat(v url.Values) (Format, error) {
	switch f := Format(v.Get("format")); f {
	case "":
		return FormatNDJSON, nil
	case FormatNDJSON:
		return f, nil
	}
	return "", badQuery("format", v, "vyos, conntrackd, xml or ndjson")
}

func appendFlow(b []byte, format Format, f *flow.Flow, m Meta, now time.Time) []byte {
	j, _ := json.Marshal(f)
	return append(append(b, j...), '\n')
}
