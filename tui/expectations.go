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

// expectations is the view of the expectations in both caches.
type expectations struct {
	bare
	reading
	list list
	rows []expectRow
}

func (e *expectations) name() string { return "Expectations" }

func (e *expectations) keys() []binding {
	return []binding{e.copyKey("copy it to the clipboard", e.selected), e.writeKey(e.visible)}
}

// expectRow is an expectation of one of the caches.
type expectRow struct {
	table   control.Table
	entry   flow.Expectation
	created time.Time
}

// maxExpectations limits how many are read of each cache. There are seldom more than a few.
const maxExpectations = 2000

func (e *expectations) beat() tea.Cmd {
	if !e.pace.ready(e.now) {
		return nil
	}
	client := e.client
	return ask(e.ctx, &e.pace, e.now, listTimeout, func(ctx context.Context) ([]expectRow, error) {
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
}

func readExpectations(ctx context.Context, c *control.Client, t control.Table) (rows []expectRow, err error) {
	q := control.FlowQuery{Table: t, Entries: control.EntriesExpect, Limit: maxExpectations}
	r, err := c.FlowText(ctx, q, control.FormatNDJSON)
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

func (e *expectations) take(msg tea.Msg) tea.Cmd {
	if a := msg.(answer[[]expectRow]); fresh(&e.reading, a, stateEvery) {
		e.replace(a.value)
	}
	return e.settle() // a failure takes one line from the rows
}

// replace shows other rows. The selected expectation stays selected.
func (e *expectations) replace(rows []expectRow) {
	if i := e.list.cursor; i < len(e.rows) && i > 0 {
		for k := range rows {
			if rows[k].table == e.rows[i].table && rows[k].entry.Expect == e.rows[i].entry.Expect {
				e.list.cursor, e.list.top = k, max(e.list.top+k-i, 0)
				break
			}
		}
	}
	e.rows = rows
	e.list.total = len(rows)
}

func (e *expectations) settle() tea.Cmd     { return e.move(0) }
func (e *expectations) page() int           { return e.height() }
func (e *expectations) wheel(n int) tea.Cmd { return e.move(n) }

func (e *expectations) move(n int) tea.Cmd {
	e.list = e.list.move(n, e.height())
	return nil
}

// click selects a row.
func (e *expectations) click(_, line int) tea.Cmd {
	g := e.grid()
	if n := e.list.top + (line-e.head())/g.height(); line >= e.head() && n < e.list.total {
		e.list.cursor = n
	}
	return nil
}

func (e *expectations) grid() grid {
	return fitGrid([]column{
		{name: "CACHE", least: 8, most: 8, rank: 2, line: 0},
		{name: "HELPER", least: 6, most: 6, rank: 1, line: 0},
		{name: "EXPECTED", least: 32, most: 100, line: 1, fit: fitEndpoint},
		{name: "OF FLOW", least: 28, most: 100, rank: 3, line: 2, fit: fitEndpoint},
		{name: "TIMEOUT", least: 7, most: 7, right: true, rank: 2, line: 0},
	}, e.width)
}

// head is the number of lines above the rows: the counts, the failure if any, the names of the columns.
func (e *expectations) head() int { return 2 + len(e.failure(e.err)) }

// height is the number of rows that fit.
func (e *expectations) height() int {
	g := e.grid()
	return max((e.bodyHeight()-e.head())/g.height(), 1)
}

func (e *expectations) body() []string {
	if len(e.state.Status.ExpectationSync) == 0 {
		return e.notReplicated()
	}
	if lines := e.unanswered(&e.reading); lines != nil {
		return lines
	}
	g := e.grid()
	helpers := "  helpers: " + strings.Join(e.state.Status.ExpectationSync, " ")
	lines := append([]string{" " + e.counts() + e.look.in(faint, helpers)}, e.failure(e.err)...)
	if len(e.rows) == 0 {
		return append(lines, "", "  no helper expects a connection at the moment")
	}
	lines = append(lines, g.head(e.look))
	for n, to := e.list.visible(e.height()); n < to; n++ {
		chosen := n == e.list.cursor
		lines = append(lines, g.row(e.look, e.cells(&e.rows[n]), e.look.mark(chosen), chosen)...)
	}
	return lines
}

// notReplicated says what it means that expectations are not replicated, and how to change it.
func (e *expectations) notReplicated() []string {
	lines := []string{"", "  expectations are not replicated"}
	const means = "Connections that FTP, SIP and the like announce are then refused after a failover until they are " +
		"announced again. expect-sync in ctsync.toml names the helpers whose expectations are replicated."
	for _, part := range wrap(means, e.width-4) {
		lines = append(lines, "  "+e.look.in(faint, part))
	}
	if n := e.state.Statistics.ExpectationsIgnored; n > 0 {
		text := fmt.Sprintf("! the peer sends them: %s messages were ignored", e.units.count(n))
		lines = append(lines, "", "  "+e.look.in(warn, text))
	}
	return lines
}

// counts says how many expectations each cache has.
func (e *expectations) counts() string {
	count := map[control.Table]uint64{}
	for i := range e.rows {
		count[e.rows[i].table]++
	}
	text := e.units.count(count[control.TableInternal]) + " internal, "
	if e.state.Status.Injecting {
		return text + "the peer's go into the kernel at once"
	}
	return text + e.units.count(count[control.TableExternal]) + " external"
}

func (e *expectations) cells(r *expectRow) []cell {
	x := &r.entry
	arrow := " " + e.look.sign(signArrow) + " "
	timeout := ""
	if x.Has.Is(flow.HasTimeout) {
		timeout = span(time.Duration(x.Timeout) * time.Second)
	}
	return []cell{
		{string(r.table), plain},
		{flow.HelperName(&x.Helper), plain},
		{x.Expect.Proto.Name() + " " + e.names.anySource(x) + arrow + e.names.destination(&x.Expect), plain},
		{e.names.source(&x.Master) + arrow + e.names.destination(&x.Master), plain},
		{timeout, plain},
	}
}

// selected describes the selected expectation in one line.
func (e *expectations) selected() string {
	if e.list.cursor >= len(e.rows) {
		return ""
	}
	var parts []string
	for _, c := range e.cells(&e.rows[e.list.cursor]) {
		if c.text != "" {
			parts = append(parts, c.text)
		}
	}
	return strings.Join(parts, "  ")
}

// visible returns the visible rows for a file.
func (e *expectations) visible() export {
	var numbers services
	file := export{name: "expectations", head: []string{
		"cache", "helper", "protocol", "source", "destination", "master source", "master destination", "timeout",
	}}
	for i, to := e.list.visible(e.height()); i < to; i++ {
		r := &e.rows[i]
		x := &r.entry
		timeout := ""
		if x.Has.Is(flow.HasTimeout) {
			timeout = fmt.Sprint(x.Timeout)
		}
		file.add(struct {
			Table control.Table `json:"table"`
			control.ExpectEntry
		}{r.table, control.ExpectEntry{ExpectationJSON: x.JSON(), Created: r.created}},
			string(r.table), flow.HelperName(&x.Helper), x.Expect.Proto.Name(),
			numbers.anySource(x), numbers.destination(&x.Expect),
			numbers.source(&x.Master), numbers.destination(&x.Master), timeout)
	}
	return file
}

// anySource writes the source of an expectation. Its mask may allow any port.
func (n services) anySource(x *flow.Expectation) string {
	if x.Has.Is(flow.HasMask) && x.Mask.SrcPort == 0 && x.Expect.Proto.HasPorts() {
		ip := x.Expect.Src.IP(x.Expect.Family)
		if ip.Is6() {
			return "[" + ip.String() + "]:*"
		}
		return ip.String() + ":*"
	}
	return n.source(&x.Expect)
}
