package tui

import (
	"fmt"
	"strings"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

func (m model) flowBody() []string {
	return scrolledTo(m.flowLines(), m.watch.top, m.bodyHeight())
}

// flowLines is the whole view of a flow: what the tables have of it, then what happened to it.
func (m model) flowLines() []string {
	w := &m.watch
	if !w.on {
		return append([]string{""}, m.rows("No flow is open", "choose one in the table (2) and press Enter, or f to follow it", plain)...)
	}
	l := m.look
	name := protoName(w.orig.Proto) + "  " + m.source(&w.orig) + " " + l.sign(signArrow) + " " + m.destination(&w.orig)
	head := " " + l.in(title, name)
	if w.following {
		head += "  " + l.in(accent, "[followed]")
	}
	lines := []string{head}
	switch {
	case w.read.IsZero() && w.err != nil:
		lines = append(lines, m.problem(w.err)...)
	case w.read.IsZero():
		lines = append(lines, m.waiting(w.pace))
	default:
		lines = append(lines, m.failure(w.err)...)
		lines = append(lines, m.presence()...)
		lines = append(lines, m.attributeLines()...)
	}
	lines = append(lines, "", " "+l.in(title, "History")+l.in(faint, " since "+w.since.Local().Format("15:04:05")+", newest first"))
	if w.broken != nil {
		lines = append(lines, m.rows("", "no events: "+w.broken.Error(), warn)...)
	}
	if n := len(w.held); n > 0 {
		lines = append(lines, m.rows("", itoa(n)+" more since the pause: p shows them", warn)...)
	}
	for i := len(w.history) - 1; i >= 0; i-- {
		lines = append(lines, m.momentLine(&w.history[i]))
	}
	if len(w.history) == 0 {
		lines = append(lines, l.in(faint, "   nothing yet"))
	}
	return lines
}

// presence says which tables have the flow.
func (m model) presence() []string {
	var parts []string
	for i, t := range lookedAt {
		word, in := "no", faint
		if m.watch.seen[i] != nil {
			word, in = "yes", good
		}
		parts = append(parts, string(t)+" "+m.look.in(in, word))
	}
	return m.row("In", strings.Join(parts, m.look.in(faint, " "+m.look.sign(signDot)+" ")))
}

// attributeLines shows every attribute that a table has. Where the tables differ each that has it is named.
func (m model) attributeLines() []string {
	var lines []string
	for _, a := range flowAttributes {
		var parts []string
		same, first, have := true, "", 0
		for i, t := range lookedAt {
			r := m.watch.seen[i]
			if r == nil {
				continue
			}
			v := a.value(&m, r)
			if have > 0 && v != first {
				same = false
			}
			if have == 0 {
				first = v
			}
			have++
			if v != "" {
				parts = append(parts, fmt.Sprintf("%s %s", t, v))
			}
		}
		switch {
		case have == 0 || same && first == "":
		case same:
			lines = append(lines, m.rows(a.name, first, plain)...)
		default:
			lines = append(lines, m.rows(a.name, strings.Join(parts, " "+m.look.sign(signDot)+" "), plain)...)
		}
	}
	return lines
}

// flowAttributes are all attributes of a flow but its original tuple.
var flowAttributes = []struct {
	name  string
	value func(m *model, r *row) string
}{
	{"Reply", func(m *model, r *row) string {
		if !r.flow.Has.Is(flow.HasReply) {
			return ""
		}
		t := &r.flow.Reply
		return m.source(t) + " " + m.look.sign(signArrow) + " " + m.destination(t)
	}},
	{"State", func(_ *model, r *row) string { return r.flow.StateName() }},
	{"NAT", func(_ *model, r *row) string { return natWords(&r.flow) }},
	{"Status", func(_ *model, r *row) string {
		if !r.flow.Has.Is(flow.HasStatus) {
			return ""
		}
		return strings.ToLower(strings.Join(flow.StatusNames(r.flow.Status), " "))
	}},
	{"Timeout", func(m *model, r *row) string { return m.number(r, "TIMEOUT") }},
	{"Mark", func(m *model, r *row) string { return m.number(r, "MARK") }},
	{"Zone", func(_ *model, r *row) string { return zoneWords(&r.flow) }},
	{"Labels", func(_ *model, r *row) string { return join(r.flow.JSON().Labels) }},
	{"Helper", func(_ *model, r *row) string { return flow.HelperName(&r.flow.Helper) }},
	{"Master", func(m *model, r *row) string {
		if !r.flow.Has.Is(flow.HasMaster) {
			return ""
		}
		t := &r.flow.Master
		return protoName(t.Proto) + " " + m.source(t) + " " + m.look.sign(signArrow) + " " + m.destination(t)
	}},
	{"Window scale", pair(flow.HasTCPWScale, func(f *flow.Flow, d int) string { return itoa(int(f.TCPWScale[d])) })},
	{"TCP flags", pair(flow.HasTCPFlags, func(f *flow.Flow, d int) string { return tcpFlags(f.TCPFlags[d]) })},
	{"Seq. adjustment", pair(flow.HasSeqAdj, func(f *flow.Flow, d int) string {
		s := &f.SeqAdj[d]
		return fmt.Sprintf("%d before, %d after position %d", int32(s.OffsetBefore), int32(s.OffsetAfter), s.CorrectionPos)
	})},
	{"SYNPROXY", func(_ *model, r *row) string {
		if s := &r.flow.Synproxy; r.flow.Has.Is(flow.HasSynproxy) {
			return fmt.Sprintf("isn %d, its %d, tsoff %d", s.ISN, s.ITS, s.TSOff)
		}
		return ""
	}},
	{"SCTP tags", pair(flow.HasSCTP, func(f *flow.Flow, d int) string { return fmt.Sprintf("%#x", f.SCTPVTag[d]) })},
	{"DCCP role", func(_ *model, r *row) string {
		if !r.flow.Has.Is(flow.HasDCCP) {
			return ""
		}
		return [...]string{"client", "server"}[r.flow.DCCPRole&1]
	}},
	{"Packets", pair(flow.HasCounters, func(f *flow.Flow, d int) string { return grouped(f.Packets[d]) })},
	{"Bytes", pair(flow.HasCounters, func(f *flow.Flow, d int) string { return grouped(f.Bytes[d]) })},
	{"ID", func(m *model, r *row) string { return m.number(r, "ID") }},
	{"References", func(_ *model, r *row) string {
		if !r.flow.Has.Is(flow.HasUse) {
			return ""
		}
		return grouped(uint64(r.flow.Use))
	}},
	{"First seen", func(m *model, r *row) string {
		at := r.created
		if r.flow.Has.Is(flow.HasTimestamp) {
			at = time.Unix(0, int64(r.flow.Start))
		}
		return m.when(at)
	}},
	{"Ended", func(m *model, r *row) string {
		if !r.flow.Has.Is(flow.HasTimestamp) || r.flow.Stop == 0 {
			return ""
		}
		return m.when(time.Unix(0, int64(r.flow.Stop)))
	}},
	{"Last change", func(m *model, r *row) string { return m.when(r.updated) }},
}

// zoneWords is the zone, and of which direction where it is of one.
func zoneWords(f *flow.Flow) string {
	zone, whole := f.Zone()
	switch {
	case zone == 0:
		return ""
	case whole:
		return itoa(int(zone))
	case f.Orig.Zone != 0 && f.Reply.Zone != 0:
		return fmt.Sprintf("original %d, reply %d", f.Orig.Zone, f.Reply.Zone)
	case f.Orig.Zone != 0:
		return itoa(int(zone)) + ", original direction only"
	}
	return itoa(int(zone)) + ", reply direction only"
}

// pair writes an attribute that both directions have.
func pair(a flow.Attr, one func(f *flow.Flow, d int) string) func(*model, *row) string {
	return func(_ *model, r *row) string {
		if !r.flow.Has.Is(a) {
			return ""
		}
		return "original " + one(&r.flow, 0) + ", reply " + one(&r.flow, 1)
	}
}

// tcpFlags names the IP_CT_TCP_FLAG_* bits that have a name for people.
func tcpFlags(b uint8) string {
	var names []string
	for _, f := range []struct {
		bit  uint8
		name string
	}{
		{flow.TCPFlagWindowScale, "window-scale"}, {flow.TCPFlagSackPerm, "sack"}, {flow.TCPFlagCloseInit, "close-init"},
		{flow.TCPFlagBeLiberal, "be-liberal"},
	} {
		if b&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("%#x", b)
	}
	return strings.Join(names, " ")
}

func join(numbers []int) string {
	var parts []string
	for _, n := range numbers {
		parts = append(parts, itoa(n))
	}
	return strings.Join(parts, " ")
}

// when writes a moment and how long ago it was.
func (m *model) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format(time.DateTime) + ", " + span(m.now.Sub(at)) + " ago"
}

func (m model) momentLine(h *moment) string {
	where, in := string(h.table), plain
	switch {
	case h.table == "":
		where, in = "router", accent
	case h.what == control.EventDestroy.String() || h.what == momentGone:
		in = warn
	}
	l := m.look
	return "   " + l.in(faint, h.at.Local().Format("15:04:05.000")) + "  " + l.pad(where, 9, false) + " " +
		l.in(in, l.pad(h.what, 10, false)) + " " + h.state
}
