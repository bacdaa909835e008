package control

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ctsync/daemon/flow"
)

func readList(t *testing.T, c *Client, q FlowQuery, format Format) (string, error) {
	t.Helper()
	r, err := c.FlowText(context.Background(), q, format)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestFlowFormats(t *testing.T) {
	b := fake()
	b.Flows = func(_ context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
		return fn(sampleFlow(0), Meta{Created: time.Now().Add(-90500 * time.Millisecond)})
	}
	c := start(t, b)
	for _, r := range []struct {
		table  Table
		format Format
		want   string
	}{
		{TableKernel, FormatVyOS, "1015734848 10.35.100.87:56282     172.31.20.12:22        tcp [6] ES       300\n"},
		{TableInternal, FormatConntrackd, "tcp      6 ESTABLISHED src=10.35.100.87 dst=172.31.20.12 sport=56282 dport=22 src=172.31.20.12 dst=10.35.100.87 sport=22 dport=56282 [ASSURED] [active since 90s]\n"},
		{TableExternal, FormatConntrackd, "tcp      6 ESTABLISHED src=10.35.100.87 dst=172.31.20.12 sport=56282 dport=22 [ASSURED] [active since 90s]\n"},
		{TableExternal, FormatXML, `<layer3 protonum="0" protoname="unknown">`},
		{TableInternal, FormatXML, "<sport>22</sport><dport>56282</dport>"},
		{TableInternal, FormatNDJSON, `"protocol":"tcp","state":"ESTABLISHED","orig":{"src":"10.35.100.87","dst":"172.31.20.12","sport":56282,"dport":22}`},
	} {
		got, err := readList(t, c, FlowQuery{Table: r.table}, r.format)
		if err != nil || !strings.Contains(got, r.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s as %s: %v\n got %s\nwant %s", r.table, r.format, err, got, r.want)
		}
	}
}

func TestFlowQueryArrives(t *testing.T) {
	var got FlowQuery
	b := fake()
	b.Flows = func(_ context.Context, q FlowQuery, _ func(*flow.Flow, Meta) error) error {
		got = q
		return nil
	}
	c := start(t, b)
	for _, q := range []FlowQuery{
		{Table: TableKernel},
		{Table: TableKernel, Family: flow.IPv4, Limit: 1_000_000},
		{Table: TableExternal, Entries: EntriesMain, Family: flow.IPv6, Sort: "age", Desc: true, Skip: 300, Limit: 50},
	} {
		if text, err := readList(t, c, q, FormatVyOS); err != nil || text != "" {
			t.Errorf("%+v: %q, %v", q, text, err)
		}
		if d := cmp.Diff(q, got); d != "" {
			t.Errorf("(-asked +received):\n%s", d)
		}
	}
}

// TestExpectFormats compares with what conntrackd printed (vectors/cli/dump-internal.txt).
func TestExpectFormats(t *testing.T) {
	c := start(t, fake())
	for format, want := range map[Format]string{
		FormatConntrackd: "proto=6 src=10.0.1.2 dst=10.0.2.2 sport=0 dport=50185 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.0.1.2 master-dst=10.0.2.2 sport=42021 dport=21 class=0 helper=ftp [active since 2s]\n",
		FormatXML: "<flow><layer3 protonum=\"2\" protoname=\"ipv4\"><expected><src>10.0.1.2</src><dst>10.0.2.2</dst></expected><mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask><master><src>10.0.1.2</src><dst>10.0.2.2</dst></master></layer3>" +
			"<layer4 protonum=\"6\" protoname=\"tcp\"><expected><sport>0</sport><dport>50185</dport></expected><mask><sport>0</sport><dport>65535</dport></mask><master><sport>42021</sport><dport>21</dport></master></layer4><meta><helper-name>ftp</helper-name><class>0</class></meta></flow>\n",
	} {
		got, err := readList(t, c, FlowQuery{Table: TableInternal, Entries: EntriesExpect}, format)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-conntrackd +got):\n%s", format, err, d)
		}
	}
	got, err := readList(t, c, FlowQuery{Table: TableExternal, Entries: EntriesExpect}, FormatNDJSON)
	if err != nil || !strings.Contains(got, `"helper":"ftp"`) || !strings.Contains(got, `"created":`) {
		t.Errorf("JSON: %s, %v", got, err)
	}
	for _, q := range []FlowQuery{
		{Table: TableKernel, Entries: EntriesExpect},
		{Table: TableInternal, Entries: EntriesExpect, Sort: "age", Limit: 1},
		{Table: TableInternal, Entries: "all"},
	} {
		if _, err := readList(t, c, q, FormatConntrackd); !hasCode(err, CodeBadRequest) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	_, err = readList(t, c, FlowQuery{Table: TableInternal, Entries: EntriesExpect}, FormatVyOS)
	if !hasCode(err, CodeBadRequest) {
		t.Errorf("as VyOS's table: %v", err)
	}
}

func TestFlowEntries(t *testing.T) {
	created := time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC)
	b := fake()
	b.Flows = func(_ context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
		for i := range 1000 {
			if err := fn(sampleFlow(i), Meta{Created: created, Updated: created.Add(time.Second)}); err != nil {
				return err
			}
		}
		return nil
	}
	c := start(t, b)
	n := 0
	err := c.Flows(context.Background(), FlowQuery{Table: TableInternal}, func(e Entry) error {
		want := Entry{JSON: sampleFlow(n).JSON(), Created: created, Updated: created.Add(time.Second)}
		if d := cmp.Diff(want, e, cmp.Comparer(time.Time.Equal), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Fatalf("entry %d (-want +got):\n%s", n, d)
		}
		n++
		return nil
	})
	if n != 1000 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	stop := errors.New("enough")
	err = c.Flows(context.Background(), FlowQuery{Table: TableInternal}, func(Entry) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("stopping: %v", err)
	}
}

// A list that ends in an error says so: by its status if nothing was sent yet, else in the trailer.
func TestFlowsFail(t *testing.T) {
	for _, n := range []int{0, 1, 5000} {
		b := fake()
		b.Flows = func(_ context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
			for i := range n {
				if err := fn(sampleFlow(i), Meta{}); err != nil {
					return err
				}
			}
			return &Error{Code: CodeRefused, Message: "dump kernel table: interrupted"}
		}
		text, err := readList(t, start(t, b), FlowQuery{Table: TableKernel}, FormatVyOS)
		if !hasCode(err, CodeRefused) {
			t.Errorf("after %d: %v", n, err)
		}
		if got := strings.Count(text, "\n"); n == 5000 && got != n {
			t.Errorf("%d of %d lines arrived", got, n)
		}
	}
}

// A list takes as long as it takes: the time limit of the request is not its own.
func TestLongList(t *testing.T) {
	b := fake()
	b.Flows = func(ctx context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
		time.Sleep(1500 * time.Millisecond) // requestTimeout is 600 ms here
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(sampleFlow(0), Meta{})
	}
	text, err := readList(t, start(t, b), FlowQuery{Table: TableKernel}, FormatVyOS)
	if err != nil || strings.Count(text, "\n") != 1 {
		t.Errorf("%q, %v", text, err)
	}
}

// A list that is cut off because the daemon ends, or because its reader slept too long, does not look complete.
func TestCutOffList(t *testing.T) {
	for _, cut := range []error{context.Canceled, errGone} {
		b := fake()
		b.Flows = func(ctx context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
			for i := range 2000 {
				if err := fn(sampleFlow(i), Meta{}); err != nil {
					return err
				}
			}
			return cut
		}
		_, err := readList(t, start(t, b), FlowQuery{Table: TableKernel}, FormatVyOS)
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("after %v: %v", cut, err)
		}
	}
}

func TestRenderingDoesNotAllocate(t *testing.T) {
	f := sampleFlow(0)
	for _, format := range []Format{FormatVyOS, FormatConntrackd, FormatXML} {
		o := &stream{format: format, now: time.Now(), buf: make([]byte, 0, streamBuffer)}
		if n := testing.AllocsPerRun(100, func() {
			o.buf = o.buf[:0]
			if err := o.add(f, Meta{}); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per flow", format, n)
		}
	}
}

// BenchmarkFlows reads 100 000 flows from a daemon, over the socket.
func BenchmarkFlows(b *testing.B) {
	const n = 100_000
	back := fake()
	f := sampleFlow(0)
	back.Flows = func(_ context.Context, _ FlowQuery, fn func(*flow.Flow, Meta) error) error {
		for range n {
			if err := fn(f, Meta{}); err != nil {
				return err
			}
		}
		return nil
	}
	c := start(b, back)
	for _, format := range []Format{FormatVyOS, FormatConntrackd, FormatXML, FormatNDJSON} {
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := c.FlowText(context.Background(), FlowQuery{Table: TableKernel}, format)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
