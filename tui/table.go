package tui

import (
	"context"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

// source is one of the tables that the user can choose. A table is live if the daemon answers from a cache. The others
// make it dump the kernel's table: they are read once, and again if the user asks for it.
type source struct {
	name        string
	table       control.Table
	differences bool
	live        bool
}

var sources = []source{
	{"internal", control.TableInternal, false, true},
	{"external", control.TableExternal, false, true},
	{"kernel", control.TableKernel, false, false},
	{"diff internal", control.TableInternal, true, false},
	{"diff external", control.TableExternal, true, false},
}

// row is a flow of a table, or a difference between two tables.
type row struct {
	flow             flow.Flow
	created, updated time.Time // zero = unknown
	gone             bool      // not in the last answer, but shown because the order is kept

	difference bool
	what       string     // of a difference
	attributes []string   // that differ
	kernel     *flow.Flow // the kernel's flow; flow is then the cache's
}

// table is the view of the flow tables.
type table struct {
	bare
	reading
	question
	window
	flow *flowView // where one of them is opened

	groups  control.Groups
	counts  *control.DifferenceCounts // of the differences; nil = not read yet
	changed time.Time                 // when the user last changed the question and it was asked
	counter pacer
	matches uint64 // flows that match the filter; 0 = unknown
}

// question is what the user wants to see.
type question struct {
	source     int
	filter     *expr.Expr // nil = all
	filterText string
	order      order
	group      string // one of control.GroupKeys; "" = list flows
	groupOrder order  // of groups; with by "" most flows come first
}

// window is the part of a list that has been read.
type window struct {
	list   list
	first  int // place of rows[0] in the list
	rows   []row
	ended  bool            // nothing follows rows
	beyond int             // rows too far down for the daemon to skip to; they are not in list.total
	marks  []mark          // places where the daemon can continue, if the list is not sorted; ascending
	wide   int             // width of the widest address so far: columns must not jump
	filled map[string]bool // optional columns that have had a value
	stale  bool            // rows answer the question before the present one
	kept   bool            // rows stay in place
}

// order is how a list is sorted.
type order struct {
	by   string // one of control.Orders, for groups of control.GroupOrders; "" = as stored
	desc bool
}

// mark is a place of a list that is not sorted, with the number from which the daemon continues there.
type mark struct {
	place int
	from  uint32
}

const (
	windowRows  = 120     // the least number of rows in a window
	keptRows    = 1000    // rows in which those that stay in place are looked for
	groupRows   = 500     // groups that are read
	differRows  = 2000    // differences that are read; the daemon counts all
	sortedReach = 100_000 // how far the daemon skips in a sorted cache: see control.FlowQuery
	storedReach = 4 << 20
	maxMarks    = 1 << 15 // enough for some 2 million flows
)

func (t *table) name() string { return "Table" }

func (q *question) from() source { return sources[q.source] }

// query is the question for the daemon, without the range of rows.
func (q *question) query() control.FlowQuery {
	return control.FlowQuery{Table: q.from().table, Filter: q.filter}
}

// every is the time until the question is repeated. What the configuration rules out is not worth asking at every beat.
func (q *question) every(err error) time.Duration {
	if q.from().live && !disabled(err) {
		return beat
	}
	return retryEvery
}

// unread also holds for rows that answer the question before.
func (t *table) unread() bool { return t.read.IsZero() || t.stale }

func (t *table) paces() []*pacer { return []*pacer{&t.pace, &t.counter} }

// beat reads the rows, and counts what matches the filter. A table that is not live is read and counted once.
func (t *table) beat() tea.Cmd {
	old := t.unread()
	var cmds []tea.Cmd
	if (old || t.err != nil || t.from().live) && t.pace.ready(t.now) {
		cmds = append(cmds, t.ask())
	}
	if !old && (t.matches == 0 || t.from().live) && t.counter.ready(t.now) {
		cmds = append(cmds, t.askMatches())
	}
	return tea.Batch(cmds...)
}

// again asks a question that the user has changed: at once, or with the next beat if the last change is less than a
// beat ago. Until the answer comes the old rows are shown, from the top.
func (t *table) again() tea.Cmd {
	t.pace.drop()
	t.counter.drop()
	t.pace.due, t.counter.due = t.changed.Add(beat), time.Time{} // the old question's cost does not delay this one
	t.marks, t.ended, t.matches, t.err, t.kept, t.stale = nil, false, 0, nil, false, true
	t.first, t.list = 0, list{}
	if t.shown != screen(t) {
		t.rows, t.read = nil, time.Time{}
		return nil
	}
	var cmd tea.Cmd
	if t.pace.ready(t.now) {
		cmd = t.ask()
	}
	t.sized()
	return cmd
}

// other forgets what was read, because another table is wanted.
func (t *table) other() {
	t.rows, t.read, t.counts, t.groups, t.wide, t.filled = nil, time.Time{}, nil, control.Groups{}, 0, nil
}

// ask asks the question.
func (t *table) ask() tea.Cmd {
	if t.stale {
		t.changed = t.now
	}
	client := t.client
	switch q := t.query(); {
	case t.group != "":
		o := t.sorting()
		q.Group, q.Limit, q.Sort, q.Desc = t.group, groupRows, o.by, o.desc
		return ask(t.ctx, &t.pace, t.now, listTimeout, func(ctx context.Context) (control.Groups, error) {
			return client.Groups(ctx, q)
		})
	case t.from().differences:
		q.Limit = differRows
		return ask(t.ctx, &t.pace, t.now, listTimeout, func(ctx context.Context) (differences, error) {
			return readDifferences(ctx, client, q)
		})
	}
	r := t.request(t.height())
	return ask(t.ctx, &t.pace, t.now, listTimeout, func(ctx context.Context) (page, error) {
		return readPage(ctx, client, r)
	})
}

func (t *table) take(msg tea.Msg) tea.Cmd {
	switch a := msg.(type) {
	case answer[page]:
		return t.takePage(a)
	case answer[control.Groups]:
		t.takeGroups(a)
	case answer[differences]:
		t.takeDifferences(a)
	case answer[matches]:
		t.takeMatches(a)
	}
	return nil
}

// request asks for a window.
type request struct {
	query control.FlowQuery
	first int // place of the first wanted row
	leave int // rows in the answer before it
	size  int
}

// page is a window as the daemon sent it.
type page struct {
	request
	rows []row
	next uint32
}

// request asks for the window around the visible rows.
func (t *table) request(height int) request {
	size := max(windowRows, 5*height)
	r := request{query: t.query(), first: max(t.list.top-(size-height)/2, 0), size: size}
	if t.kept {
		r.first, r.size = max(t.first-(keptRows-len(t.rows))/2, 0), keptRows
	}
	q := &r.query
	q.Sort, q.Desc = t.order.by, t.order.desc
	q.Skip, q.Limit = r.first, r.size
	if q.Sort == "" && q.Table != control.TableKernel {
		// The daemon walks all rows that it skips. From a mark it continues at once.
		if k := t.markBefore(r.first); r.first-k.place <= 4*size {
			q.Skip, q.From = 0, k.from
			r.leave = r.first - k.place
			q.Limit = r.leave + r.size
		}
	}
	return r
}

func (w *window) markBefore(place int) (k mark) {
	for i := len(w.marks) - 1; i >= 0; i-- {
		if w.marks[i].place <= place {
			return w.marks[i]
		}
	}
	return k
}

// marked stores a mark.
func (w *window) marked(k mark) {
	i, known := slices.BinarySearchFunc(w.marks, k.place, func(a mark, place int) int { return a.place - place })
	switch {
	case known:
		w.marks[i] = k
	case len(w.marks) < maxMarks:
		w.marks = slices.Insert(w.marks, i, k)
	}
}

func readPage(ctx context.Context, c *control.Client, r request) (page, error) {
	got, err := c.Page(ctx, r.query)
	p := page{request: r, next: got.Next}
	for i := r.leave; i < len(got.Entries); i++ {
		e := &got.Entries[i]
		f, ferr := e.JSON.Flow()
		if ferr != nil {
			return p, ferr
		}
		p.rows = append(p.rows, row{flow: f, created: e.Created, updated: e.Updated})
	}
	return p, err
}

// takePage shows another window.
func (t *table) takePage(a answer[page]) tea.Cmd {
	if !fresh(&t.reading, a, t.every(a.err)) {
		t.sized()
		return nil
	}
	t.stale = false
	if t.kept {
		t.rows = kept(t.rows, a.value.rows)
		return nil
	}
	was, selected := t.chosen()
	t.first, t.rows = a.value.first, a.value.rows
	t.ended = len(t.rows) < a.value.size
	if a.value.next > 0 {
		t.marked(mark{t.first + len(t.rows), a.value.next})
	}
	t.fill()
	if selected && (t.list.cursor > 0 || t.list.top > 0) {
		t.follow(was)
	}
	return t.settle()
}

// kept returns the old rows in their places, with their present values.
func kept(old, now []row) []row {
	at := make(map[flow.Tuple]int, len(now))
	for i := range now {
		at[now[i].flow.Orig] = i
	}
	rows := slices.Clone(old)
	for i := range rows {
		if n, ok := at[rows[i].flow.Orig]; ok {
			rows[i] = now[n]
		} else {
			rows[i].gone = true
		}
	}
	return rows
}

// chosen returns the selected row.
func (t *table) chosen() (row, bool) {
	i := t.list.cursor - t.first
	if t.group != "" || i < 0 || i >= len(t.rows) {
		return row{}, false
	}
	return t.rows[i], true
}

// follow selects a row that has moved in the list. The visible rows move with it.
func (w *window) follow(r row) {
	for i := range w.rows {
		if w.rows[i].flow.Orig == r.flow.Orig && w.rows[i].what == r.what {
			by := w.first + i - w.list.cursor
			w.list.cursor, w.list.top = w.list.cursor+by, max(w.list.top+by, 0)
			return
		}
	}
}

// sized computes the length of the list from what is known.
func (t *table) sized() {
	end := t.first + len(t.rows)
	switch {
	case t.group != "":
		t.list.total = len(t.groups.Groups)
	case t.from().differences || t.ended || t.kept:
		t.list.total = end
	case t.filter != nil:
		t.list.total = max(end, int(t.matches))
	default:
		t.list.total = max(end, int(t.size()))
	}
	t.beyond = max(t.list.total-t.reach(), 0)
	t.list.total -= t.beyond
	if !t.read.IsZero() {
		t.fit(t.height())
	}
}

// fit keeps the selected row visible; height rows are. If rows stay in place, it leaves neither out of them.
func (w *window) fit(height int) {
	if w.kept {
		w.list.cursor = max(w.list.cursor, w.first)
	}
	w.list = w.list.settled(height)
	if w.kept {
		w.list.top = max(w.list.top, w.first)
	}
}

func (t *table) settle() tea.Cmd {
	t.sized()
	return t.refill()
}

func (t *table) page() int { return t.height() }

func (t *table) move(n int) tea.Cmd {
	t.list.cursor += n
	t.fit(t.height())
	return t.refill()
}

func (t *table) wheel(n int) tea.Cmd {
	if t.kept {
		return t.move(n)
	}
	t.list = t.list.scrolled(n, t.height())
	return t.refill()
}

// reach is the number of rows that the daemon can skip.
func (q *question) reach() int {
	switch {
	case q.order.by == "":
		return storedReach
	case q.from().table == control.TableKernel:
		return control.MaxSorted
	}
	return sortedReach
}

// size is the number of flows in the table.
func (t *table) size() uint64 {
	s := &t.state.Statistics
	switch t.from().table {
	case control.TableInternal:
		return s.Internal.Active
	case control.TableExternal:
		return s.External.Active
	}
	return s.Kernel.TableEntries
}

// refill asks for another window if the visible rows are near the end of this one.
func (t *table) refill() tea.Cmd {
	if t.shown != screen(t) || t.pace.busy || t.unread() || t.kept || t.group != "" || t.from().differences {
		return nil
	}
	height := t.height()
	before := t.first > 0 && t.list.top < t.first+height/2
	after := t.first+len(t.rows) < t.list.total && t.list.top+height > t.first+len(t.rows)-height/2
	if (before || after) && t.err == nil {
		if r := t.request(height); r.first != t.first {
			return t.ask()
		}
	}
	return nil
}

// matches is the number of flows that match a filter.
type matches uint64

// askMatches counts the flows that match the filter. The daemon walks the table for that.
func (t *table) askMatches() tea.Cmd {
	if t.filter == nil || t.group != "" || t.from().differences || t.ended {
		return nil
	}
	client, q := t.client, t.query()
	q.Group, q.Limit = "family", 1
	return ask(t.ctx, &t.counter, t.now, listTimeout, func(ctx context.Context) (matches, error) {
		g, err := client.Groups(ctx, q)
		return matches(g.Flows), err
	})
}

func (t *table) takeMatches(a answer[matches]) {
	if taken(&t.counter, a, t.every(a.err)) && a.err == nil {
		t.matches = uint64(a.value)
		t.sized()
	}
}
