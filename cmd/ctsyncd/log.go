package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The kinds of --log.
const (
	logAuto    = "auto"
	logStderr  = "stderr"
	logJournal = "journal"
	logSyslog  = "syslog"
)

// The severities of syslog(3) that slog's levels map to.
const (
	severityError   = 3
	severityWarning = 4
	severityInfo    = 6
	severityDebug   = 7
)

// output is where log lines go.
type output struct {
	kind     string
	stderr   io.Writer
	syslog   *syslog.Writer // nil unless kind is logSyslog
	noSyslog atomic.Bool    // disable-syslog: lines go to stderr instead
	queue    queue
}

// openOutput opens the output of a kind. Where no syslog answers, auto falls back to stderr and syslog is an error.
func openOutput(kind string, stderr *os.File) (*output, error) {
	out := &output{kind: kind, stderr: stderr}
	if kind == logAuto {
		out.kind = chooseOutput(stderr, os.Getenv("JOURNAL_STREAM"))
	}
	if out.kind == logSyslog {
		w, err := syslog.New(syslog.LOG_DAEMON, "ctsyncd")
		switch {
		case err == nil:
			out.syslog = w
		case kind == logAuto:
			out.kind = logStderr
		default:
			return nil, fmt.Errorf("open syslog: %w", err)
		}
	}
	return out, nil
}

// chooseOutput picks a place that somebody reads: the journal when stderr is the stream that systemd has connected to
// it (systemd.exec(5), JOURNAL_STREAM: device and inode), syslog when stderr is /dev/null or closed, and else stderr.
func chooseOutput(stderr *os.File, journalStream string) string {
	var st unix.Stat_t
	if unix.Fstat(int(stderr.Fd()), &st) != nil {
		return logSyslog
	}
	null := uint64(unix.Mkdev(1, 3))
	switch {
	case journalStream == fmt.Sprintf("%d:%d", st.Dev, st.Ino):
		return logJournal
	case st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == null:
		return logSyslog
	}
	return logStderr
}

// print writes each line of text behind the name of the program.
func (o *output) print(severity int, text string) {
	for line := range strings.Lines(text) {
		_ = o.write(severity, "ctsyncd: "+strings.TrimSuffix(line, "\n")+"\n") // an error of the log cannot be logged
	}
}

// write writes one line, which ends in a newline.
func (o *output) write(severity int, line string) error {
	if o.syslog != nil && !o.noSyslog.Load() {
		if o.toSyslog(severity, line) == nil {
			return nil
		}
	}
	if o.kind == logJournal {
		line = fmt.Sprintf("<%d>%s", severity, line) // sd-daemon(3)
	}
	_, err := io.WriteString(o.stderr, line)
	return err
}

func (o *output) toSyslog(severity int, line string) error {
	switch severity {
	case severityError:
		return o.syslog.Err(line)
	case severityWarning:
		return o.syslog.Warning(line)
	case severityInfo:
		return o.syslog.Info(line)
	}
	return o.syslog.Debug(line)
}

// logger returns a logger that writes to o. It leaves out time and level where the journal or syslog adds them.
func (o *output) logger(debug bool) *slog.Logger {
	opt := &slog.HandlerOptions{Level: slog.LevelInfo}
	if debug {
		opt.Level = slog.LevelDebug
	}
	if o.kind != logStderr {
		opt.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		}
	}
	var h leveled
	for i, severity := range [...]int{severityDebug, severityInfo, severityWarning, severityError} {
		h[i] = slog.NewTextHandler(lineWriter{o, severity}, opt)
	}
	return slog.New(h)
}

// lineWriter passes the lines of one severity to an output. A slog handler writes one record per call, on one line.
type lineWriter struct {
	out      *output
	severity int
}

func (w lineWriter) Write(line []byte) (int, error) {
	return len(line), w.out.pass(w.severity, string(line))
}

// leveled has a handler each for debug, info, warning and error, because an output must know the level of a line.
type leveled [4]slog.Handler

func (h leveled) of(level slog.Level) slog.Handler {
	switch {
	case level >= slog.LevelError:
		return h[3]
	case level >= slog.LevelWarn:
		return h[2]
	case level >= slog.LevelInfo:
		return h[1]
	}
	return h[0]
}

// Enabled implements slog.Handler.
func (h leveled) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h leveled) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range h {
		h[i] = h[i].WithAttrs(attrs)
	}
	return h
}

// WithGroup implements slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	for i := range h {
		h[i] = h[i].WithGroup(name)
	}
	return h
}
