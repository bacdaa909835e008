package daemon

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ctsync/daemon/control"
)

func newTestRoles(t *testing.T) *roles {
	t.Helper()
	h, err := openHistory(filepath.Join(t.TempDir(), "transitions.json"))
	if err != nil {
		t.Fatal(err)
	}
	return newRoles("syncgrp", h)
}

func TestNotify(t *testing.T) {
	type said struct {
		n       control.Notification
		outcome string
	}
	group := func(state control.State, name string, boot int64) control.Notification {
		return control.Notification{Type: control.TypeGroup, Name: name, State: state, Boottime: boot}
	}
	for _, tt := range []struct {
		name  string
		said  []said
		state control.State
		work  int
	}{
		{"in order", []said{
			{group("BACKUP", "syncgrp", 1), control.OutcomeRunning},
			{group("MASTER", "syncgrp", 2), control.OutcomeRunning},
		}, "MASTER", 2},
		{"overtaken", []said{
			{group("MASTER", "syncgrp", 2), control.OutcomeRunning},
			{group("BACKUP", "syncgrp", 1), control.OutcomeSuperseded},
		}, "MASTER", 1},
		{"repeated", []said{
			{group("MASTER", "syncgrp", 1), control.OutcomeRunning},
			{group("MASTER", "syncgrp", 2), control.OutcomeRepeated},
		}, "MASTER", 1},
		{"overtaken by a repetition", []said{
			{group("MASTER", "syncgrp", 1), control.OutcomeRunning},
			{group("MASTER", "syncgrp", 3), control.OutcomeRepeated},
			{group("BACKUP", "syncgrp", 2), control.OutcomeSuperseded},
		}, "MASTER", 1},
		{"another group", []said{
			{group("MASTER", "other", 1), "ignored: group other is not sync-group syncgrp"},
		}, "", 0},
		{"an instance", []said{
			{control.Notification{Type: control.TypeInstance, Name: "syncgrp", State: "MASTER", Boottime: 1}, "ignored: instance syncgrp is not sync-group syncgrp"},
		}, "", 0},
		{"no group given", []said{{group("FAULT", "", 1), control.OutcomeRunning}}, "FAULT", 1},
		{"no change of role", []said{
			{group("MASTER_RX_LOWER_PRI", "syncgrp", 1), "ignored: MASTER_RX_LOWER_PRI is no change of role"},
		}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newTestRoles(t)
			for _, s := range tt.said {
				if got := r.notify(s.n, time.Now()); got.Outcome != s.outcome {
					t.Errorf("notify %+v = %q; want %q", s.n, got.Outcome, s.outcome)
				}
			}
			if state, _ := r.current(); state != tt.state {
				t.Errorf("state = %q, want %q", state, tt.state)
			}
			if len(r.work) != tt.work || len(r.history.list()) != len(tt.said) {
				t.Errorf("%d accepted, %d recorded; want %d and %d", len(r.work), len(r.history.list()), tt.work, len(tt.said))
			}
		})
	}
}

func TestRoleSurvivesRestart(t *testing.T) {
	r := newTestRoles(t)
	tr := r.notify(control.Notification{Type: control.TypeGroup, State: "MASTER", Boottime: 5}, time.Now())
	tr.Started = time.Now()
	r.history.update(tr)
	if err := r.history.save(); err != nil {
		t.Fatal(err)
	}
	reopen := func() *roles {
		h, err := openHistory(r.history.path)
		if err != nil {
			t.Fatal(err)
		}
		return newRoles("syncgrp", h)
	}
	if state, _ := reopen().current(); state != "MASTER" {
		t.Errorf("state after restart = %q, want MASTER", state)
	}
	h, _ := openHistory(r.history.path)
	h.file.Boot = "another boot"
	if state, _ := newRoles("syncgrp", h).current(); state != "" {
		t.Errorf("state after reboot = %q, want unknown", state)
	}
	// A save in the new boot must not make the old one's transitions count.
	b, err := os.ReadFile(r.history.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.history.path, bytes.ReplaceAll(b, []byte(bootID()), []byte("another boot")), 0o644); err != nil {
		t.Fatal(err)
	}
	h, _ = openHistory(r.history.path)
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	if state, _ := reopen().current(); state != "" {
		t.Errorf("state after reboot and restart = %q, want unknown", state)
	}
	if n := len(reopen().history.list()); n != 1 {
		t.Errorf("%d transitions kept, want 1", n)
	}
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "transitions.json")
	h, err := openHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for range historyLength + 20 {
		h.add(control.Transition{State: "BACKUP"})
	}
	list := h.list()
	if len(list) != historyLength || list[0].ID != 21 || list[historyLength-1].ID != historyLength+20 {
		t.Errorf("%d transitions from %d to %d", len(list), list[0].ID, list[len(list)-1].ID)
	}
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err = openHistory(path)
	if err == nil || len(h.list()) != 0 {
		t.Errorf("a broken file: %v, %d transitions", err, len(h.list()))
	}
	if _, err := os.Stat(path + ".broken"); err != nil {
		t.Errorf("a broken file is not put aside: %v", err)
	}
}

// TestSaidAgain is told the same role later: after the work is done, and long after, when the router must have left the
// role meanwhile without a word.
func TestSaidAgain(t *testing.T) {
	r := newTestRoles(t)
	say := func(after time.Duration) control.Transition {
		return r.notify(control.Notification{Type: control.TypeGroup, State: control.StateMaster, Boottime: 1 + int64(after)}, time.Now())
	}
	first := say(0)
	if got := say(time.Hour / 1e6).Outcome; got != control.OutcomeRepeated {
		t.Errorf("while the work goes on: %s", got)
	}
	r.finish(first.ID, finished)
	if got := say(2 * time.Second).Outcome; got != control.OutcomeRepeated {
		t.Errorf("after 2 s: %s", got)
	}
	again := say(12 * time.Second)
	if again.Outcome != control.OutcomeRunning {
		t.Errorf("after 12 s: %s", again.Outcome)
	}
	r.finish(first.ID, failed) // of a transition that is no longer the last
	if got := say(12*time.Second + 1).Outcome; got != control.OutcomeRepeated {
		t.Errorf("while the second takeover goes on: %s", got)
	}
	r.finish(again.ID, failed)
	if got := say(12*time.Second + 2).Outcome; got != control.OutcomeRunning {
		t.Errorf("after a failure: %s", got)
	}
}

func TestQueueKeepsTheLastWord(t *testing.T) {
	r := newTestRoles(t)
	states := []control.State{control.StateMaster, control.StateBackup}
	for i := range 3 * roleQueue {
		r.notify(control.Notification{Type: control.TypeGroup, State: states[i%2], Boottime: int64(i + 1)}, time.Now())
	}
	var last control.Transition
	for len(r.work) > 0 {
		last = <-r.work
	}
	if want := states[(3*roleQueue-1)%2]; last.State != want {
		t.Errorf("last in the queue is %s, want %s", last.State, want)
	}
}

func TestHistorySavedByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "transitions.json")
	h, err := openHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	var savers sync.WaitGroup
	for range 4 {
		savers.Go(func() {
			for range 50 {
				h.add(control.Transition{State: "BACKUP"})
				if err := h.save(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	savers.Wait()
	if _, err := openHistory(path); err != nil {
		t.Error(err)
	}
}

// TestNotificationIsKeptBeforeItsWork: a daemon that ends while a role change waits for the kernel's table carries it out
// in its next life.
func TestNotificationIsKeptBeforeItsWork(t *testing.T) {
	d := &Daemon{log: slog.New(slog.DiscardHandler), roles: newTestRoles(t)}
	d.notify(control.Notification{Type: control.TypeGroup, Name: "syncgrp", State: control.StateBackup})
	d.notify(control.Notification{Type: control.TypeGroup, Name: "syncgrp", State: control.StateMaster})
	h, err := openHistory(d.roles.history.path)
	if err != nil {
		t.Fatal(err)
	}
	if in := newRoles("syncgrp", h).inherited; in == nil || in.State != control.StateMaster || in.Outcome == control.OutcomeDone {
		t.Errorf("the next life has %+v to do", in)
	}
}

// What is empty is a list all the same, for those who go through it.
func TestEmptyListsAreLists(t *testing.T) {
	for _, v := range []any{newTestRoles(t).history.list(), NewRecent(slog.DiscardHandler).page(0).Lines} {
		if b, err := json.Marshal(v); err != nil || string(b) != "[]" {
			t.Errorf("%T: %s, %v", v, b, err)
		}
	}
}
