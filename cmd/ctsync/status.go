package main

import (
	"fmt"
	"strings"
	"time"

	"ctsync/daemon/control"
)

// timeLayout is the format of times, which are printed in local time.
const timeLayout = "2006-01-02 15:04:05"

// appendStatus appends the four lines of VyOS's "show conntrack-sync status", word for word, and then what ctsync knows
// beyond that, in lines of the same form.
func appendStatus(b []byte, s control.Status) []byte {
	last := "no transition yet!"
	if t := s.LastTransition; t != nil {
		last = fmt.Sprintf("%s at %s", t.State, t.Sent.Local().Format(timeLayout))
	}
	expect := "disabled"
	if len(s.ExpectationSync) > 0 {
		expect = strings.Join(s.ExpectationSync, ", ")
	}
	b = appendLine(b, "sync-interface", s.Interface)
	b = appendLine(b, "failover-mechanism", fmt.Sprintf("vrrp [%s]", s.Followed()))
	b = appendLine(b, "last state transition", last)
	b = appendLine(b, "ExpectationSync", expect)

	role := string(s.Role)
	if !s.RoleSince.IsZero() {
		role += " since " + s.RoleSince.Local().Format(timeLayout)
	}
	b = appendLine(b, "role", role)
	if l := s.ActiveLink; l != nil {
		b = appendLine(b, "active link", linkText(*l))
	}
	b = appendLine(b, "peer", peerText(s))
	b = appendLine(b, "in step", stepText(s))
	entries := fmt.Sprintf("%d internal, %d external", s.Internal, s.External)
	if s.Injecting {
		const injected = "%d internal, no external cache: %d flows of the peer go straight into the kernel"
		entries = fmt.Sprintf(injected, s.Internal, s.Injected)
	}
	b = appendLine(b, "cache entries", entries)
	for _, j := range s.Jobs {
		b = appendLine(b, "running", jobText(j))
	}
	for i := range s.Senders {
		o := &s.Senders[i]
		heard := fmt.Sprintf("%s to %s", o.First.Local().Format(timeLayout), o.Last.Local().Format(time.TimeOnly))
		b = appendLine(b, "another sender", o.String()+", "+heard)
	}
	for _, w := range s.Warnings {
		b = appendLine(b, "warning", w)
	}
	if len(s.NeedRestart) > 0 {
		b = appendLine(b, "waits for a restart", strings.Join(s.NeedRestart, ", "))
	}
	if r := s.Restarts; r.Last != nil {
		at := r.Last.Time.Local().Format(timeLayout)
		b = appendLine(b, "unasked restarts", fmt.Sprintf("%d, the last after %s: %s", r.Unasked, at, r.Last))
	}
	started := s.Started.Local().Format(timeLayout)
	return appendLine(b, "daemon", fmt.Sprintf("ctsyncd %s, pid %d, %s, started %s", s.Version, s.PID, s.Mode, started))
}

func appendLine(b []byte, key, value string) []byte {
	return fmt.Appendf(b, "%-21s : %s\n", key, oneLine(value))
}

// linkText says which of several links sends, and after a change since when and why.
func linkText(l control.ActiveLink) string {
	text := l.Device
	if !l.Since.IsZero() {
		text += " since " + l.Since.Local().Format(timeLayout)
	}
	if l.Reason != "" {
		text += ": " + l.Reason
	}
	return text
}

func peerText(s control.Status) string {
	peer := s.Peer
	if peer == "" {
		peer = "none heard yet"
	}
	peer += " by " + s.Transport
	if !s.PeerHeard.IsZero() {
		peer += ", last heard " + s.PeerHeard.Local().Format(timeLayout)
	}
	if !s.Established {
		peer += ", no session"
	}
	return peer
}

func stepText(s control.Status) string {
	if s.InStep {
		return "yes"
	}
	if len(s.Why) == 0 {
		return "no"
	}
	return "no: " + strings.Join(s.Why, "; ")
}

func jobText(j control.Job) string {
	text := j.Name
	if j.Total > 0 {
		text += fmt.Sprintf(" %d of %d", j.Done, j.Total)
	} else if j.Done > 0 {
		text += fmt.Sprintf(" %d", j.Done)
	}
	if !j.Started.IsZero() {
		text += " since " + j.Started.Local().Format(time.TimeOnly)
	}
	return text
}
