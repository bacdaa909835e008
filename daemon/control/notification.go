package control

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a Notification; keepalived's own names are far shorter.
const (
	maxName   = 255
	maxSource = 64
	maxState  = 32
)

// Validate returns nil or an *Error with code CodeBadRequest. A state that is no change of role is valid.
func (n *Notification) Validate() error {
	bad := func(format string, args ...any) error {
		return &Error{Code: CodeBadRequest, Message: "notification: " + fmt.Sprintf(format, args...)}
	}
	switch {
	case n.Type != TypeGroup && n.Type != TypeInstance:
		return bad("type %.40q is neither GROUP nor INSTANCE", n.Type)
	case n.State == "" || len(n.State) > maxState || strings.Trim(string(n.State), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "":
		return bad("state %.40q is not a word of keepalived", string(n.State))
	case len(n.Name) > maxName || hasControl(n.Name):
		return bad("name %.40q is too long or not printable", n.Name)
	case len(n.Source) > maxSource || hasControl(n.Source):
		return bad("source %.40q is too long or not printable", n.Source)
	case n.Type == TypeInstance && n.Name == "":
		return bad("an instance needs a name")
	case n.At.IsZero():
		return bad("time is missing")
	}
	return nil
}

// hasControl reports whether s holds a character that could forge a line of a log or a terminal sequence.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == '\uFFFD' || r >= 0x7f && r < 0xa0
	})
}

// Boottime returns CLOCK_BOOTTIME in nanoseconds: a clock that all processes share, that runs on during suspend and
// that nobody can set.
func Boottime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // Linux has had it since 2.6.39
	}
	return ts.Nano()
}
