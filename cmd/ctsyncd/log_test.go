package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"log/syslog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestChooseOutput(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	stream := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for _, tt := range []struct {
		name   string
		stderr *os.File
		stream string
		want   string
	}{
		{"a file", file, "", logStderr},
		{"the journal", file, stream, logJournal},
		{"a file of a daemon whose unit has a journal", file, "8:1", logStderr},
		{"nowhere", null, "", logSyslog},
		{"nowhere, below a unit", null, stream, logSyslog},
	} {
		if got := chooseOutput(tt.stderr, tt.stream); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// logAll logs a line of each level.
func logAll(log *slog.Logger) {
	log = log.With("part", "x")
	log.Debug("d")
	log.Info("two\nlines", "n", 1)
	log.Warn("w")
	log.WithGroup("g").Error("e", "time", "t", "err", os.ErrExist)
}

func TestLogFormats(t *testing.T) {
	stamp := regexp.MustCompile(`(?m)^time=\S+`)
	for _, tt := range []struct {
		kind  string
		debug bool
		want  string
	}{
		{logStderr, false, `time= level=INFO msg="two\nlines" part=x n=1
time= level=WARN msg=w part=x
time= level=ERROR msg=e part=x g.time=t g.err="file already exists"
`},
		{logJournal, true, `<7>msg=d part=x
<6>msg="two\nlines" part=x n=1
<4>msg=w part=x
<3>msg=e part=x g.time=t g.err="file already exists"
`},
	} {
		var b bytes.Buffer
		out := &output{kind: tt.kind, stderr: &b}
		logAll(out.logger(tt.debug))
		if got := stamp.ReplaceAllString(b.String(), "time="); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.kind, got, tt.want)
		}
	}
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	w, err := syslog.Dial("unixgram", path, syslog.LOG_DAEMON, "ctsyncd")
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	out := &output{kind: logSyslog, syslog: w, stderr: &stderr}
	log := out.logger(true)
	logAll(log)
	out.print(severityError, "one\ntwo")
	const facility = int(syslog.LOG_DAEMON)
	for _, want := range []struct {
		severity int
		text     string
	}{
		{7, "msg=d part=x"}, {6, `msg="two\nlines" part=x n=1`}, {4, "msg=w part=x"},
		{3, `msg=e part=x g.time=t g.err="file already exists"`}, {3, "ctsyncd: one"}, {3, "ctsyncd: two"},
	} {
		b := make([]byte, 1024)
		_ = server.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := server.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSpace(string(b[:n]))
		prefix := fmt.Sprintf("<%d>", facility|want.severity)
		named := strings.Contains(got, " ctsyncd[")
		if !named || !strings.HasPrefix(got, prefix) || !strings.HasSuffix(got, ": "+want.text) {
			t.Errorf("syslog got %q, want severity %d and %q", got, want.severity, want.text)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr got %q as well", &stderr)
	}

	out.noSyslog.Store(true)
	log.Info("elsewhere")
	if got := stderr.String(); got != "msg=elsewhere\n" {
		t.Errorf("with syslog disabled stderr got %q", got)
	}
	out.noSyslog.Store(false)
	server.Close()
	os.Remove(path)
	log.Info("lost")
	if got := stderr.String(); got != "msg=elsewhere\nmsg=lost\n" {
		t.Errorf("without a syslog stderr got %q", got)
	}
}

// Where no syslog answers, --log syslog is refused and --log auto writes to stderr.
func TestOpenOutputWithoutSyslog(t *testing.T) {
	if w, err := syslog.New(syslog.LOG_DAEMON, "ctsyncd-test"); err == nil {
		w.Close()
		t.Skip("this machine has a syslog")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if out, err := openOutput(logAuto, null); err != nil || out.kind != logStderr {
		t.Errorf("auto: %+v, %v", out, err)
	}
	if _, err := openOutput(logSyslog, null); err == nil {
		t.Error("syslog was opened where there is none")
	}
}
