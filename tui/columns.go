package tui

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ctsync/daemon/flow"
)

// endpoint4 is the width of the longest IPv4 address with its port.
const endpoint4 = len("255.255.255.255:65535")

// flowColumns returns the columns of flows or differences.
func (t *table) flowColumns() []column {
	wide := max(t.wide, endpoint4)
	all := []column{
		{name: "PROTO", sort: "protocol", least: 5, most: 6, line: 0},
		{name: "SOURCE", sort: "source", least: endpoint4, most: wide, fit: fitEndpoint, line: 1},
		{name: "DESTINATION", sort: "destination", least: endpoint4, most: wide, fit: fitEndpoint, line: 2,
			lead: signArrow},
		{name: "STATE", sort: "state", least: 6, most: 11, rank: 1, line: 0, fit: fitState},
		{name: "TIMEOUT", sort: "timeout", least: 7, most: 7, right: true, rank: 2, line: 0},
		{name: "NAT", sort: "nat", least: 4, most: 4, rank: 3, line: 0},
		{name: "AGE", sort: "age", least: 7, most: 7, right: true, rank: 4},
		{name: "IDLE", sort: "idle", least: 7, most: 7, right: true, rank: 5},
		{name: "BYTES", sort: "bytes", least: 8, most: 10, right: true, rank: 4},
		{name: "PACKETS", sort: "packets", least: 8, most: 10, right: true, rank: 5},
		{name: "MARK", sort: "mark", least: 10, most: 10, right: true, rank: 7},
		{name: "ZONE", sort: "zone", least: 5, most: 5, right: true, rank: 6},
		{name: "HELPER", sort: "helper", least: 6, most: 8, rank: 8},
		{name: "ID", sort: "id", least: 10, most: 10, right: true, rank: 9},
	}
	if t.from().differences {
		columns := append([]column{{name: "WHAT", least: 11, most: 11, line: 0}}, all[:4]...)
		for i := range columns {
			columns[i].sort = ""
		}
		columns[4].rank = 3 // the state
		if t.filled["DIFFERENCE"] {
			columns = append(columns, column{name: "DIFFERENCE", least: 12, most: 60, rank: 1, line: 0})
		}
		return columns
	}
	columns := all[:0:0]
	for _, c := range all {
		if !optional[c.name] || t.filled[c.name] {
			columns = append(columns, c)
		}
	}
	return columns
}

// optional are the columns that are shown only if a row has a value in them. The kernel has counters and times only if
// a sysctl says so, a cache has no counters, and many routers have no marks, zones or helpers.
var optional = map[string]bool{
	"AGE": true, "IDLE": true, "BYTES": true, "PACKETS": true, "MARK": true, "ZONE": true, "HELPER": true, "ID": true,
	"DIFFERENCE": true,
}

// fill notes which columns the rows need. A column that was needed once stays, so that the others do not jump.
func (t *table) fill() {
	if t.filled == nil {
		t.filled = map[string]bool{}
	}
	for i := range t.rows {
		t.wide = max(t.wide, endpointWidth(&t.rows[i].flow))
		for name := range optional {
			if !t.filled[name] && t.flowCell(&t.rows[i], name).text != "" {
				t.filled[name] = true
			}
		}
	}
}

// flowCells returns the values of a row.
func (m *monitor) flowCells(r *row, columns []column) []cell {
	cells := make([]cell, len(columns))
	for i := range columns {
		c := m.flowCell(r, columns[i].name)
		if r.gone {
			c.in = faint
		}
		cells[i] = c
	}
	return cells
}

func (m *monitor) flowCell(r *row, column string) cell {
	f := &r.flow
	switch column {
	case "PROTO":
		return cell{f.Orig.Proto.Name(), plain}
	case "SOURCE":
		return cell{m.names.source(&f.Orig), plain}
	case "DESTINATION":
		return cell{m.names.destination(&f.Orig), plain}
	case "STATE":
		return stateCell(f)
	case "NAT":
		return cell{natWords(f), plain}
	case "WHAT":
		return cell{r.what, differencePaint(r.what)}
	case "DIFFERENCE":
		return cell{m.look.attributeChange(r), plain}
	case "HELPER":
		return cell{flow.HelperName(&f.Helper), plain}
	}
	return cell{m.number(r, column), plain}
}

// number returns the value of a column of numbers, "" if the row has none.
func (m *monitor) number(r *row, column string) string {
	f := &r.flow
	switch {
	case column == "TIMEOUT" && f.Has.Is(flow.HasTimeout):
		return span(time.Duration(f.Timeout) * time.Second)
	case column == "AGE" && !r.began().IsZero():
		return span(m.still().Sub(r.began()))
	case column == "IDLE" && !r.updated.IsZero():
		return span(m.still().Sub(r.updated))
	case column == "BYTES" && f.Has.Is(flow.HasCounters):
		return m.units.size(f.Bytes[0] + f.Bytes[1])
	case column == "PACKETS" && f.Has.Is(flow.HasCounters):
		return m.units.count(f.Packets[0] + f.Packets[1])
	case column == "MARK" && f.Has.Is(flow.HasMark) && f.Mark != 0:
		return fmt.Sprintf("%#x", f.Mark)
	case column == "ZONE" && f.Orig.Zone|f.Reply.Zone != 0:
		return strconv.Itoa(int(f.Orig.Zone | f.Reply.Zone))
	case column == "ID" && f.Has.Is(flow.HasID):
		return strconv.FormatUint(uint64(f.ID), 10)
	}
	return ""
}

// began is when the cache first saw the flow, or when the kernel created it; zero if unknown.
func (r *row) began() time.Time {
	if r.created.IsZero() && r.flow.Has.Is(flow.HasTimestamp) {
		return time.Unix(0, int64(r.flow.Start))
	}
	return r.created
}

// stateCell shows the state of the protocol, or whether the flow has been answered if the protocol has no states.
func stateCell(f *flow.Flow) cell {
	if name := f.StateName(); name != "" {
		if name == "ESTABLISHED" {
			return cell{name, good}
		}
		return cell{name, plain}
	}
	switch {
	case f.Has.Is(flow.HasStatus) && f.Status&flow.StatusAssured != 0:
		return cell{"assured", plain}
	case f.Has.Is(flow.HasStatus) && f.Status&flow.StatusSeenReply == 0:
		return cell{"unreplied", warn}
	}
	return cell{"", plain}
}

func natWords(f *flow.Flow) string {
	switch s, d := f.SNAT(), f.DNAT(); {
	case s && d:
		return "both"
	case s:
		return "snat"
	case d:
		return "dnat"
	}
	return ""
}

// source writes the source with its port, or what the protocol has instead.
func (n services) source(t *flow.Tuple) string { return n.endpoint(t, t.Src.IP(t.Family), t.SrcPort) }

// destination writes the destination with its port. For ICMP that is the type; the id is with the source.
func (n services) destination(t *flow.Tuple) string {
	ip := t.Dst.IP(t.Family)
	if t.Proto.IsICMP() {
		return fmt.Sprintf("%v type %d", ip, t.ICMPType())
	}
	return n.endpoint(t, ip, t.DstPort)
}

func (n services) endpoint(t *flow.Tuple, ip netip.Addr, port uint16) string {
	switch {
	case t.Proto.HasPorts():
		number := strconv.Itoa(int(port))
		if name := n[service{t.Proto, port}]; name != "" {
			number = name
		}
		if ip.Is6() {
			return "[" + ip.String() + "]:" + number
		}
		return ip.String() + ":" + number
	case t.Proto.IsICMP():
		return fmt.Sprintf("%v id %d", ip, port)
	case t.Proto == flow.GRE:
		return fmt.Sprintf("%v key %#x", ip, port)
	}
	return ip.String()
}

// endpointWidth is the width of the longer one of a flow's two endpoints, with numbers.
func endpointWidth(f *flow.Flow) int {
	m := model{}
	return max(len(m.names.source(&f.Orig)), len(m.names.destination(&f.Orig)))
}

// fitState abbreviates a state, much as ss(8) does.
func fitState(l look, text string, width int) string {
	if s, ok := shortStates[text]; ok && len(text) > width {
		text = s
	}
	return l.cut(text, width)
}

var shortStates = map[string]string{
	"ESTABLISHED": "ESTAB", "TIME_WAIT": "T_WAIT", "CLOSE_WAIT": "C_WAIT", "FIN_WAIT": "F_WAIT", "SYN_SENT": "S_SENT",
	"SYN_RECV": "S_RECV", "LAST_ACK": "L_ACK", "unreplied": "unrep.", "assured": "assur.",
}

// fitEndpoint shortens an address in its middle. The network in front says whose it is, the end and the port which one.
func fitEndpoint(l look, text string, width int) string {
	all := []rune(text)
	if len(all) <= width {
		return text
	}
	if width < 8 {
		return l.cut(text, width)
	}
	port := len([]rune(text[strings.LastIndexByte(text, ':')+1:]))
	back := max((width-1)/2, min(port+5, width-5))
	return string(all[:width-1-back]) + l.sign(signMore) + string(all[len(all)-back:])
}
