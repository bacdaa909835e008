package control

import (
	"runtime"
	"strings"
)

// Blocks returns the numbers of the status and those of the statistics.
func (s *Snapshot) Blocks() []Block {
	return append(s.Statistics.Blocks(), s.Status.block(), jobBlock(s.Status.Jobs))
}

// block is for metrics alone: the text of the status is not made of numbers.
func (s *Status) block() (b Block) {
	last := or(s.LastTransition)
	b.add("", true, "build_info", "Always 1; the labels say which ctsyncd runs.", "version", s.Version, "goversion", runtime.Version())
	b.add("", true, "pair_info", "Always 1; the labels say which pair this router belongs to and how it reaches the other one. sync_group is the instance where one is followed in place of a group; peer is empty until it is known.",
		"sync_group", s.Followed().Name, "mode", s.Mode, "interface", s.Interface, "transport", s.Transport, "peer", s.Peer)
	b.add("", s.Time, "snapshot_timestamp_seconds", "When these numbers were taken, by the router's clock as all other moments: compare with this rather than with the clock of Prometheus.")
	b.add("", s.Started, "started_timestamp_seconds", "When ctsyncd started; every counter of its own counts since then.")
	b.add("", s.Restarts.Unasked, "unasked_restarts_total", "Starts of ctsyncd after an end that nobody asked for (a panic, the watchdog, a failure, a kill), since its state directory was made: ctsync show status names the last.")
	b.add("", s.Ready, "ready", "1 once the kernel's table was read and everything serves.")
	for _, r := range []Role{RoleUnknown, RoleMaster, RoleBackup, RoleFault, RoleStop} {
		b.add("", s.Role == r, "role", "1 for the role that keepalived last gave to this router, 0 for the others; unknown until it first said something.",
			"sync_group", s.Followed().Name, "role", string(r))
	}
	b.add("", s.RoleSince, "role_since_timestamp_seconds", "When keepalived gave this router its role, 0 if it never did.")
	b.add("", last.Sent, "last_transition_timestamp_seconds", "When keepalived said what last changed the role, 0 if it never did.")
	b.add("", strings.HasPrefix(last.Outcome, OutcomeFailed), "last_transition_failed", "1 if the work of the last role change failed: ctsync show transitions says why.")
	b.add("", s.InStep, "in_step", "1 while the other router knows what this one knows and the reverse, as far as this one can tell.")
	b.add("", len(s.Why), "not_in_step_reasons", "How many reasons there are against being in step: ctsync show status names them.")
	b.add("", len(s.Warnings), "warnings", "Things on this router that an operator should mend: ctsync show status names them.")
	b.add("", len(s.Senders), "other_senders", "Others than the peer that were heard on a dedicated link within the last hour: a pair has two members. ctsync show status names them.")
	for _, o := range s.Senders {
		b.add("", o.Datagrams, "other_sender_datagrams", "Datagrams of another one than the peer, all dropped; the labels say who it is, what it seems to be and why they are dropped. At most 16 are remembered, for an hour.",
			"address", o.Address, "device", o.Device, "seems", o.Seems, "why", o.Why)
		b.add("", o.Last, "other_sender_heard_timestamp_seconds", "When another one than the peer was last heard.", "address", o.Address, "device", o.Device)
	}
	b.add("", len(s.NeedRestart), "restart_needed_settings", "Settings changed in the configuration file that wait for a restart of ctsyncd.")
	b.add("", s.Established, "peer_established", "1 once the peer has answered our hello; it stays 1 while a known peer is silent.")
	b.add("", s.PeerHeard, "peer_heard_timestamp_seconds", "When the peer was last heard, 0 for never. A healthy one sends something every second.")
	b.add("", len(s.ExpectationSync), "expectation_sync_helpers", "Entries of expect-sync, 0 while expectations are not replicated.")
	return b
}

// jobBlock adds up the jobs of one name, since two bulks can overlap. It is for metrics alone.
func jobBlock(jobs []Job) (b Block) {
	var sums []Job
	at := map[string]int{}
	for _, j := range jobs {
		i, known := at[j.Name]
		if !known {
			at[j.Name] = len(sums)
			sums = append(sums, j)
			continue
		}
		sums[i].Done += j.Done
		sums[i].Total += j.Total
		if j.Started.Before(sums[i].Started) {
			sums[i].Started = j.Started
		}
	}
	for _, j := range sums {
		b.add("", j.Started, "job_started_timestamp_seconds", "When long work that is under way started, by its name; of several of a name the first.", "job", j.Name)
		b.add("", j.Done, "job_done_items", "How far long work that is under way has come.", "job", j.Name)
		b.add("", j.Total, "job_planned_items", "How far long work that is under way has to go, 0 while that is not known.", "job", j.Name)
	}
	return b
}
