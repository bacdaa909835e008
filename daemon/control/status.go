package control

import (
	"fmt"
	"strconv"
	"time"
)

// Role is what keepalived last made of this router, in lower case.
type Role string

// Roles. RoleUnknown holds until the first notification.
const (
	RoleUnknown Role = "unknown"
	RoleMaster  Role = "master"
	RoleBackup  Role = "backup"
	RoleFault   Role = "fault"
	RoleStop    Role = "stop"
)

// Transports to the peer, as conntrackd prints them.
const (
	TransportMulticast = "multicast"
	TransportUDP       = "UDP"
)

// Status says what the daemon is doing and whether the pair is in step.
type Status struct {
	Time      time.Time `json:"time"` // of this status, by this router's clock like all others
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Started   time.Time `json:"started"`
	Ready     bool      `json:"ready"` // the kernel's table was read and everything serves
	Mode      string    `json:"mode"`  // of the protocol: "ftfw"
	Role      Role      `json:"role"`
	RoleSince time.Time `json:"role_since,omitzero"`

	SyncGroup string `json:"sync_group"`         // that is followed; "" where Instance is
	Instance  string `json:"instance,omitempty"` // the vrrp_instance that is followed in place of a group

	Interface   string    `json:"interface"`              // of each dedicated link, as configured: "eth2, eth3"
	Transport   string    `json:"transport"`              // TransportMulticast or TransportUDP
	Peer        string    `json:"peer,omitempty"`         // address configured or last heard
	PeerHeard   time.Time `json:"peer_heard,omitzero"`    // last valid datagram
	Established bool      `json:"established"`            // the hello handshake is done
	InStep      bool      `json:"in_step"`                // what one router knows, the other knows
	Why         []string  `json:"why_not,omitempty"`      // why not in step, in plain words
	Warnings    []string  `json:"warnings,omitempty"`     // what an operator should repair, in plain words
	Jobs        []Job     `json:"jobs,omitempty"`         // long work under way
	NeedRestart []string  `json:"need_restart,omitempty"` // changed settings that wait for a restart

	Senders         []Sender    `json:"senders,omitempty"`     // others than the peer, of the last hour, the latest first
	ActiveLink      *ActiveLink `json:"active_link,omitempty"` // nil where there is only one link
	LastTransition  *Transition `json:"last_transition,omitempty"`
	Internal        uint64      `json:"internal"`                   // flows in the internal cache
	External        uint64      `json:"external"`                   // flows in the external cache
	Injecting       bool        `json:"injecting,omitempty"`        // disable-external-cache is on
	Injected        uint64      `json:"injected,omitempty"`         // flows of the peer, which go into the kernel then
	ExpectationSync []string    `json:"expectation_sync,omitempty"` // helpers whose expectations are replicated
	Restarts        Restarts    `json:"restarts"`
}

// How a run of the daemon may end that was not asked to.
const (
	EndedByPanic   = "panic"   // Go's runtime ended the program
	EndedBySignal  = "signal"  // such as the SIGABRT of systemd's watchdog
	EndedByFailure = "failure" // the daemon could not go on, and said why
	EndedByKill    = "kill"    // nobody was told
)

// Restarts are those that nobody asked for, of all runs with this state directory.
type Restarts struct {
	Unasked uint64 `json:"unasked"`
	Last    *Ended `json:"last,omitempty"` // how the run before the last of them ended
}

// Ended says how a run of the daemon ended that was not asked to.
type Ended struct {
	Time time.Time `json:"time"`           // of the end; after a kill, of the next start
	Kind string    `json:"kind"`           // EndedByPanic and so on
	What string    `json:"what"`           // in one line
	File string    `json:"file,omitempty"` // with the stack
}

// String returns e in one line.
func (e *Ended) String() string {
	text := e.What
	if e.Kind != EndedByPanic && e.Kind != EndedBySignal { // those begin with their name
		text = e.Kind + ": " + text
	}
	if e.File != "" {
		text += " (the stack is in " + e.File + ")"
	}
	return text
}

// What a sender seems to be by its latest datagrams.
const (
	SeemsRouter     = "a router"             // it speaks protocol v1
	SeemsStarting   = "a router that starts" // and says hello
	SeemsUnreadable = "no router"            // it does not
)

// Sender is another one than the peer whose datagrams arrive on a dedicated link and are dropped. At most 16 are
// remembered.
type Sender struct {
	Address   string    `json:"address"`
	Device    string    `json:"device"` // of the link
	Seems     string    `json:"seems"`  // SeemsRouter, SeemsStarting or SeemsUnreadable
	Why       string    `json:"why"`    // its datagrams are dropped
	Datagrams uint64    `json:"datagrams"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
}

// String says all of it but the times.
func (s *Sender) String() string {
	return fmt.Sprintf("%s on %s seems to be %s; dropped: %s (%d datagrams)", s.Address, s.Device, s.Seems, s.Why, s.Datagrams)
}

// Followed returns what makes the role.
func (s *Status) Followed() Followed { return FollowedBy(s.SyncGroup, s.Instance) }

// ActiveLink is the dedicated link that sends, of several.
type ActiveLink struct {
	Device  string    `json:"device"`
	Since   time.Time `json:"since,omitzero"`   // zero: since the start
	Reason  string    `json:"reason,omitempty"` // of the change at Since
	Changes uint64    `json:"changes"`          // since the start
}

// Snapshot is all that the daemon shows of itself, taken at one moment.
type Snapshot struct {
	Status     Status     `json:"status"`
	Statistics Statistics `json:"statistics"`
}

// Job is a piece of long work, such as a commit, and how far it has come.
type Job struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Done    uint64    `json:"done"`
	Total   uint64    `json:"total"` // 0 = not known
}

// Duration is a time.Duration that is written as seconds with a fraction.
type Duration time.Duration

// MarshalJSON writes d as a number of seconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(d).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads a number of seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	s, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	*d = Duration(s * float64(time.Second))
	return nil
}

// String returns d as time.Duration prints it, to the microsecond.
func (d Duration) String() string { return time.Duration(d).Round(time.Microsecond).String() }
