package keepalived

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"ctsync/daemon/control"
	"ctsync/notify"
)

// Watch remembers what is wrong with keepalived's configuration, so that it logs each complaint once. Its methods may
// be called from any goroutine.
type Watch struct {
	Log *slog.Logger
	Own func() ([]netip.Addr, error) // the addresses of this router

	mu         sync.Mutex
	at         time.Time // when the configuration was last read
	asked      Question
	complaints []string
	overruled  bool // what was heard counts for more than what is read
}

// Question is what the daemon knows, and asks about.
type Question struct {
	Path   string
	Follow control.Followed
	Access Access
	Role   control.Role
	Since  time.Time // of the role; zero if nobody has reported one

	heard [len(states)]time.Time
}

// Hear notes when keepalived, and nobody else, last reported each state of what is followed.
func (q *Question) Hear(list []control.Transition) {
	for _, t := range list {
		if t.Group != q.Follow.Name || !strings.Contains(t.Source, notify.SourceKeepalived) ||
			strings.HasPrefix(t.Outcome, control.OutcomeIgnored) {
			continue
		}
		for i := range states {
			if states[i].state == t.State {
				q.heard[i] = t.Received
			}
		}
	}
}

// fresh is how long an answer of Watch is good enough: ctsync show status shows a repaired file after that time, and a
// monitor that asks every second does not make the daemon read the file every second.
const fresh = 5 * time.Second

// Warnings says what is wrong with keepalived's configuration or cannot be judged, and where the role does not fit the
// addresses of this router. It logs what it did not return the time before.
func (w *Watch) Warnings(q Question) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked == q && time.Since(w.at) < fresh {
		return w.complaints
	}
	before := w.complaints
	w.at, w.asked = time.Now(), q
	c := Read(q.Path)
	heard := Heard{}
	for i, s := range states {
		if !q.heard[i].IsZero() && !q.heard[i].Before(c.Changed) {
			heard[s.state] = true
		}
	}
	v := c.Judge(q.Follow, q.Access, heard)
	if c.missing && q.Role != control.RoleUnknown && !q.Since.IsZero() { // by Pacemaker, for example
		v.Doubt = nil
	}
	w.complaints = slices.Concat(v.Wrong, v.Doubt)
	w.overrule(len(heard) > 0 && len(w.complaints) == 0, c, q)
	virtual, known := c.Addresses(q.Follow)
	if own, err := w.Own(); err != nil {
		w.Log.Debug("the virtual addresses are not looked for", "err", err)
	} else if text := stranded(q.Role, time.Since(q.Since), virtual, known, own); text != "" {
		w.complaints = append(w.complaints, text)
	}
	for _, text := range w.complaints {
		if !slices.Contains(before, text) {
			w.Log.Warn(text)
		}
	}
	return w.complaints
}

// Run asks from time to time until ctx ends, so that the log says what is wrong although nobody looks.
func (w *Watch) Run(ctx context.Context, ask func() Question) error {
	tick := time.NewTicker(2 * fresh)
	defer tick.Stop()
	for {
		w.Warnings(ask())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// overrule says once that keepalived's notifications have ended a complaint about its configuration.
func (w *Watch) overrule(possible bool, c *Reading, q Question) {
	before := w.overruled
	w.overruled = false
	if !possible {
		return
	}
	read := c.Judge(q.Follow, q.Access, nil)
	if all := slices.Concat(read.Wrong, read.Doubt); len(all) > 0 {
		if w.overruled = true; !before {
			w.Log.Info("keepalived's notifications arrive, so this does not count any more: "+all[0], "follows", q.Follow)
		}
	}
}

// settled is how long a role may differ from the addresses: keepalived moves them before its scripts run.
const settled = 10 * time.Second

// stranded says that keepalived has told no role, or one that does not fit the addresses of this router; "" if neither
// is so. known is false if the virtual addresses are not known.
func stranded(role control.Role, since time.Duration, virtual []netip.Addr, known bool, own []netip.Addr) string {
	var here, all []string
	for _, a := range virtual {
		all = append(all, a.String())
		if slices.Contains(own, a) {
			here = append(here, a.String())
		}
	}
	all = all[:min(len(all), shownNames)]
	unknown := role == control.RoleUnknown
	switch {
	case unknown && !known:
		return "keepalived has told nothing yet: restart it, or report its state once, `ctsync notify master` or " +
			"`ctsync notify backup`"
	case unknown && len(here) > 0:
		return fmt.Sprintf("keepalived has told nothing yet, but this router has the virtual address %s: "+
			"run `ctsync notify master`, or restart keepalived", here[0])
	case unknown:
		return fmt.Sprintf("keepalived has told nothing yet, and this router has none of its virtual addresses (%s): "+
			"if keepalived runs, run `ctsync notify backup`, or restart keepalived", strings.Join(all, ", "))
	case !known || since < settled:
	case role == control.RoleMaster && len(here) == 0:
		return fmt.Sprintf("keepalived last told MASTER, but this router has none of its virtual addresses (%s): see "+
			"keepalived's log; if it is BACKUP, run `ctsync notify backup`", strings.Join(all, ", "))
	case role != control.RoleMaster && len(here) > 0:
		return fmt.Sprintf("keepalived last told %s, but this router has the virtual address %s: see keepalived's log; "+
			"if it is MASTER, run `ctsync notify master`", strings.ToUpper(string(role)), here[0])
	}
	return ""
}
