package control

import (
	"fmt"
	"strings"
	"time"
)

// State is keepalived's word for what a group or instance became, in upper case.
type State string

// States that are changes of role.
const (
	StateMaster State = "MASTER"
	StateBackup State = "BACKUP"
	StateFault  State = "FAULT"
	StateStop   State = "STOP"
)

// Role returns the role that s gives to this router, RoleUnknown for a word that is no change of role, such as
// keepalived's MASTER_RX_LOWER_PRI.
func (s State) Role() Role {
	switch s {
	case StateMaster:
		return RoleMaster
	case StateBackup:
		return RoleBackup
	case StateFault:
		return RoleFault
	case StateStop:
		return RoleStop
	}
	return RoleUnknown
}

// Types of a Notification, as keepalived writes them.
const (
	TypeGroup    = "GROUP"
	TypeInstance = "INSTANCE"
)

// Followed is what of keepalived's makes the role of this router: a sync group, or an instance that is in no group.
type Followed struct {
	Type string // TypeGroup or TypeInstance
	Name string
}

// FollowedBy returns the instance that is followed, or else the sync group.
func FollowedBy(group, instance string) Followed {
	if instance != "" {
		return Followed{TypeInstance, instance}
	}
	return Followed{TypeGroup, group}
}

// String returns f as the configuration file names it, "sync-group NAME" or "instance NAME".
func (f Followed) String() string {
	if f.Type == TypeInstance {
		return "instance " + f.Name
	}
	return "sync-group " + f.Name
}

// Means reports whether n is about f. A script that is given a state and a name, and not keepalived's own words, cannot
// say of what type the name is: its notifications say GROUP, and may be about an instance.
func (f Followed) Means(n *Notification) bool {
	return (n.Type == f.Type || n.Type == TypeGroup) && (n.Name == f.Name || n.Name == "")
}

// Notification is what keepalived said. Name is empty when only a state was given: what the daemon follows is meant.
//
// keepalived starts its scripts without waiting for one another, so notifications can overtake each other. Boottime
// gives their order: unlike At, no step of the clock can move it. The server fills it in when it is 0.
type Notification struct {
	Type     string    `json:"type"` // TypeGroup or TypeInstance
	Name     string    `json:"name,omitempty"`
	State    State     `json:"state"`
	Priority int       `json:"priority,omitempty"`
	At       time.Time `json:"at"`                    // when keepalived said it, by this machine's clock
	Boottime int64     `json:"boottime_ns,omitempty"` // the same by CLOCK_BOOTTIME, in ns: the order of notifications
	Source   string    `json:"source,omitempty"`      // "keepalived", "notify", "parked"; the server adds pid and uid
}

// Outcomes of a Transition. Those that end in a colon are followed by the reason.
const (
	OutcomeRunning    = "running"
	OutcomeDone       = "done"
	OutcomeSuperseded = "superseded" // an older one that came late, or one cut short by a newer one
	OutcomeRepeated   = "repeated"   // the router is that already
	OutcomeIgnored    = "ignored: "
	OutcomeFailed     = "failed: "
	OutcomeIncomplete = "incomplete: " // a takeover for whose flows the kernel's table has no room
)

// Transition is the record of one notification and of its outcome.
type Transition struct {
	ID       uint64        `json:"id"`
	Type     string        `json:"type"`
	Group    string        `json:"group"` // its name, also of an instance
	State    State         `json:"state"`
	Priority int           `json:"priority,omitempty"`
	Source   string        `json:"source"`
	Sent     time.Time     `json:"sent"`                  // Notification.At
	Boottime int64         `json:"boottime_ns,omitempty"` // Notification.Boottime
	Received time.Time     `json:"received"`              // by the daemon
	Started  time.Time     `json:"started,omitzero"`
	Finished time.Time     `json:"finished,omitzero"`
	Outcome  string        `json:"outcome"`
	Commit   *CommitResult `json:"commit,omitempty"`   // of a takeover, unless disable-external-cache is on
	Warnings []string      `json:"warnings,omitempty"` // why what was restored may not work, in plain words
	Inject   *InjectResult `json:"inject,omitempty"`   // of a takeover with disable-external-cache
}

// Worked sets the outcome of work that did not fail: it is done, or incomplete as long as flows wait for room in the
// kernel's table.
func (t *Transition) Worked() {
	t.Outcome = OutcomeDone
	if t.Commit != nil && t.Commit.NoRoom > 0 {
		t.Outcome = fmt.Sprintf("%s%d flows wait for room in the kernel's table", OutcomeIncomplete, t.Commit.NoRoom)
	}
}

// HasWorked reports whether the work of t was carried out, even if flows were left for which the kernel had no room:
// when the daemon restarts it is not done again.
func (t *Transition) HasWorked() bool {
	return t.Outcome == OutcomeDone || strings.HasPrefix(t.Outcome, OutcomeIncomplete)
}

// InjectResult says what a takeover found with disable-external-cache, where there is no commit: the peer's flows are
// in the kernel already.
type InjectResult struct {
	Present      uint64   `json:"present"`        // flows of the peer that the kernel has
	Late         uint64   `json:"late"`           // of them: flows not yet in the kernel when the takeover started
	Failed       uint64   `json:"failed"`         // flows that the kernel refuses
	Waited       Duration `json:"waited_seconds"` // for those
	DumpDuration Duration `json:"dump_seconds"`   // of reading the kernel's table
}
