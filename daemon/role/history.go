package role

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/renameio/v2"

	"ctsync/daemon/control"
	"ctsync/daemon/owned"
)

const (
	historyLength = 100      // transitions that are kept
	maxHistory    = 16 << 20 // bytes of the file, far more than they take
)

// History is the list of transitions, oldest first, kept in a file so that the last failover can be explained after a
// restart. It is not on any hot path, so it has a lock.
type History struct {
	path    string
	trouble error // why the file must not be replaced, nil = it may

	saving sync.Mutex // one writer of the file at a time; taken before mu

	mu   sync.Mutex
	file historyFile
}

// historyFile is the file's content. Boot shows whether the role of the last transition still holds: a reboot ends it.
type historyFile struct {
	Boot        string               `json:"boot"`
	NextID      uint64               `json:"next_id"`
	Transitions []control.Transition `json:"transitions"`
}

// OpenHistory reads the file. One that cannot be read costs the past, not the start: it is put aside as *.broken, and
// the error says so. Where it cannot be put aside either, nothing is written over it. The History is usable in any
// case.
func OpenHistory(path string) (*History, error) {
	h := &History{path: path, file: historyFile{NextID: 1}}
	b, err := owned.Read(path, maxHistory)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, h.putAside(err)
	}
	var f historyFile
	if err := json.Unmarshal(b, &f); err != nil || f.NextID == 0 {
		return h, h.putAside(cmp.Or(err, errors.New("no transition IDs")))
	}
	if f.Boot != bootID() { // the clock of Boottime restarted
		for i := range f.Transitions {
			f.Transitions[i].Boottime = 0
		}
	}
	h.file = f
	return h, nil
}

// putAside renames the file, which could not be read because of why.
func (h *History) putAside(why error) error {
	if err := os.Rename(h.path, h.path+".broken"); err != nil {
		h.trouble = fmt.Errorf("read transitions: %w, and it cannot be put aside: %w; "+
			"move or remove %s and restart ctsyncd, nothing is kept until then", why, err, h.path)
		return h.trouble
	}
	return fmt.Errorf("read transitions: %w; the file was put aside as %s.broken", why, h.path)
}

// add appends t with a new ID and returns it.
func (h *History) add(t control.Transition) control.Transition {
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
func (h *History) trim() {
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
func (h *History) update(t control.Transition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.file.Transitions {
		if h.file.Transitions[i].ID == t.ID {
			h.file.Transitions[i] = t
		}
	}
}

// List returns a copy, oldest first.
func (h *History) List() []control.Transition {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]control.Transition{}, h.file.Transitions...)
}

// thisBoot reports whether the file was last written since this machine started.
func (h *History) thisBoot() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.file.Boot == bootID()
}

// save writes the file, so that a crash of the machine leaves either the old or the new one, and returns when it is on
// disk.
func (h *History) save() error {
	if h.trouble != nil {
		return h.trouble
	}
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	h.file.Boot = bootID()
	b, err := json.MarshalIndent(&h.file, "", "  ")
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	dir := filepath.Dir(h.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	if err := renameio.WriteFile(h.path, append(b, '\n'), 0o644, renameio.WithTempDir(dir)); err != nil {
		return fmt.Errorf("write transitions: %w", err)
	}
	if err := syncDirectory(dir); err != nil { // the new name, too
		return fmt.Errorf("write transitions: %w", err)
	}
	return nil
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
