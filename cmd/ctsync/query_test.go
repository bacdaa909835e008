package main

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
)

func TestFilterHelp(t *testing.T) {
	golden(t, "help-filter", appendFilterHelp(nil))
	for line := range strings.Lines(string(appendFilterHelp(nil))) {
		if len(line) > 121 {
			t.Errorf("%d characters: %s", len(line), line)
		}
	}
}

func TestCompleteFilter(t *testing.T) {
	live := func(key string, _ *expr.Expr) []control.Group {
		if key != "dport" {
			t.Errorf("asked for the values of %s", key)
		}
		return []control.Group{
			{Key: "tcp/443", Count: control.Count{Flows: 7}}, {Key: "udp/443", Count: control.Count{Flows: 3}},
			{Key: "icmp"}, {Key: "udp/53", Count: control.Count{Flows: 2}}, {Key: "tcp/$(reboot)"},
		}
	}
	for typed, want := range map[string][]string{
		"": nil, // all keys
		"tcp dpo": {
			"tcp dport:\toriginal destination port", "tcp dport:443\t7 flows (tcp/443)",
			"tcp dport:53\t2 flows (udp/53)",
		},
		"(!fam":                  {"(!family:\tlayer-3 protocol", "(!family:ipv4", "(!family:ipv6"},
		"nat:":                   {"nat:yes", "nat:no", "nat:snat", "nat:dnat"},
		"x or state:last_ack,es": {"x or state:last_ack,established"},
		"dport:4":                {"dport:443\t7 flows (tcp/443)"},
		"dport!=80,5":            {"dport!=80,53\t2 flows (udp/53)"},
		"tcp sport:":             {},
	} {
		got := completeFilter(typed, live)
		if typed == "" {
			if len(got) < 20 {
				t.Errorf("no keys: %q", got)
			}
			continue
		}
		if len(got)+len(want) > 0 && !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// framesWriter ends the watching after some frames.
type framesWriter struct {
	bytes.Buffer
	left   int
	cancel func()
}

func (w *framesWriter) Write(b []byte) (int, error) {
	if w.left--; w.left == 0 {
		w.cancel()
	}
	return w.Buffer.Write(b)
}

// Where there is no terminal, each picture stands between its time (not with --json) and an empty line.
func TestWatch(t *testing.T) {
	socket := serveFake(t, fakeDaemon("plain"))
	for args, want := range map[string]string{
		"show cache external --filter udp": "Main Table Entries:\n\nudp      17 ",
		"show table":                       "TCP state codes:",
		"show diff internal":               "kernel-only  tcp ",
		"show status":                      "sync-interface ",
		"show status --json":               "{\n  \"time\":",
		"show statistics":                  "Main Table Statistics:",
		"show statistics link":             "multicast traffic ",
		"show statistics link --json":      "[\n  {\n    \"transport\":",
		"show transitions":                 "    ID  SENT",
		"show transitions --json":          "[\n  {\n    \"id\":",
		"show diff internal --json":        "{\"what\":\"kernel-only\"",
	} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		out := &framesWriter{left: 3, cancel: cancel}
		var errs bytes.Buffer
		line := append([]string{"--socket", socket, "--watch=1ms"}, strings.Fields(args)...)
		if code := run(ctx, line, time.Now(), out, &errs); code != exitDone || errs.Len() > 0 {
			t.Fatalf("%s: exit status %d: %s", args, code, errs.String())
		}
		above := `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n`
		if strings.Contains(args, "--json") {
			above = ""
		}
		frame := regexp.MustCompile(`(^|\n\n)` + above + regexp.QuoteMeta(want))
		if n := len(frame.FindAllString(out.String(), -1)); n != 3 || !strings.HasSuffix(out.String(), "\n\n") {
			t.Errorf("%s: %d pictures: %q", args, n, out)
		}
	}
	var out, errs bytes.Buffer
	args := []string{"--socket", t.TempDir() + "/away", "show", "status", "--watch=1ms"}
	if code := run(context.Background(), args, time.Now(), &out, &errs); code != exitUnreachable {
		t.Errorf("without a daemon: exit status %d: %s", code, errs.String())
	}
}

// On a terminal a picture is redrawn in place and cut to its size.
func TestWriteFrame(t *testing.T) {
	var b bytes.Buffer
	frame := []byte("first line\nsecond\nthird\nfourth\n")
	for _, first := range []bool{true, false} {
		if err := writeFrame(&b, "time\n", frame, 4, 6, first); err != nil {
			t.Fatal(err)
		}
	}
	const lines = "first \x1b[K\r\nsecond\x1b[K\r\nthird\x1b[K\r\n\x1b[J"
	if want := "\x1b[H\x1b[H\x1b[2J" + lines + "\x1b[H" + lines; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	if rows, columns := terminalSize(&b); rows != 0 || columns != 0 {
		t.Errorf("a buffer is a terminal of %d×%d", columns, rows)
	}
}

// A line is cut by the cells that a terminal needs for it, not by bytes: a rune stays whole, a wide one takes two
// cells, a tab ends at the next multiple of eight, and a sequence takes none and is not cut.
func TestWriteFrameCells(t *testing.T) {
	for line, want := range map[string]string{
		"größer als":              "größer a",
		"日本語の経路":                  "日本語の",
		"a日本語の経路":                 "a日本語",
		"\x1b[31mred text\x1b[m!": "\x1b[31mred text\x1b[m",
		"sum:\t\t12":              "sum:    ",
		"\tx":                     "        ",
		"é́ combined":             "é́ combin",
	} {
		var b bytes.Buffer
		if err := writeFrame(&b, "", []byte(line+"\n"), 4, 8, false); err != nil {
			t.Fatal(err)
		}
		if want = "\x1b[H" + want + "\x1b[K\r\n\x1b[J"; b.String() != want {
			t.Errorf("%q: %q, want %q", line, b.String(), want)
		}
	}
}

// The limit of a sorted list counts both families together, although each has its own table.
func TestSortedTables(t *testing.T) {
	b := fakeDaemon("plain")
	b.Flows = func(_ context.Context, q control.FlowQuery, fn func(*flow.Flow, control.Meta) error) error {
		left := q.Limit
		for i := range 9 {
			f := pageFlow(i%2, q.Table)
			f.Timeout = uint32(90 - i)
			if i%2 == 1 {
				f.Orig.Family, f.Orig.Proto = flow.IPv6, flow.ICMPv6 // an address without brackets
				f.Reply = f.Orig.Inverse()
			}
			if q.Family != 0 && q.Family != f.Orig.Family || left == 0 {
				continue
			}
			left--
			if err := fn(f, control.Meta{}); err != nil {
				return err
			}
		}
		return nil
	}
	golden(t, "table-sorted", printed(t, b, "show", "table", "--sort", "-timeout", "--limit", "5"))
}
