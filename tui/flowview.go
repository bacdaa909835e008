package tui

import (
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// flowView is the view of one flow: what the tables have of it, then its history.
type flowView struct {
	text
	watch
	table *table // where flows are selected
}

func newFlowView(m *monitor, t *table) *flowView {
	f := &flowView{table: t}
	f.text = text{bare: bare{m}, title: "Flow", lines: f.all}
	return f
}

func (f *flowView) keys() []binding {
	on := func() bool { return f.on }
	return []binding{
		{followKey, "follow", on, func() tea.Cmd { f.following = !f.following; return nil }},
		{bind("Esc", "back to the table", "esc"), "back", always, func() tea.Cmd { return f.show(f.table) }},
		f.copyKey("copy it to the clipboard", f.copied),
	}
}

// followKey works here and in the table.
var followKey = bind("f", "follow through a failover", "f")

// copied returns the flow as conntrack(8) prints it, from the first table that has it.
func (f *flowView) copied() string {
	for _, r := range f.seen {
		if r != nil {
			return string(flow.AppendConntrack(nil, &r.flow))
		}
	}
	return ""
}

func (f *flowView) all() []string {
	if !f.on {
		const how = "choose one in the table (2) and press Enter, or f to follow it"
		return append([]string{""}, f.paragraph("No flow is open", how, plain)...)
	}
	l := f.look
	source, destination := f.names.source(&f.orig), f.names.destination(&f.orig)
	head := " " + l.in(title, f.orig.Proto.Name()+"  "+source+" "+l.sign(signArrow)+" "+destination)
	if f.following {
		head += "  " + l.in(accent, "[followed]")
	}
	lines := []string{head}
	switch {
	case f.read.IsZero() && f.err != nil:
		lines = append(lines, f.problem(f.err)...)
	case f.read.IsZero():
		lines = append(lines, f.waiting(&f.pace))
	default:
		lines = append(lines, f.failure(f.err)...)
		lines = append(lines, f.presence()...)
		lines = append(lines, f.attributeLines()...)
	}
	since := " since " + f.since.Local().Format("15:04:05") + ", newest first"
	lines = append(lines, "", " "+l.in(title, "History")+l.in(faint, since))
	if f.broken != nil {
		lines = append(lines, f.paragraph("", "no events: "+f.broken.Error(), warn)...)
	}
	if n := len(f.held); n > 0 {
		lines = append(lines, f.paragraph("", itoa(n)+" more since the pause: p shows them", warn)...)
	}
	for i := len(f.history) - 1; i >= 0; i-- {
		lines = append(lines, f.momentLine(&f.history[i]))
	}
	if len(f.history) == 0 {
		lines = append(lines, l.in(faint, "   nothing yet"))
	}
	return lines
}

// presence says which tables have the flow.
func (f *flowView) presence() []string {
	var parts []string
	for i, t := range lookedAt {
		word, in := "no", faint
		if f.seen[i] != nil {
			word, in = "yes", good
		}
		parts = append(parts, string(t)+" "+f.look.in(in, word))
	}
	return f.field("In", strings.Join(parts, f.look.in(faint, " "+f.look.sign(signDot)+" ")))
}

// attributeLines draws every attribute that a table has. If the tables differ, it names each with its value.
func (f *flowView) attributeLines() []string {
	var lines []string
	for _, a := range flowAttributes {
		var parts []string
		same, first, have := true, "", 0
		for i, t := range lookedAt {
			r := f.seen[i]
			if r == nil {
				continue
			}
			v := a.value(f.monitor, r)
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
			lines = append(lines, f.paragraph(a.name, first, plain)...)
		default:
			lines = append(lines, f.paragraph(a.name, strings.Join(parts, " "+f.look.sign(signDot)+" "), plain)...)
		}
	}
	return lines
}

// flowAttributes are all attributes of a flow except its original tuple.
var flowAttributes = []struct {
	name  string
	value func(m *monitor, r *row) string
}{
	{"Reply", func(m *monitor, r *row) string {
		if !r.flow.Has.Is(flow.HasReply) {
			return ""
		}
		t := &r.flow.Reply
		return m.names.source(t) + " " + m.look.sign(signArrow) + " " + m.names.destination(t)
	}},
	{"State", func(_ *monitor, r *row) string { return r.flow.StateName() }},
	{"NAT", func(_ *monitor, r *row) string { return natWords(&r.flow) }},
	{"Status", func(_ *monitor, r *row) string {
		if !r.flow.Has.Is(flow.HasStatus) {
			return ""
		}
		return strings.ToLower(strings.Join(flow.StatusNames(r.flow.Status), " "))
	}},
	{"Timeout", func(m *monitor, r *row) string { return m.number(r, "TIMEOUT") }},
	{"Mark", func(m *monitor, r *row) string { return m.number(r, "MARK") }},
	{"Zone", func(_ *monitor, r *row) string { return zoneWords(&r.flow) }},
	{"Labels", func(_ *monitor, r *row) string { return join(r.flow.JSON().Labels) }},
	{"Helper", func(_ *monitor, r *row) string { return flow.HelperName(&r.flow.Helper) }},
	{"Master", func(m *monitor, r *row) string {
		if !r.flow.Has.Is(flow.HasMaster) {
			return ""
		}
		t := &r.flow.Master
		arrow := " " + m.look.sign(signArrow) + " "
		return t.Proto.Name() + " " + m.names.source(t) + arrow + m.names.destination(t)
	}},
	{"Window scale", pair(flow.HasTCPWScale, func(f *flow.Flow, d int) string { return itoa(int(f.TCPWScale[d])) })},
	{"TCP flags", pair(flow.HasTCPFlags, func(f *flow.Flow, d int) string { return tcpFlags(f.TCPFlags[d]) })},
	{"Seq. adjustment", pair(flow.HasSeqAdj, func(f *flow.Flow, d int) string {
		s := &f.SeqAdj[d]
		before, after := int32(s.OffsetBefore), int32(s.OffsetAfter)
		return fmt.Sprintf("%d before, %d after position %d", before, after, s.CorrectionPos)
	})},
	{"SYNPROXY", func(_ *monitor, r *row) string {
		if s := &r.flow.Synproxy; r.flow.Has.Is(flow.HasSynproxy) {
			return fmt.Sprintf("isn %d, its %d, tsoff %d", s.ISN, s.ITS, s.TSOff)
		}
		return ""
	}},
	{"SCTP tags", pair(flow.HasSCTP, func(f *flow.Flow, d int) string { return fmt.Sprintf("%#x", f.SCTPVTag[d]) })},
	{"DCCP role", func(_ *monitor, r *row) string {
		if !r.flow.Has.Is(flow.HasDCCP) {
			return ""
		}
		return [...]string{"client", "server"}[r.flow.DCCPRole&1]
	}},
	{"Packets", pair(flow.HasCounters, func(f *flow.Flow, d int) string { return grouped(f.Packets[d]) })},
	{"Bytes", pair(flow.HasCounters, func(f *flow.Flow, d int) string { return grouped(f.Bytes[d]) })},
	{"ID", func(m *monitor, r *row) string { return m.number(r, "ID") }},
	{"References", func(_ *monitor, r *row) string {
		if !r.flow.Has.Is(flow.HasUse) {
			return ""
		}
		return grouped(uint64(r.flow.Use))
	}},
	{"First seen", func(m *monitor, r *row) string {
		at := r.created
		if r.flow.Has.Is(flow.HasTimestamp) {
			at = time.Unix(0, int64(r.flow.Start))
		}
		return m.when(at)
	}},
	{"Ended", func(m *monitor, r *row) string {
		if !r.flow.Has.Is(flow.HasTimestamp) || r.flow.Stop == 0 {
			return ""
		}
		return m.when(time.Unix(0, int64(r.flow.Stop)))
	}},
	{"Last change", func(m *monitor, r *row) string { return m.when(r.updated) }},
}

// zoneWords writes the zone, with its direction if it is of one only.
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

// pair writes an attribute that each direction has.
func pair(a flow.Attr, one func(f *flow.Flow, d int) string) func(*monitor, *row) string {
	return func(_ *monitor, r *row) string {
		if !r.flow.Has.Is(a) {
			return ""
		}
		return "original " + one(&r.flow, 0) + ", reply " + one(&r.flow, 1)
	}
}

// tcpFlags names the IP_CT_TCP_FLAG_* bits.
func tcpFlags(b uint8) string {
	var names []string
	for _, f := range []struct {
		bit  uint8
		name string
	}{
		{flow.TCPFlagWindowScale, "window-scale"}, {flow.TCPFlagSackPerm, "sack"},
		{flow.TCPFlagCloseInit, "close-init"}, {flow.TCPFlagBeLiberal, "be-liberal"},
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
func (m *monitor) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format(time.DateTime) + ", " + span(m.still().Sub(at)) + " ago"
}

func (m *monitor) momentLine(h *moment) string {
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
