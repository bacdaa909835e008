package kernel

import (
	"time"

	"ctsync/daemon/flow"
)

const (
	// helperMemory is how long an answer counts: a commit is shorter, an injection goes on for days.
	helperMemory = time.Minute

	// MaxMissing bounds how many missing helpers are remembered, and so how many are asked for: the names come from the
	// peer. A kernel has about fifteen of them.
	MaxMissing = 64
)

// Helper is what the kernel looks for a conntrack helper by.
type Helper struct {
	Name   [16]byte
	Family flow.Family
	Proto  flow.Proto
}

// HelperOf returns the helper of that name for a connection.
func HelperOf(name *[16]byte, conn *flow.Tuple) Helper { return Helper{*name, conn.Family, conn.Proto} }

// Helpers remembers what the kernel answered about helpers, because it runs modprobe for each question about one that
// it does not have. The zero value knows nothing.
type Helpers struct {
	Missing int // how many are known not to be there

	there map[Helper]bool
	since time.Time
}

// Forget forgets what was learned too long ago.
func (h *Helpers) Forget(now time.Time) {
	if h.there == nil || now.Sub(h.since) > helperMemory {
		*h = Helpers{there: map[Helper]bool{}, since: now}
	}
}

// Known reports whether the kernel has answered about a helper.
func (h *Helpers) Known(k Helper) bool {
	_, known := h.there[k]
	return known
}

// Lacks reports whether the kernel is known not to have a helper, or may not be asked any more.
func (h *Helpers) Lacks(k Helper) bool {
	there, known := h.there[k]
	return !there && (known || h.Missing >= MaxMissing)
}

// Learn remembers whether the kernel has a helper.
func (h *Helpers) Learn(k Helper, there bool) {
	if !h.Known(k) {
		if h.there[k] = there; !there {
			h.Missing++
		}
	}
}
