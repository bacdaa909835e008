package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

func parsed(t *testing.T, s string) *expr.Expr {
	t.Helper()
	e, err := expr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A filter arrives as it was meant, and one that makes no sense is refused with its column.
func TestFiltersArrive(t *testing.T) {
	var got FlowQuery
	b := fake()
	b.Flows = func(_ context.Context, q FlowQuery, _ func(*flow.Flow, Meta) error) error { got = q; return nil }
	b.Groups = func(_ context.Context, q FlowQuery) (Groups, error) { got = q; return Groups{By: q.Group}, nil }
	c := start(t, b)
	ctx := context.Background()
	q := FlowQuery{Table: TableInternal, Filter: parsed(t, `dport:80,443 or "a&b" !10.0.`), From: 77, Limit: 9}
	_, err := readList(t, c, q, FormatConntrack)
	if err != nil || got.Filter.String() != q.Filter.String() || got.From != 77 {
		t.Errorf("%+v, %v", got, err)
	}
	g, err := c.Groups(ctx, FlowQuery{Table: TableKernel, Group: "port", Sort: "bytes", Desc: true, Filter: q.Filter})
	if err != nil || g.By != "port" || got.Sort != "bytes" || !got.Desc || got.Filter == nil {
		t.Errorf("%+v, %+v, %v", g, got, err)
	}
	for query, want := range map[string]Error{
		"flows?table=kernel&filter=tcp+prot:x":                     {Message: `filter column 5: unknown key "prot"`, Code: CodeBadRequest, Hint: "did you mean proto?", Column: 5},
		"events?filter=(":                                          {Message: "filter column 2: the filter ends too early", Code: CodeBadRequest, Hint: `want a word, a term such as dport:443, or "("`, Column: 2},
		"flows?table=kernel&filter=idle>1m":                        {Message: "the kernel's table does not tell how long a flow is idle", Code: CodeBadRequest, Hint: "filter by timeout, or read a cache"},
		"flows?table=external&filter=bytes>1":                      {Message: "the caches keep no packets and bytes", Code: CodeBadRequest, Hint: "read the kernel's table"},
		"flows?table=internal&sort=bytes&limit=1":                  {Message: "the caches keep no packets and bytes", Code: CodeBadRequest, Hint: "read the kernel's table"},
		"flows?table=internal&group=port&sort=packets":             {Message: "the caches keep no packets and bytes", Code: CodeBadRequest, Hint: "read the kernel's table"},
		"flows?table=internal&group=port&skip=1":                   {Message: "groups have no pages", Code: CodeBadRequest, Hint: "leave out skip and from, or raise limit"},
		"flows?table=internal&group=port&limit=10001":              {Message: `query limit="10001"`, Code: CodeBadRequest, Hint: "want at most 10000 groups"},
		"flows?table=internal&group=port&sort=age":                 {Message: `query sort="age"`, Code: CodeBadRequest, Hint: "want one of flows, packets, bytes, key for groups"},
		"flows?table=kernel&from=5":                                {Message: "from continues a list of the flows of a cache in the order of storage", Code: CodeBadRequest, Hint: "leave out from, or sort and skip"},
		"flows?table=internal&from=5&sort=age&limit=1":             {Message: "from continues a list of the flows of a cache in the order of storage", Code: CodeBadRequest, Hint: "leave out from, or sort and skip"},
		"flows?table=internal&entries=expect&filter=tcp":           {Message: "expectations are not filtered", Code: CodeBadRequest, Hint: "leave out filter"},
		"flows?table=internal&entries=expect&sort=age&limit=1":     {Message: "expectations cannot be sorted", Code: CodeBadRequest, Hint: "leave out sort"},
		"flows?table=internal&entries=expect&group=port":           {Message: "expectations are not grouped", Code: CodeBadRequest, Hint: "leave out group"},
		"flows?table=internal&entries=expect&format=conntrack":     {Message: `query format="conntrack"`, Code: CodeBadRequest, Hint: "want conntrackd, xml or ndjson for expectations"},
		"differences?table=kernel":                                 {Message: `query table="kernel"`, Code: CodeBadRequest, Hint: "want internal or external"},
		"differences?table=internal&format=xml":                    {Message: `query format="xml"`, Code: CodeBadRequest, Hint: "want [text ndjson]"},
		"events?table=kernel":                                      {Message: `query table="kernel"`, Code: CodeBadRequest, Hint: "want internal, external or nothing"},
		"events?table=external&filter=bytes>1":                     {Message: "the caches keep no packets and bytes", Code: CodeBadRequest, Hint: "read the kernel's table"},
		"flows?table=internal&filter=" + strings.Repeat("a", 5000): {Message: "filter column 4097: filter is too long", Code: CodeBadRequest, Hint: "at most 4096 characters", Column: 4097},
	} {
		path, values, _ := strings.Cut(query, "?")
		v, err := url.ParseQuery(values)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.send(ctx, http.MethodGet, "/v1/"+path+"?"+v.Encode(), nil)
		var e *Error
		if !errors.As(err, &e) || *e != want {
			t.Errorf("%.60s: %+v, want %+v", query, err, want)
		}
	}
}

// A page says where the next one begins, when there may be one.
func TestPages(t *testing.T) {
	b := fake()
	b.Flows = func(_ context.Context, q FlowQuery, fn func(*flow.Flow, Meta) error) error {
		for i := int(max(q.From, 1)); i <= 5 && (q.Limit == 0 || i < int(max(q.From, 1))+q.Limit); i++ {
			if err := fn(sampleFlow(i), Meta{Created: time.Now(), Updated: time.Now(), Place: uint32(i)}); err != nil {
				return err
			}
		}
		return nil
	}
	c := start(t, b)
	for _, tc := range []struct {
		q    FlowQuery
		n    int
		next uint32
	}{
		{FlowQuery{Table: TableInternal, Limit: 2}, 2, 3},
		{FlowQuery{Table: TableInternal, Limit: 2, From: 3}, 2, 5},
		{FlowQuery{Table: TableInternal, Limit: 2, From: 5}, 1, 0},
		{FlowQuery{Table: TableInternal}, 5, 0},
		{FlowQuery{Table: TableInternal, Sort: "age", Limit: 2}, 2, 0},
	} {
		p, err := c.Page(context.Background(), tc.q)
		if err != nil || len(p.Entries) != tc.n || p.Next != tc.next {
			t.Errorf("%+v: %d entries, next %d, %v", tc.q, len(p.Entries), p.Next, err)
		}
	}
}

func differences(_ context.Context, _ FlowQuery, fn func(*Difference, Meta) error) (DifferenceCounts, error) {
	kernel, cached := *sampleFlow(0), *sampleFlow(0)
	kernel.Mark, cached.TCPState, kernel.Helper = 7, 4, [16]byte{'f', 't', 'p'}
	cached.Reply.DstPort++
	for _, d := range []Difference{
		{What: KernelOnly, Kernel: &kernel}, {What: CacheOnly, Cache: &cached},
		{What: Differs, Attributes: flow.HasMark | flow.HasTCPState | flow.HasHelper | flow.HasReply | flow.HasSeqAdj | flow.HasStatus, Kernel: &kernel, Cache: &cached},
	} {
		if err := fn(&d, Meta{}); err != nil {
			return DifferenceCounts{}, err
		}
	}
	found := map[string]uint64{Differs: 1, KernelOnly: 1, CacheOnly: 1}
	return DifferenceCounts{Compared: 9, Filtered: 2, Unsettled: 1, Found: found}, nil
}

func readAll(t *testing.T, r io.ReadCloser, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDifferenceFormats(t *testing.T) {
	b := fake()
	b.Differences = differences
	c := start(t, b)
	r, err := c.DifferenceText(context.Background(), FlowQuery{Table: TableInternal}, FormatText)
	const want = "kernel-only  tcp     10.35.100.87:56282 > 172.31.20.12:22 ESTABLISHED\n" +
		"cache-only   tcp     10.35.100.87:56282 > 172.31.20.12:22 FIN_WAIT\n" +
		"differs      tcp     10.35.100.87:56282 > 172.31.20.12:22 ESTABLISHED; reply 172.31.20.12:22>10.35.100.87:56282 / 172.31.20.12:22>10.35.100.87:56283," +
		" status 0x6 / 0x6, mark 7 / 0, tcp-state ESTABLISHED / FIN_WAIT, seqadj, helper \"ftp\" / \"\"\n" +
		"3 differences: 1 kernel-only, 1 cache-only, 1 differs; 9 flows compared, 2 not replicated by configuration, 1 changing too fast to tell\n"
	if d := cmp.Diff(want, readAll(t, r, err)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	r, err = c.DifferenceText(context.Background(), FlowQuery{Table: TableInternal}, FormatNDJSON)
	lines := strings.Split(strings.TrimSpace(readAll(t, r, err)), "\n")
	var d, last DifferenceJSON
	if len(lines) != 4 ||
		json.Unmarshal([]byte(lines[2]), &d) != nil || json.Unmarshal([]byte(lines[3]), &last) != nil {
		t.Fatalf("%q", lines)
	}
	if d.What != Differs || len(d.Attributes) != 6 || d.Kernel == nil || d.Cache == nil ||
		last.Counts == nil || last.Counts.Total() != 3 || last.What != "" {
		t.Errorf("%+v, %+v", d, last)
	}
}

// Events arrive when they happen, not when much has gathered.
func TestEventsArriveAtOnce(t *testing.T) {
	b := fake()
	happens := make(chan EventBatch)
	ended := make(chan error, 1)
	b.Events = func(ctx context.Context, _ FlowQuery, fn func(*EventBatch) error) error {
		err := fn(&EventBatch{})
		for err == nil {
			select {
			case batch := <-happens:
				err = fn(&batch)
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		ended <- err
		return err
	}
	c := start(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := c.EventText(ctx, FlowQuery{}, FormatNDJSON) // returns when the daemon has begun
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(r)
	at := time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC)
	for _, batch := range []EventBatch{
		{Events: []Event{{At: at, Kind: EventNew, Flow: *sampleFlow(0)}}},
		{Events: []Event{{At: at, Kind: EventDestroy, Peer: true, Flow: *sampleFlow(0)}}, Lost: 5},
		{Overruns: 1},
	} {
		happens <- batch
		n := len(batch.Events)
		if batch.Lost+batch.Overruns > 0 {
			n++
		}
		for i := range n {
			if !lines.Scan() {
				t.Fatal(lines.Err())
			}
			var e EventJSON
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			switch {
			case i < len(batch.Events):
				x := batch.Events[i]
				if e.Event != x.Kind.String() || e.Table != x.Table() || !e.At.Equal(at) || *e.Orig.DstPort != 22 {
					t.Errorf("%s", lines.Bytes())
				}
			case e.Lost != batch.Lost || e.Overruns != batch.Overruns || e.JSON != nil:
				t.Errorf("%s", lines.Bytes())
			}
		}
	}
	cancel()
	r.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the reader left: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the backend still works for a reader who left")
	}
}

func TestEventText(t *testing.T) {
	b := fake()
	at := time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC)
	when := at.Local().Format("2006-01-02 15:04:05") + ".004"
	b.Events = func(_ context.Context, _ FlowQuery, fn func(*EventBatch) error) error {
		return fn(&EventBatch{Lost: 3, Overruns: 1, Events: []Event{
			{At: at, Kind: EventUpdate, Flow: *sampleFlow(0)},
			{At: at, Kind: EventDestroy, Peer: true, Flow: *sampleFlow(0)},
		}})
	}
	r, err := start(t, b).EventText(context.Background(), FlowQuery{}, FormatText)
	const line = "tcp      6 300 ESTABLISHED src=10.35.100.87 dst=172.31.20.12 sport=56282 dport=22 src=172.31.20.12 dst=10.35.100.87 sport=22 dport=56282 [ASSURED]\n"
	got := readAll(t, r, err)
	for _, want := range []string{
		when + " internal update  " + line, when + " external destroy " + line,
		" lost: the kernel dropped events before they were read\n", " lost: 3 events that were not read in time\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// Counting takes as long as it takes, as a list does; what is answered from memory does not.
func TestGroupsHaveNoDeadline(t *testing.T) {
	b := fake()
	slow := func() { time.Sleep(300 * time.Millisecond) }
	b.Groups = func(context.Context, FlowQuery) (Groups, error) { slow(); return Groups{By: "state"}, nil }
	b.Status = func(context.Context) (Status, error) { slow(); return Status{}, nil }
	c := start(t, b)
	c.timeout = 50 * time.Millisecond
	if g, err := c.Groups(t.Context(), FlowQuery{Table: TableKernel, Group: "state"}); g.By != "state" || err != nil {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("status: %v", err)
	}
}
