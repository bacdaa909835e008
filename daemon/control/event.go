package control

import (
	"strconv"
	"time"

	"ctsync/daemon/flow"
)

// EventKind is what happened to a flow.
type EventKind uint8

// Event kinds.
const (
	EventNew EventKind = iota
	EventUpdate
	EventDestroy
)

// String returns "new", "update" or "destroy".
func (k EventKind) String() string { return [...]string{"new", "update", "destroy"}[k] }

// Event is a change of a flow of this router (TableInternal) or of the peer (TableExternal). Flow is the whole flow
// after the change, or at its end.
type Event struct {
	At   time.Time
	Flow flow.Flow
	Kind EventKind
	Peer bool      // of TableExternal
	Ages flow.Ages // at the time of the event: since the flow was first seen, and since the event before
}

// Table returns the cache that has the flow.
func (e *Event) Table() Table {
	if e.Peer {
		return TableExternal
	}
	return TableInternal
}

// EventBatch is the events since the last one, and how many were lost after them.
type EventBatch struct {
	Events []Event
	// Lost counts events that found no room because the reader is slow, whether it asked for them or not.
	Lost uint64
	// Overruns counts how often the kernel dropped events before ctsyncd read them. The comparison that follows
	// repairs the cache, but makes no events.
	Overruns uint64
}

// EventJSON is a line of /v1/events: an event, or only how many were lost.
type EventJSON struct {
	Event string     `json:"event,omitzero"` // as EventKind.String
	Table Table      `json:"table,omitzero"`
	At    *time.Time `json:"at,omitzero"`
	*flow.JSON
	Lost     uint64 `json:"lost,omitzero"`
	Overruns uint64 `json:"overruns,omitzero"`
}

// addEvents writes a batch and sends it at once.
func (o *stream) addEvents(b *EventBatch) error {
	for i := range b.Events {
		if err := o.addEvent(&b.Events[i]); err != nil {
			return err
		}
	}
	if b.Lost > 0 || b.Overruns > 0 {
		if err := o.addLoss(b); err != nil {
			return err
		}
	}
	if err := o.flush(); err != nil {
		return err
	}
	if o.rc.Flush() != nil {
		return errGone
	}
	return nil
}

// eventTime is the layout of an event's local time in text.
const eventTime = "2006-01-02 15:04:05.000"

func (o *stream) addEvent(e *Event) error {
	if o.format != FormatText {
		at, j := e.At.Round(time.Millisecond), e.Flow.JSON()
		return o.addJSON(EventJSON{Event: e.Kind.String(), Table: e.Table(), At: &at, JSON: &j})
	}
	o.buf = e.At.Local().AppendFormat(o.buf, eventTime)
	o.buf = append(append(append(o.buf, ' '), e.Table()...), ' ')
	o.buf = append(o.buf, [...]string{"new     ", "update  ", "destroy "}[e.Kind]...)
	o.buf = append(flow.AppendConntrack(o.buf, &e.Flow), '\n')
	return o.added(nil)
}

func (o *stream) addLoss(b *EventBatch) error {
	if o.format != FormatText {
		return o.addJSON(EventJSON{Lost: b.Lost, Overruns: b.Overruns})
	}
	at := time.Now().AppendFormat(nil, eventTime)
	if b.Overruns > 0 {
		o.buf = append(append(o.buf, at...), " lost: the kernel dropped events before they were read\n"...)
	}
	if b.Lost > 0 {
		o.buf = append(append(o.buf, at...), " lost: "...)
		o.buf = append(strconv.AppendUint(o.buf, b.Lost, 10), " events that were not read in time\n"...)
	}
	return o.added(nil)
}
