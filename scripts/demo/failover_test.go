package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ctsync/daemon/nstest"
	"ctsync/scripts/lab"
)

// The lab starts this program again as server and client; under test this program is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "client") {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestFailover is the demo: a stream survives the failure of the master with synchronisation, and dies without. The
// third lab injects the flows into the kernel of the second router, which then has nothing to commit. All labs run at
// the same time.
func TestFailover(t *testing.T) {
	nstest.Require(t)
	nstest.RequireCommand(t, "keepalived", "keepalived")
	nstest.RequireCommand(t, "nft", "nftables")
	t.Chdir("../..")
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	runs := make([]*failover, 3)
	var all sync.WaitGroup
	for i, kind := range []string{lab.Ctsync, lab.CtsyncInject, lab.None} {
		f := &failover{kinds: [2]string{kind, kind}, bin: bin, say: func(format string, args ...any) {
			t.Logf(kind+": "+format, args...)
		}}
		runs[i] = f
		all.Go(func() {
			if err := f.inLab(ctx, false); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	t.Logf("\n%s", report(runs))
	if err := verdict(runs); err != nil {
		t.Error(err)
	}
	if c := runs[1].commit; !strings.HasPrefix(c, "no commit: ") || !strings.HasSuffix(c, "0 refused (done)") {
		t.Errorf("a takeover that needs no commit: %s", c)
	}
}

// A stream over loopback is verified; the same stream with one changed byte is not.
func TestStreamVerifies(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func([]byte)
		want   bool
	}{
		{"as it is", func([]byte) {}, true},
		{"a byte changed", func(b []byte) { b[100] ^= 1 }, false},
		{"a record out of order", func(b []byte) { b[7] ^= 1 }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			far, near := net.Pipe()
			go relay(t, far, test.change)
			c := new(client)
			c.receiveTCP(near)
			near.Close()
			if got := c.status.TCP.Verified; got != test.want {
				t.Errorf("verified %v, want %v: %+v", got, test.want, c.status.TCP)
			}
		})
	}
}

// relay sends a real stream of a few records and its checksum to conn, and applies change to the second record.
func relay(t *testing.T, conn net.Conn, change func([]byte)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	defer l.Close()
	in, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer in.Close()
	out, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	go sendTCP(out)
	b := make([]byte, tcpRecord)
	for i := 0; ; i++ {
		if i == 2 {
			_ = in.(*net.TCPConn).CloseWrite()
		}
		if _, err := io.ReadFull(in, b); err != nil {
			conn.Close()
			return
		}
		if i == 1 {
			change(b)
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

func TestAddressTime(t *testing.T) {
	const stamp = "2026-11-23T00:30:01.123456"
	want, err := time.ParseInLocation("2006-01-02T15:04:05.999999", stamp, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	line := "[" + stamp + "] 3: eth0    inet " + lab.WANAddress + "/24 scope global secondary eth0\n"
	for _, test := range []struct {
		output string
		want   time.Time
	}{
		{"", time.Time{}},
		{"[" + stamp + "] 3: eth0    inet " + lab.WANAddress + "00/24 scope global eth0\n", time.Time{}},
		{"[" + stamp + "] 4: eth1    inet 10.10.0.1/24\n" + line, want},
	} {
		if got := addressTime(test.output); !got.Equal(test.want) {
			t.Errorf("%q: %v, want %v", test.output, got, test.want)
		}
	}
}

// Only pauses after the cut count; resumed looks at the one that the new master ended.
func TestSilence(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	ns := func(s int64) int64 { return at(s).UnixNano() }
	f := &failover{off: at(100), master: at(103)}
	s := &Stream{Last: ns(120), Gaps: []Gap{{ns(10), ns(50)}, {ns(100), ns(105)}, {ns(110), ns(111)}}}
	if got := f.silence(s); got != 5*time.Second {
		t.Errorf("silence %v, want 5s", got)
	}
	if after, ok := f.resumed(s); !ok || after != 2*time.Second {
		t.Errorf("resumed %v %v, want 2s after the new master", after, ok)
	}
	if _, ok := f.resumed(&Stream{Last: ns(100)}); ok {
		t.Error("a stream that ended with the cut resumed")
	}
}

// The demo must fail if the stream dies with ctsync, and if it survives without.
func TestVerdict(t *testing.T) {
	lives := Stream{Last: time.Unix(200, 0).UnixNano(), Verified: true}
	for _, test := range []struct {
		kind   string
		stream Stream
		good   bool
	}{
		{lab.Ctsync, lives, true},
		{lab.Ctsync, Stream{Last: lives.Last}, false},
		{lab.Ctsync, Stream{Last: 1, Verified: true}, false},
		{lab.Ctsync, Stream{Last: lives.Last, Verified: true, Err: "the checksum is wrong"}, false},
		{lab.None, Stream{Last: 1}, true},
		{lab.None, lives, false},
	} {
		f := &failover{kinds: [2]string{test.kind, test.kind}, master: time.Unix(103, 0)}
		f.status.TCP = test.stream
		if err := verdict([]*failover{f}); (err == nil) != test.good {
			t.Errorf("%s %+v: %v", test.kind, test.stream, err)
		}
	}
}

// The status file is replaced, never rewritten in place.
func TestStatusFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	c := new(client)
	c.arrived(&c.status.TCP, tcpRecord)
	if err := c.write(path); err != nil {
		t.Fatal(err)
	}
	got, err := readStatus(path)
	if err != nil || got.TCP.Records != 1 || got.TCP.Bytes != tcpRecord || got.TCP.Last == 0 {
		t.Errorf("read %+v, %v", got, err)
	}
}
