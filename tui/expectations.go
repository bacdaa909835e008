package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// expectView is the view of both caches of expectations.
type expectView struct {
	pace pacer
	list list
	rows []expectRow
	read time.Time
	err  error
}

// expectRow is an expectation of one of the caches.
type expectRow struct {
	table   control.Table
	entry   flow.Expectation
	created time.Time
}

// maxExpectations bounds what is held; there are seldom more than a few.
const maxExpectations = 2000

func (m model) expectBeat() (model, tea.Cmd) {
	if !m.expect.pace.ready(m.now) {
		return m, nil
	}
	client := m.client
	cmd := ask(&m.expect.pace, m.now, listTimeout, func(ctx context.Context) ([]expectRow, error) {
		var rows []expectRow
		for _, t := range []control.Table{control.TableInternal, control.TableExternal} {
			read, err := readExpectations(ctx, client, t)
			if err != nil && !disabled(err) {
				return nil, err
			}
			rows = append(rows, read...)
		}
		return rows, nil
	})
	return m, cmd
}

func readExpectations(ctx context.Context, c *control.Client, t control.Table) (rows []expectRow, err error) {
	r, err := c.FlowText(ctx, control.FlowQuery{Table: t, Entries: control.EntriesExpect, Limit: maxExpectations}, control.FormatNDJSON)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for dec := json.NewDecoder(r); ; {
		var e control.ExpectEntry
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		x, err := e.ExpectationJSON.Expectation()
		if err != nil {
			return nil, err
		}
		rows = append(rows, expectRow{table: t, entry: x, created: e.Created})
	}
}

func (m model) takeExpectations(a answer[[]expectRow]) model {
	v := &m.expect
	if !take(&v.pace, a, stateEvery) {
		return m
	}
	if v.err = a.err; a.err != nil {
		v.list = v.list.settled(m.expectHeight())
		return m
	}
	if i := v.list.cursor; i < len(v.rows) && i > 0 { // what was selected stays selected
		for k := range a.value {
			if a.value[k].table == v.rows[i].table && a.value[k].entry.Expect == v.rows[i].entry.Expect {
				v.list.cursor, v.list.top = k, max(v.list.top+k-i, 0)
				break
			}
		}
	}
	v.rows, v.read = a.value, a.at
	v.list.total = len(v.rows)
	v.list = v.list.settled(m.expectHeight())
	return m
}

func (m model) expectGrid() grid {
	return fitGrid([]column{
		{name: "CACHE", least: 8, most: 8, rank: 2, line: 0},
		{name: "HELPER", least: 6, most: 6, rank: 1, line: 0},
		{name: "EXPECTED", least: 32, most: 100, line: 1, fit: fitEndpoint},
		{name: "OF FLOW", least: 28, most: 100, rank: 3, line: 2, fit: fitEndpoint},
		{name: "TIMEOUT", least: 7, most: 7, right: true, rank: 2, line: 0},
	}, m.width)
}

// expectHead is how many lines stand above the rows: the counts, why the rows are old, the columns.
func (m model) expectHead() int { return 2 + len(m.failure(m.expect.err)) }

func (m model) expectHeight() int {
	g := m.expectGrid()
	return max((m.bodyHeight()-m.expectHead())/g.height(), 1)
}

func (m model) expectBody() []string {
	v := &m.expect
	switch {
	case len(m.state.Status.ExpectationSync) == 0:
		lines := []string{"", "  expectations are not replicated"}
		for _, part := range wrap("Connections that FTP, SIP and the like announce are then refused after a failover until they are announced "+
			"again. expect-sync in ctsync.toml names the helpers whose expectations are replicated.", m.width-4) {
			lines = append(lines, "  "+m.look.in(faint, part))
		}
		if n := m.state.Statistics.ExpectationsIgnored; n > 0 {
			lines = append(lines, "", "  "+m.look.in(warn, fmt.Sprintf("! the peer sends them: %s messages were ignored", m.units.count(n))))
		}
		return lines
	case v.read.IsZero() && v.err != nil:
		return m.problem(v.err)
	case v.read.IsZero():
		return []string{"", m.waiting(v.pace)}
	}
	g := m.expectGrid()
	lines := []string{" " + m.expectCounts() + m.look.in(faint, "  helpers: "+strings.Join(m.state.Status.ExpectationSync, " "))}
	lines = append(lines, m.failure(v.err)...)
	if len(v.rows) == 0 {
		return append(lines, "", "  no helper expects a connection at the moment")
	}
	lines = append(lines, g.head(m.look))
	for i := range m.expectHeight() {
		if n := v.list.top + i; n < len(v.rows) {
			mark := ""
			if n == v.list.cursor {
				mark = m.look.sign(signCursor)
			}
			lines = append(lines, g.row(m.look, m.expectCells(&v.rows[n]), mark, n == v.list.cursor)...)
		}
	}
	return lines
}

// expectCounts says how many expectations each cache has.
func (m model) expectCounts() string {
	count := map[control.Table]uint64{}
	for i := range m.expect.rows {
		count[m.expect.rows[i].table]++
	}
	text := m.units.count(count[control.TableInternal]) + " internal, "
	if m.state.Status.Injecting {
		return text + "the peer's go into the kernel at once"
	}
	return text + m.units.count(count[control.TableExternal]) + " external"
}

func (m *model) expectCells(r *expectRow) []cell {
	x := &r.entry
	arrow := " " + m.look.sign(signArrow) + " "
	timeout := ""
	if x.Has.Is(flow.HasTimeout) {
		timeout = span(time.Duration(x.Timeout) * time.Second)
	}
	return []cell{
		{string(r.table), plain},
		{flow.HelperName(&x.Helper), plain},
		{protoName(x.Expect.Proto) + " " + m.anySource(x) + arrow + m.destination(&x.Expect), plain},
		{m.source(&x.Master) + arrow + m.destination(&x.Master), plain},
		{timeout, plain},
	}
}

// expectText is an expectation in one line.
func (m *model) expectText(r *expectRow) string {
	var parts []string
	for _, c := range m.expectCells(r) {
		if c.text != "" {
			parts = append(parts, c.text)
		}
	}
	return strings.Join(parts, "  ")
}

// anySource writes the source of an expectation, of which the mask may leave open what the port is.
func (m *model) anySource(x *flow.Expectation) string {
	if x.Has.Is(flow.HasMask) && x.Mask.SrcPort == 0 && x.Expect.Proto.HasPorts() {
		ip := x.Expect.Src.IP(x.Expect.Family)
		if ip.Is6() {
			return "[" + ip.String() + "]:*"
		}
		return ip.String() + ":*"
	}
	return m.source(&x.Expect)
}
