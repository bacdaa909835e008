package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// differences are the first differences between a cache and the kernel's table, with the counts of all.
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

// differenceRow makes a row with the cache's flow, and the kernel's beside it.
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

func (t *table) takeDifferences(a answer[differences]) {
	if fresh(&t.reading, a, t.every(a.err)) {
		was, selected := t.chosen()
		t.first, t.rows, t.ended = 0, a.value.rows, true
		t.counts, t.stale = &a.value.counts, false
		t.fill()
		if selected && t.list.cursor > 0 {
			t.follow(was)
		}
	}
	t.sized()
}

// differenceWords say what each kind of difference means. Those that cost a connection come first.
var differenceWords = []struct {
	what, words string
	in          paint
}{
	{control.KernelOnly, "only in the kernel: not replicated, lost if this router fails", bad},
	{control.WouldLose, "lost: protocol v1 does not carry its key", bad},
	{control.WouldExpire, "expired: not restored", warn},
	{control.CacheOnly, "only in the cache: ended", warn},
	{control.Differs, "differ", warn},
	{control.WouldReplace, "replace: another flow conflicts", warn},
	{control.WouldStray, "foreign: translated to an address of the other router, cannot work here", bad},
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

// differenceSummary says in one line how many differences there are.
func (t *table) differenceSummary() string {
	c := t.counts
	if c.Total() == 0 {
		return t.noDifference(c)
	}
	prefix := ""
	if t.from().table == control.TableExternal {
		prefix = "a commit would: "
	}
	var long, brief []string
	for _, w := range differenceWords {
		if n := c.Found[w.what]; n > 0 {
			long = append(long, t.look.in(w.in, t.units.count(n)+" "+w.words))
			brief = append(brief, t.look.in(w.in, t.units.count(n)+" "+w.what))
		}
	}
	if text := prefix + strings.Join(long, "; "); width(text) < t.width {
		return text
	}
	return strings.Join(brief, "; ")
}

// noDifference says that there is none, and how far that is known.
func (t *table) noDifference(c *control.DifferenceCounts) string {
	switch {
	case c.Unsettled > 0:
		text := t.units.count(c.Unsettled) + " flows changed too fast to compare"
		if t.width >= 60 {
			text = "no difference found, but " + text
		}
		return t.look.in(warn, "! "+text)
	case t.filter != nil:
		return "no difference among the flows that match"
	case t.from().table == control.TableExternal:
		return t.look.in(good, "a commit would change nothing")
	case t.width < 60:
		return t.look.in(good, "kernel and cache are alike")
	}
	return t.look.in(good, "the kernel and the internal cache have the same flows")
}

// differenceFoot says how much was compared, and when.
func (t *table) differenceFoot() string {
	c := t.counts
	if c == nil || t.stale {
		return ""
	}
	ago := span(t.still().Sub(t.read))
	text := fmt.Sprintf("%s flows compared %s ago, r reads again", t.units.count(c.Compared), ago)
	if c.Filtered > 0 {
		text += fmt.Sprintf(", %s not replicated by configuration", t.units.count(c.Filtered))
	}
	if c.Unsettled > 0 {
		text += fmt.Sprintf(", %s changed too fast to compare", t.units.count(c.Unsettled))
	}
	if n := c.Total(); n > uint64(len(t.rows)) {
		text += fmt.Sprintf(", the first %s shown", t.units.count(uint64(len(t.rows))))
	}
	return " " + t.look.in(faint, text)
}

// attributeChange says which attributes differ, with the kernel's value before the cache's.
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
