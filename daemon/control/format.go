package control

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
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
	FormatConntrack  Format = "conntrack"  // conntrack -L: both tuples, counters where the kernel has them
	FormatNDJSON     Format = "ndjson"
	FormatText       Format = "text" // of differences and events: a line for people
)

// flowFormats and lineFormats are the formats of a list of flows, and of differences and events. The last one is the
// default.
var (
	flowFormats = []Format{FormatVyOS, FormatConntrackd, FormatXML, FormatConntrack, FormatNDJSON}
	lineFormats = []Format{FormatText, FormatNDJSON}

	resendFormats = []Format{FormatConntrackd, FormatNDJSON}
)

func parseFormat(v url.Values, formats []Format) (Format, error) {
	f := Format(v.Get("format"))
	if f == "" {
		return formats[len(formats)-1], nil
	}
	if slices.Contains(formats, f) {
		return f, nil
	}
	return "", badQuery("format", v, fmt.Sprint(formats))
}

// appendFlow appends one line.
func appendFlow(b []byte, o *stream, f *flow.Flow, m Meta) ([]byte, error) {
	switch o.format {
	case FormatVyOS:
		b = flow.AppendVyOS(b, f)
	case FormatConntrackd:
		b = flow.AppendConntrackd(b, f, flow.Line{External: o.external, Active: o.now.Sub(m.Created)})
	case FormatXML:
		b = flow.AppendXML(b, f, o.external)
	case FormatConntrack:
		b = flow.AppendConntrack(b, f)
		if !m.Created.IsZero() {
			b = flow.AppendAges(b, flow.Ages{Age: o.now.Sub(m.Created), Idle: o.now.Sub(m.Updated)})
		}
	case FormatNDJSON:
		created, updated := m.times()
		j, err := json.Marshal(Entry{JSON: f.JSON(), Created: created, Updated: updated})
		if err != nil {
			return b, fmt.Errorf("write flow as JSON: %w", err)
		}
		b = append(b, j...)
	}
	return append(b, '\n'), nil
}

// appendExpectation appends one line.
func appendExpectation(b []byte, o *stream, e *flow.Expectation, m Meta) ([]byte, error) {
	switch o.format {
	case FormatConntrackd:
		b = flow.AppendConntrackdExpectation(b, e, flow.Line{External: o.external, Active: o.now.Sub(m.Created)})
	case FormatXML:
		b = flow.AppendXMLExpectation(b, e)
	case FormatNDJSON:
		created, updated := m.times()
		j, err := json.Marshal(ExpectEntry{ExpectationJSON: e.JSON(), Created: created, Updated: updated})
		if err != nil {
			return b, fmt.Errorf("write expectation as JSON: %w", err)
		}
		b = append(b, j...)
	}
	return append(b, '\n'), nil
}

// times returns the times of m as JSON has them, to the millisecond.
func (m *Meta) times() (created, updated time.Time) {
	return m.Created.Round(time.Millisecond), m.Updated.Round(time.Millisecond)
}

// ExpectEntry is one expectation of a list in FormatNDJSON.
type ExpectEntry struct {
	flow.ExpectationJSON
	Created time.Time `json:"created,omitzero"` // see Meta
	Updated time.Time `json:"updated,omitzero"`
}

// Entry is one flow of a list in FormatNDJSON.
type Entry struct {
	flow.JSON
	Created time.Time `json:"created,omitzero"` // see Meta
	Updated time.Time `json:"updated,omitzero"`
}
