package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"ctsync/daemon/control"
)

// historyLength is how many transitions are kept.
const historyLength = 100

// history is the list of transitions, oldest first, kept in a file so that the last failover can be explained after a
// restart. It is not on any hot path, so it has a lock.
type history struct {
	path string

	saving sync.Mutex // one writer of the file at a time; taken before mu

	mu   sync.Mutex
	file historyFile
}

// historyFile is the file's content. Boot tells whether the role of the last transition is still this machine's.
type historyFile struct {
	Boot        string               `json:"boot"`
	NextID      uint64               `json:"next_id"`
	Transitions []control.Transition `json:"transitions"`
}

// openHistory reads the file. One that cannot be read costs the past, not the start: it is put aside as *.broken.
func openHistory(path string) (*history, error) {
	h := &history{path: path, file: historyFile{NextID: 1}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("read transitions: %w", err)
	}
	var f historyFile
	if err := json.Unmarshal(b, &f); err != nil || f.NextID == 0 {
		os.Rename(path, path+".broken")
		return h, fmt.Errorf("read transitions: %s is not readable, put aside as %s.broken: %w", path, path, err)
	}
	if f.Boot != bootID() { // the clock of Boottime began anew
		for i := range f.Transitions {
			f.Transitions[i].Boottime = 0
		}
	}
	h.file = f
	return h, nil
}

// add appends t with a new ID and returns it.
func (h *history) add(t control.Transition) control.Transition {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.ID = h.file.NextID
	h.file.NextID++
	h.file.Transitions = append(h.file.Transitions, t)
	h.trim()
	return t
}

// trim drops the oldest transitions beyond historyLength, but never the one that made the present role: notifications
// that do not count may be many, and a restart must still know the role.
func (h *history) trim() {
	list := h.file.Transitions
	for len(list) > historyLength {
		oldest := 0
		if counts(&list[0]) && !slices.ContainsFunc(list[1:], func(t control.Transition) bool { return counts(&t) }) {
			oldest = 1
		}
		list = slices.Delete(list, oldest, oldest+1)
	}
	h.file.Transitions = list
}

// counts reports whether t changed the role.
func counts(t *control.Transition) bool {
	return !t.Started.IsZero() || t.Outcome == control.OutcomeRunning
}

// update replaces the transition that has t's ID.
func (h *history) update(t control.Transition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.file.Transitions {
		if h.file.Transitions[i].ID == t.ID {
			h.file.Transitions[i] = t
		}
	}
}

// list returns a copy, oldest first.
func (h *history) list() []control.Transition {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]control.Transition{}, h.file.Transitions...)
}

// thisBoot reports whether the file was last written since this machine started.
func (h *history) thisBoot() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.file.Boot == bootID()
}

// save writes the file so that a crash leaves either the old or the new one.
func (h *history) save() error {
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	h.file.Boot = bootID()
	b, err := json.MarshalIndent(&h.file, "", "  ")
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o755); err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	tmp := h.path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	if err := os.Rename(tmp, h.path); err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	return nil
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
