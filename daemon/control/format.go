package control

import (
	"encoding/json"
	"net/url"
	"time"

	"ctsync/daemon/flow"
)

// Format is how flows are written, one per line.
type Format string

// Formats of a list of flows.
const (
	FormatVyOS       Format = "vyos"       // the rows of VyOS's show conntrack table
	FormatConntrackd Format = "conntrackd" // conntrackd -i and -e
	FormatXML        Format = "xml"        // conntrackd -i -x and -e -x
	FormatNDJSON     Format = "ndjson"
)

func parseFormat(v url.Values) (Format, error) {
	switch f := Format(v.Get("format")); f {
	case "":
		return FormatNDJSON, nil
	case FormatVyOS, FormatConntrackd, FormatXML, FormatNDJSON:
		return f, nil
	}
	return "", badQuery("format", v, "vyos, conntrackd, xml or ndjson")
}

func appendFlow(b []byte, format Format, f *flow.Flow, m Meta, now time.Time) []byte {
	j, _ := json.Marshal(f)
	return append(append(b, j...), '\n')
}
