package wire

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"

	"github.com/google/go-cmp/cmp"
)

// conntrackdConfig is a node without resend logic: what it hears it caches at once. Arguments: directory.
const conntrackdConfig = `Sync {
	Mode NOTRACK { }
	UDP {
		IPv4_address 127.0.0.1
		IPv4_Destination_Address 127.0.0.1
		Port 3780
		Interface lo
	}
	Options { ExpectationSync on }
}
General {
	HashSize 8192
	HashLimit 65536
	LockFile %[1]s/lock
	UNIX { Path %[1]s/ctl }
	NetlinkBufferSize 262144
	NetlinkBufferSizeMaxGrowth 524288
}
`

// startConntrackd runs a conntrackd inside ns until the test ends and returns a function that asks it.
func startConntrackd(t *testing.T, ns *nstest.NS) (ask func(args ...string) string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "conntrackd") // short: its socket path must fit into 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, conntrackdConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	daemon := ns.Exec(ctx, "conntrackd", "-C", config)
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	var log bytes.Buffer
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = daemon.Wait()
		if t.Failed() {
			t.Logf("conntrackd said\n%s", log.String())
		}
	})
	nstest.Eventually(t, 30*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(dir, "ctl"))
		return err == nil
	}, func() string { return "conntrackd does not listen" })
	return func(args ...string) string {
		return ns.Run(t, "conntrackd", append([]string{"-C", config}, args...)...)
	}
}

var age = regexp.MustCompile(` \[active since \d+s\]$`)

// lines splits a dump, takes the age off each line and sorts.
func lines(dump string) []string {
	out := []string{}
	for line := range strings.Lines(dump) {
		out = append(out, age.ReplaceAllString(strings.TrimSuffix(line, "\n"), ""))
	}
	sort.Strings(out)
	return out
}

// TestConntrackdReadsOurMessages sends every captured entry, encoded by this package, to a real conntrackd: it must
// take every one and list the same entries that we would list.
func TestConntrackdReadsOurMessages(t *testing.T) {
	nstest.Require(t)
	nstest.RequireCommand(t, "conntrackd", "conntrackd")
	_, all := vectors(t)
	flows := map[flow.Tuple]flow.Flow{}
	expectations := map[flow.Expectation]bool{}
	for _, v := range all {
		var f flow.Flow
		var e flow.Expectation
		if v.header.Type.IsFlow() {
			if _, err := ParseFlow(v.body, &f); err == nil {
				flows[f.Orig] = f
			}
		} else if v.header.Type == ExpNew {
			if _, err := ParseExpectation(v.body, &e); err == nil {
				expectations[e] = true
			}
		}
	}
	var messages [][]byte
	var wantFlows, wantXML, wantExpectations []string
	for _, f := range flows {
		messages = append(messages, AppendFlow(nil, CTNew, 0, uint32(len(messages)), &f))
		line, xml := flow.AppendConntrackd(nil, &f, flow.Line{External: true}), flow.AppendXML(nil, &f, true)
		// conntrackd has fewer names of protocols.
		wantFlows = append(wantFlows, strings.Replace(string(line), "esp     ", "unknown ", 1))
		if f.Orig.Proto != flow.SCTP { // its states have wrong names there
			wantXML = append(wantXML, strings.Replace(string(xml), `protoname="esp"`, `protoname="unknown"`, 1))
		}
	}
	for e := range expectations {
		messages = append(messages, AppendExpectation(nil, ExpNew, 0, uint32(len(messages)), &e))
		wantExpectations = append(wantExpectations, string(flow.AppendConntrackdExpectation(nil, &e, flow.Line{})))
	}

	ns := nstest.New(t)
	ask := startConntrackd(t, ns)
	var conn net.Conn
	var err error
	ns.Do(func() { conn, err = net.Dial("udp", "127.0.0.1:3780") })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := lines(strings.Join(wantFlows, "\n"))
	if len(want) < 90 || len(expectations) < 3 {
		t.Fatalf("only %d flows and %d expectations to send", len(want), len(expectations))
	}
	var got []string
	nstest.Eventually(t, 60*time.Second, func() bool {
		for _, m := range messages {
			if _, err := conn.Write(m); err != nil {
				return false
			}
		}
		time.Sleep(100 * time.Millisecond)
		got = lines(ask("-e"))
		return len(got) == len(want)
	}, func() string { return fmt.Sprintf("conntrackd has %d flows, want %d", len(got), len(want)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conntrackd -e (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(lines(strings.Join(wantExpectations, "\n")), lines(ask("-e", "expect"))); diff != "" {
		t.Errorf("conntrackd -e expect (-want +got)\n%s", diff)
	}
	var gotXML []string
	for _, line := range lines(ask("-e", "-x")) {
		if !strings.Contains(line, `protoname="sctp"`) {
			gotXML = append(gotXML, line)
		}
	}
	if diff := cmp.Diff(lines(strings.Join(wantXML, "\n")), gotXML); diff != "" {
		t.Errorf("conntrackd -e -x (-want +got)\n%s", diff)
	}
	network := ask("-s", "network")
	if !strings.Contains(network, "Malformed messages:\t                   0") {
		t.Errorf("conntrackd found malformed messages:\n%s", network)
	}
}
