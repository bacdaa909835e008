package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// differences are the first rows of a comparison of a cache with the kernel's table, and the counts of all.
type differences struct {
	rows   []row
	counts control.DifferenceCounts
}

func readDifferences(ctx context.Context, c *control.Client, q control.FlowQuery) (d differences, err error) {
	r, err := c.DifferenceText(ctx, q, control.FormatNDJSON)
	if err != nil {
		return d, err
	}
	defer r.Close()
	for dec := json.NewDecoder(r); ; {
		var l control.DifferenceJSON
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return d, nil
		} else if err != nil {
			return d, err
		}
		if l.Counts != nil {
			d.counts = *l.Counts
			continue
		}
		row, err := differenceRow(&l)
		if err != nil {
			return d, err
		}
		d.rows = append(d.rows, row)
	}
}

// differenceRow shows the flow of the cache and keeps the kernel's beside it.
func differenceRow(l *control.DifferenceJSON) (r row, err error) {
	r = row{difference: true, what: l.What, attributes: l.Attributes}
	if l.Kernel != nil {
		f, err := l.Kernel.Flow()
		if err != nil {
			return r, err
		}
		r.kernel, r.flow = &f, f
	}
	if l.Cache != nil {
		f, err := l.Cache.Flow()
		if err != nil {
			return r, err
		}
		r.flow = f
	}
	return r, nil
}

func (m model) takeDifferences(a answer[differences]) (model, tea.Cmd) {
	t := &m.table
	if !take(&t.pace, a, t.every(a.err)) {
		return m, nil
	}
	if t.err = a.err; a.err != nil {
		return m.sized(), nil
	}
	was, selected := t.chosen()
	t.read, t.first, t.rows, t.ended = a.at, 0, a.value.rows, true
	t.counts, t.stale = &a.value.counts, false
	m.fill()
	if selected && t.list.cursor > 0 {
		t.follow(was)
	}
	return m.sized(), nil
}

// Words for what a difference means, in the order in which they are counted: those that cost a connection first.
var differenceWords = []struct {
	what, words string
	in          paint
}{
	{control.KernelOnly, "only in the kernel: not replicated, lost if this router fails", bad},
	{control.WouldLose, "lost: protocol v1 does not carry its key", bad},
	{control.WouldExpire, "expired: not restored", warn},
	{control.CacheOnly, "only in the cache: ended", warn},
	{control.Differs, "differ", warn},
	{control.WouldReplace, "replace: another flow is in the way", warn},
	{control.WouldUpdate, "update", plain},
	{control.WouldCreate, "create", plain},
}

func differencePaint(what string) paint {
	for _, w := range differenceWords {
		if w.what == what {
			return w.in
		}
	}
	return plain
}

// differenceSummary says in one line what a comparison came to.
func (m model) differenceSummary() string {
	t := &m.table
	c := t.counts
	if c.Total() == 0 {
		return m.noDifference(c)
	}
	prefix := ""
	if t.from().table == control.TableExternal {
		prefix = "a commit would: "
	}
	var long, brief []string
	for _, w := range differenceWords {
		if n := c.Found[w.what]; n > 0 {
			long = append(long, m.look.in(w.in, m.units.count(n)+" "+w.words))
			brief = append(brief, m.look.in(w.in, m.units.count(n)+" "+w.what))
		}
	}
	if text := prefix + strings.Join(long, "; "); width(text) < m.width {
		return text
	}
	return strings.Join(brief, "; ")
}

// noDifference says of what it is known that there is none.
func (m model) noDifference(c *control.DifferenceCounts) string {
	switch {
	case c.Unsettled > 0:
		text := m.units.count(c.Unsettled) + " flows change too fast to tell"
		if m.width >= 60 {
			text = "no difference seen, but " + text
		}
		return m.look.in(warn, "! "+text)
	case m.table.filter != nil:
		return "no difference among the flows that match"
	case m.table.from().table == control.TableExternal:
		return m.look.in(good, "a commit would change nothing")
	case m.width < 60:
		return m.look.in(good, "kernel and cache are alike")
	}
	return m.look.in(good, "the kernel and the internal cache have the same flows")
}

// differenceFoot says what was compared.
func (m model) differenceFoot() string {
	c := m.table.counts
	if c == nil || m.table.stale {
		return ""
	}
	text := fmt.Sprintf("%s flows compared %s ago, r reads again", m.units.count(c.Compared), span(m.now.Sub(m.table.read)))
	if c.Filtered > 0 {
		text += fmt.Sprintf(", %s not replicated by configuration", m.units.count(c.Filtered))
	}
	if c.Unsettled > 0 {
		text += fmt.Sprintf(", %s changing too fast to tell", m.units.count(c.Unsettled))
	}
	if n := c.Total(); n > uint64(len(m.table.rows)) {
		text += fmt.Sprintf(", the first %s shown", m.units.count(uint64(len(m.table.rows))))
	}
	return " " + m.look.in(faint, text)
}

// attributeChange says how the two flows of a difference differ, the kernel's value first.
func (l look) attributeChange(r *row) string {
	if r.kernel == nil || len(r.attributes) == 0 {
		return strings.Join(r.attributes, ", ")
	}
	var parts []string
	for _, name := range r.attributes {
		was, is := attributeValue(r.kernel, name), attributeValue(&r.flow, name)
		if was+is == "" || was == is {
			parts = append(parts, name)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s%s%s", name, orNone(was), l.sign(signArrow), orNone(is)))
	}
	return strings.Join(parts, ", ")
}

func attributeValue(f *flow.Flow, name string) string {
	switch name {
	case "mark":
		return fmt.Sprint(f.Mark)
	case "status":
		return fmt.Sprintf("%#x", f.Status)
	case "tcp-state", "sctp", "dccp":
		return f.StateName()
	case "helper":
		return flow.HelperName(&f.Helper)
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
