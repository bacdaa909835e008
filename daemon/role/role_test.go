package role

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
)

var followed = control.Followed{Type: control.TypeGroup, Name: "syncgrp"}

func newTestRoles(t *testing.T) *Roles {
	t.Helper()
	h, err := OpenHistory(filepath.Join(t.TempDir(), "transitions.json"))
	if err != nil {
		t.Fatal(err)
	}
	return New(followed, h, slog.New(slog.DiscardHandler))
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
				if got := r.Notify(s.n); got.Outcome != s.outcome {
					t.Errorf("notify %+v = %q; want %q", s.n, got.Outcome, s.outcome)
				}
			}
			if state, _ := r.Current(); state != tt.state {
				t.Errorf("state = %q, want %q", state, tt.state)
			}
			if len(r.work) != tt.work || len(r.History.List()) != len(tt.said) {
				t.Errorf("%d accepted, %d recorded; want %d and %d", len(r.work), len(r.History.List()), tt.work, len(tt.said))
			}
		})
	}
}

// An instance that is followed is named by keepalived itself (INSTANCE), or by the words of a script's line (GROUP).
func TestFollowInstance(t *testing.T) {
	r := newTestRoles(t)
	r.Follow(control.Followed{Type: control.TypeInstance, Name: "VI_1"})
	for i, tt := range []struct{ typ, name, outcome string }{
		{control.TypeInstance, "VI_1", control.OutcomeRunning},
		{control.TypeInstance, "VI_2", "ignored: instance VI_2 is not instance VI_1"},
		{control.TypeGroup, "VI_1", control.OutcomeRunning},
		{control.TypeGroup, "syncgrp", "ignored: group syncgrp is not instance VI_1"},
		{control.TypeGroup, "", control.OutcomeRunning},
	} {
		n := control.Notification{Type: tt.typ, Name: tt.name, State: "BACKUP", Boottime: int64(i + 1)}
		if i%4 == 0 {
			n.State = "MASTER"
		}
		if got := r.Notify(n); got.Outcome != tt.outcome || got.Group != cmp.Or(tt.name, "VI_1") {
			t.Errorf("notify %+v = %q of %s; want %q", n, got.Outcome, got.Group, tt.outcome)
		}
	}
}

func TestRoleSurvivesRestart(t *testing.T) {
	r := newTestRoles(t)
	tr := r.Notify(control.Notification{Type: control.TypeGroup, State: "MASTER", Boottime: 5})
	tr.Started = time.Now()
	r.History.update(tr)
	if err := r.History.save(); err != nil {
		t.Fatal(err)
	}
	reopen := func() *Roles {
		h, err := OpenHistory(r.History.path)
		if err != nil {
			t.Fatal(err)
		}
		return New(followed, h, slog.New(slog.DiscardHandler))
	}
	if state, _ := reopen().Current(); state != "MASTER" {
		t.Errorf("state after restart = %q, want MASTER", state)
	}
	h, _ := OpenHistory(r.History.path)
	h.file.Boot = "another boot"
	if state, _ := New(followed, h, slog.New(slog.DiscardHandler)).Current(); state != "" {
		t.Errorf("state after reboot = %q, want unknown", state)
	}
	// A save in the new boot must not make the old one's transitions count.
	b, err := os.ReadFile(r.History.path)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte(bootID()), []byte("another boot"))
	if err := os.WriteFile(r.History.path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	h, _ = OpenHistory(r.History.path)
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	if state, _ := reopen().Current(); state != "" {
		t.Errorf("state after reboot and restart = %q, want unknown", state)
	}
	if n := len(reopen().History.List()); n != 1 {
		t.Errorf("%d transitions kept, want 1", n)
	}
}

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "transitions.json")
	h, err := OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for range historyLength + 20 {
		h.add(control.Transition{State: "BACKUP"})
	}
	list := h.List()
	if len(list) != historyLength || list[0].ID != 21 || list[historyLength-1].ID != historyLength+20 {
		t.Errorf("%d transitions from %d to %d", len(list), list[0].ID, list[len(list)-1].ID)
	}
	if err := h.save(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err = OpenHistory(path)
	if err == nil || len(h.List()) != 0 {
		t.Errorf("a broken file: %v, %d transitions", err, len(h.List()))
	}
	if _, err := os.Stat(path + ".broken"); err != nil {
		t.Errorf("a broken file is not put aside: %v", err)
	}
}

// TestSaidAgain is notified of the same role later: after the work is done, and long after, when the router must have
// left the role meanwhile without a notification.
func TestSaidAgain(t *testing.T) {
	r := newTestRoles(t)
	say := func(after time.Duration) control.Transition {
		return r.Notify(control.Notification{Type: control.TypeGroup, State: control.StateMaster, Boottime: 1 + int64(after)})
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
		r.Notify(control.Notification{Type: control.TypeGroup, State: states[i%2], Boottime: int64(i + 1)})
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
	h, err := OpenHistory(path)
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
	if _, err := OpenHistory(path); err != nil {
		t.Error(err)
	}
}

// TestNotificationIsKeptBeforeItsWork: a daemon that ends while a role change waits for the kernel's table carries it
// out after its restart.
func TestNotificationIsKeptBeforeItsWork(t *testing.T) {
	r := newTestRoles(t)
	for _, state := range []control.State{control.StateBackup, control.StateMaster} {
		r.Notify(control.Notification{Type: control.TypeGroup, Name: "syncgrp", State: state})
	}
	h, err := OpenHistory(r.History.path)
	if err != nil {
		t.Fatal(err)
	}
	in := New(followed, h, r.log).inherited
	if in == nil || in.State != control.StateMaster || in.Outcome == control.OutcomeDone {
		t.Errorf("after the restart %+v is to be done", in)
	}
}

// What is empty is a list all the same, for those who go through it.
func TestEmptyListIsAList(t *testing.T) {
	if b, err := json.Marshal(newTestRoles(t).History.List()); err != nil || string(b) != "[]" {
		t.Errorf("%s, %v", b, err)
	}
}

// TestHistoryThatCannotBeRead is never written over: it is put aside, or where that fails nothing is saved.
func TestHistoryThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "transitions.json")
	if err := os.Mkdir(path, 0o755); err != nil { // reading it fails, for root too
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "kept"), []byte("the past"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(path)
	if err == nil || !strings.Contains(err.Error(), "put aside as "+path+".broken") {
		t.Errorf("the trouble is not said: %v", err)
	}
	h.add(control.Transition{State: "BACKUP"})
	if err := h.save(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(path+".broken", "kept")); err != nil || string(b) != "the past" {
		t.Errorf("the past is lost: %q, %v", b, err)
	}

	// It cannot be put aside where something else has that name.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err = OpenHistory(path)
	if err == nil || h.save() == nil {
		t.Errorf("opened (%v) and saved over a file that could not be put aside", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "{broken" {
		t.Errorf("the file holds %q", b)
	}
}

// recorder is work that says what it was asked to do and waits until its role ends.
type recorder struct {
	did  chan string
	fail error
}

func (w *recorder) Begin(ctx context.Context, t *control.Transition) error {
	w.did <- "begin " + string(t.State)
	if t.State == control.StateFault {
		<-ctx.Done()
		return ctx.Err()
	}
	return w.fail
}

// expect waits until the work did so.
func (w *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, s := range want {
		select {
		case got := <-w.did:
			if got != s {
				t.Fatalf("%s, want %s", got, s)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no %s", s)
		}
	}
}

func (w *recorder) Later(ctx context.Context, t control.Transition, _ func(control.Transition)) {
	w.did <- "later " + string(t.State)
	<-ctx.Done()
	w.did <- "end " + string(t.State)
}

// TestRun does the work of one role at a time: a new one ends that of the one before, and says what came of it.
func TestRun(t *testing.T) {
	r := newTestRoles(t)
	w := &recorder{did: make(chan string, 16)}
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, ready, w) }()
	said := func(states ...control.State) {
		for _, s := range states {
			r.Notify(control.Notification{Type: control.TypeGroup, State: s})
		}
	}
	said(control.StateMaster)
	select {
	case got := <-w.did:
		t.Fatalf("%s before the start was complete", got)
	case <-time.After(20 * time.Millisecond):
	}
	close(ready)
	w.expect(t, "begin MASTER", "later MASTER")
	said(control.StateFault)
	w.expect(t, "end MASTER", "begin FAULT")
	said(control.StateBackup)
	w.expect(t, "begin BACKUP", "later BACKUP")
	cancel()
	w.expect(t, "end BACKUP")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var outcomes []string
	for _, tr := range r.History.List() {
		outcomes = append(outcomes, tr.Outcome)
	}
	want := []string{control.OutcomeDone, control.OutcomeSuperseded, control.OutcomeDone}
	if !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %q, want %q", outcomes, want)
	}
}

// TestRunWithADiskThatHangs: role changes do not wait for the history file. What happened is in it when Run has ended.
func TestRunWithADiskThatHangs(t *testing.T) {
	r := newTestRoles(t)
	w := &recorder{did: make(chan string, 16)}
	ready := make(chan struct{})
	close(ready)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, ready, w) }()
	var said sync.WaitGroup
	say := func(s control.State) {
		said.Go(func() { r.Notify(control.Notification{Type: control.TypeGroup, State: s}) })
	}
	r.History.saving.Lock()
	say(control.StateMaster)
	w.expect(t, "begin MASTER", "later MASTER")
	say(control.StateBackup)
	w.expect(t, "end MASTER", "begin BACKUP", "later BACKUP")
	cancel()
	w.expect(t, "end BACKUP")
	r.History.saving.Unlock()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	said.Wait()
	h, err := OpenHistory(r.History.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range h.List() {
		if tr.Outcome != control.OutcomeDone {
			t.Errorf("%s: %s", tr.State, tr.Outcome)
		}
	}
}

// Whatever lies in the place of the file costs the past, not the start: it is put aside, and the next save succeeds.
func TestHistoryInPlaceOfOther(t *testing.T) {
	for what, put := range map[string]func(path string) error{
		"a FIFO":          func(path string) error { return unix.Mkfifo(path, 0o666) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o777) },
		"a symbolic link": func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		path := filepath.Join(t.TempDir(), "transitions.json")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		h, err := OpenHistory(path)
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "put aside") {
			t.Errorf("%s: %v", what, err)
		}
		if err := h.save(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
