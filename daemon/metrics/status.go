package metrics

import (
	"runtime"
	"strings"

	"ctsync/daemon/control"
)

// status makes values of a single number of the status without labels.
func status(v func(*control.Status) float64) values {
	return func(s *control.Snapshot, add func(float64, ...string)) { add(v(&s.Status)) }
}

var roles = []control.Role{control.RoleUnknown, control.RoleMaster, control.RoleBackup, control.RoleFault, control.RoleStop}

var statusFamilies = []family{
	gauge("build_info", "Always 1; the labels tell which ctsyncd runs.", []string{"version", "goversion"},
		func(s *control.Snapshot, add func(float64, ...string)) { add(1, s.Status.Version, runtime.Version()) }),
	gauge("pair_info", "Always 1; the labels tell which pair this router belongs to and how it reaches the other one. peer is empty until it is known.",
		[]string{"sync_group", "mode", "interface", "transport", "peer"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			add(1, s.Status.SyncGroup, s.Status.Mode, s.Status.Interface, s.Status.Transport, s.Status.Peer)
		}),
	gauge("snapshot_timestamp_seconds", "When these numbers were taken, by the router's clock as all other moments: compare with this rather than with the clock of Prometheus.", nil,
		status(func(s *control.Status) float64 { return unix(s.Time) })),
	gauge("started_timestamp_seconds", "When ctsyncd started; every counter counts since then.", nil,
		status(func(s *control.Status) float64 { return unix(s.Started) })),
	gauge("ready", "1 once the kernel's table was read and everything serves.", nil,
		status(func(s *control.Status) float64 { return truth(s.Ready) })),
	gauge("role", "1 for the role that keepalived last gave to this router, 0 for the others; unknown until it first said something.",
		[]string{"sync_group", "role"}, roleValues),
	gauge("role_since_timestamp_seconds", "When keepalived gave this router its role, 0 if it never did.", nil,
		status(func(s *control.Status) float64 { return unix(s.RoleSince) })),
	gauge("last_transition_timestamp_seconds", "When keepalived said what last changed the role, 0 if it never did.", nil,
		status(func(s *control.Status) float64 {
			if s.LastTransition == nil {
				return 0
			}
			return unix(s.LastTransition.Sent)
		})),
	gauge("last_transition_failed", "1 if the work of the last role change failed: ctsync show transitions says why.", nil,
		status(func(s *control.Status) float64 {
			return truth(s.LastTransition != nil && strings.HasPrefix(s.LastTransition.Outcome, control.OutcomeFailed))
		})),
	gauge("in_step", "1 while the other router knows what this one knows and the reverse, as far as this one can tell.", nil,
		status(func(s *control.Status) float64 { return truth(s.InStep) })),
	gauge("not_in_step_reasons", "How many reasons there are against being in step: ctsync show status names them.", nil,
		status(func(s *control.Status) float64 { return float64(len(s.Why)) })),
	gauge("warnings", "Things on this router that an operator should mend: ctsync show status names them.", nil,
		status(func(s *control.Status) float64 { return float64(len(s.Warnings)) })),
	gauge("restart_needed_settings", "Settings changed in the configuration file that wait for a restart of ctsyncd.", nil,
		status(func(s *control.Status) float64 { return float64(len(s.NeedRestart)) })),
	gauge("peer_established", "1 once the peer has answered our hello; it stays 1 while a known peer is silent.", nil,
		status(func(s *control.Status) float64 { return truth(s.Established) })),
	gauge("peer_heard_timestamp_seconds", "When the peer last said anything, 0 for never. One that is well speaks every second.", nil,
		status(func(s *control.Status) float64 { return unix(s.PeerHeard) })),
	gauge("expectation_sync_helpers", "Entries of expect-sync, 0 while expectations are not replicated.", nil,
		status(func(s *control.Status) float64 { return float64(len(s.ExpectationSync)) })),
	counter("requests_unknown_total", "Requests on the control socket that are not part of the API, or make no sense.", nil,
		one(func(s *control.Statistics) uint64 { return s.Requests.Unknown })),
	counter("requests_unread_total", "Requests on the control socket that were broken off, too slow or too large.", nil,
		one(func(s *control.Statistics) uint64 { return s.Requests.ReadFailed })),
	gauge("job_started_timestamp_seconds", "When long work that is under way began, by its name; of several of a name the first.", []string{"job"},
		jobValues(func(j *job) float64 { return unix(j.Started) })),
	gauge("job_done_items", "How far long work that is under way has come.", []string{"job"},
		jobValues(func(j *job) float64 { return float64(j.Done) })),
	gauge("job_planned_items", "How far long work that is under way has to go, 0 while that is not known.", []string{"job"},
		jobValues(func(j *job) float64 { return float64(j.Total) })),
}

func roleValues(s *control.Snapshot, add func(float64, ...string)) {
	for _, r := range roles {
		add(truth(s.Status.Role == r), s.Status.SyncGroup, string(r))
	}
}

// job is the sum of the jobs of one name: two bulks can overlap.
type job = control.Job

func jobValues(v func(*job) float64) values {
	return func(s *control.Snapshot, add func(float64, ...string)) {
		var order []string
		sums := map[string]*job{}
		for _, j := range s.Status.Jobs {
			sum := sums[j.Name]
			if sum == nil {
				sum = &job{Started: j.Started}
				sums[j.Name] = sum
				order = append(order, j.Name)
			}
			sum.Done += j.Done
			sum.Total += j.Total
			if j.Started.Before(sum.Started) {
				sum.Started = j.Started
			}
		}
		for _, name := range order {
			add(v(sums[name]), name)
		}
	}
}
