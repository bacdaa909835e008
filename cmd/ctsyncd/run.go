package main

import (
	"errors"

	"ctsync/daemon/control"
	"ctsync/daemon/lastrun"
)

// beginRun records in the state directory that a run goes on, and logs how the last one ended if nobody asked it to.
func (s *service) beginRun(dir string) {
	run, ended, err := lastrun.Begin(dir)
	if err != nil {
		s.unrecorded = err
		return
	}
	s.run = run
	if ended != nil && ended.Kind != control.EndedByFailure { // that one was logged, by the run that failed
		s.log.Error("the last run of ctsyncd ended without being asked to: report it if it is not your doing",
			"how", ended.String(), "restarts", run.Restarts().Unasked)
	}
}

// reportRun logs why the end of this run cannot be recorded. It waits until the daemon could begin: another one that
// runs here is a reason of its own.
func (s *service) reportRun() {
	if s.unrecorded != nil {
		s.log.Warn("how this run ends is not recorded: mend the state directory", "err", s.unrecorded)
	}
}

// endRun records that this run was asked to end, or failed with err. errRestart is asked for.
func (s *service) endRun(err error) {
	if errors.Is(err, errRestart) {
		err = nil
	}
	if err := s.run.End(err); err != nil {
		s.log.Warn("how this run ends is not recorded: mend the state directory", "err", err)
	}
}
