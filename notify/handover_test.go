package notify

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
)

// starting is the socket of a daemon that starts: it closes the first connection, as if no daemon were there yet, and
// calls unpark before it serves the second.
type starting struct {
	net.Listener
	unpark   func()
	accepted int
}

func (s *starting) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	s.accepted++
	switch {
	case err != nil:
	case s.accepted == 1:
		c.Close()
		return s.Accept()
	case s.accepted == 2:
		s.unpark()
	}
	return c, err
}

// record is a daemon that only records notifications, and refuses those about the group "refused".
type record struct {
	mu  sync.Mutex
	all []control.Transition
}

func (r *record) notify(_ context.Context, n control.Notification) (control.Transition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.Name == "refused" {
		return control.Transition{}, &control.Error{Code: control.CodeForbidden, Message: "may only read"}
	}
	t := control.Transition{
		ID: uint64(len(r.all) + 1), Group: n.Name, State: n.State, Boottime: n.Boottime,
		Outcome: control.OutcomeRunning,
	}
	r.all = append(r.all, t)
	return t, nil
}

func (r *record) list(context.Context) ([]control.Transition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all, nil
}

func (r *record) groups() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.all {
		names = append(names, t.Group)
	}
	return names
}

// A daemon that starts after we tried to reach it and before we have parked the notification gets it once, whether it
// reads the file before the notification is there or after.
func TestDeliverToStarting(t *testing.T) {
	for name, looks := range map[string]bool{"file read before": false, "file read after": true} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			path := ParkedPath(socket)
			other := sample("other", control.StateBackup) // of a script that was killed
			other.Boottime--
			if err := park(path, other); err != nil {
				t.Fatal(err)
			}
			var r record
			unpark := func() {
				ns, err := Unpark(path)
				if err != nil {
					t.Error(err)
				}
				for _, n := range ns {
					r.notify(t.Context(), n)
				}
			}
			if !looks {
				unpark = func() {}
			}
			ln := &starting{Listener: listen(t, socket), unpark: unpark}
			serveOn(t, ln, control.Backend{Notify: r.notify, Transitions: r.list})
			d, err := Deliver(t.Context(), socket, sample("mine", control.StateMaster))
			if err != nil || d.Transition == nil || d.Transition.Group != "mine" || d.Parked != "" {
				t.Errorf("delivery %+v, %v", d, err)
			}
			if diff := cmp.Diff([]string{"other", "mine"}, r.groups()); diff != "" {
				t.Errorf("(-want +recorded):\n%s", diff)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still there (%v)", err)
			}
		})
	}
}

// What the daemon refuses stays for its next start.
func TestHandOverRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	var r record
	ln := &starting{Listener: listen(t, socket), unpark: func() {}}
	serveOn(t, ln, control.Backend{Notify: r.notify, Transitions: r.list})
	d, err := Deliver(t.Context(), socket, sample("refused", control.StateMaster))
	if err != nil || d.Transition != nil || d.Parked != ParkedPath(socket) {
		t.Errorf("delivery %+v, %v", d, err)
	}
	if ns, err := Unpark(ParkedPath(socket)); len(ns) != 1 || err != nil {
		t.Errorf("parked are %v, %v", ns, err)
	}
}
