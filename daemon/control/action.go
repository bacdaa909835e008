package control

import "fmt"

// Verb names an operation of conntrackd's command line.
type Verb string

// Verbs and conntrackd's options for them.
const (
	Commit  Verb = "commit"  // -c: put the external cache into the kernel
	Flush   Verb = "flush"   // -f: empty one cache or both; what was replicated stays at the peer
	Resync  Verb = "resync"  // -R: compare the internal cache with the kernel
	Bulk    Verb = "bulk"    // -B: send the internal cache to the peer
	Request Verb = "request" // -n: ask the peer for a bulk
	Purge   Verb = "purge"   // -t: shorten the timers of kernel entries that the peer owns now
	Reset   Verb = "reset"   // VyOS's reset of a cache: flush and fill again
	Restart Verb = "restart" // restart the daemon within its process; the answer comes before that is done
)

// Names of the caches in an Action.
const (
	CacheInternal = "internal"
	CacheExternal = "external"
)

// Action asks for an operation. Cache is empty for both caches, which only Flush allows, and for verbs that have none.
type Action struct {
	Verb  Verb   `json:"verb"`
	Cache string `json:"cache,omitempty"`
}

// Validate returns nil or an *Error with code CodeBadRequest.
func (a Action) Validate() error {
	known := a.Cache == CacheInternal || a.Cache == CacheExternal
	switch a.Verb {
	case Commit, Resync, Bulk, Request, Purge, Restart:
		if a.Cache == "" {
			return nil
		}
	case Flush:
		if known || a.Cache == "" {
			return nil
		}
	case Reset:
		if known {
			return nil
		}
	default:
		return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("unknown verb %q", a.Verb)}
	}
	return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("%s cannot be used with cache %q", a.Verb, a.Cache)}
}

// Result is the outcome of an Action.
type Result struct {
	Summary  string        `json:"summary"` // one line in plain words
	Flows    uint64        `json:"flows"`   // flows handled
	Commit   *CommitResult `json:"commit,omitempty"`
	Duration Duration      `json:"duration_seconds"`
}

// ActionLine is one line of the answer to an Action. Exactly one of Progress, Result and Error is set; a Result or an
// Error is the last line.
type ActionLine struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Error    *Error    `json:"error,omitempty"`
}

// Progress says how far an Action has come. Total is 0 while it is not known.
type Progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}
