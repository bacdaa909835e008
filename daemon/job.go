package daemon

import (
	"sync"
	"time"

	"ctsync/daemon/control"
)

// jobs lists the long work under way for those who look.
type jobs struct {
	mu   sync.Mutex
	list []*control.Job
}

// start enters a job and returns the function that reports its progress, which also calls progress (may be nil), and
// the one that ends it.
func (j *jobs) start(name string, progress func(done, total int)) (report func(done, total int), end func()) {
	job := &control.Job{Name: name, Started: time.Now()}
	j.mu.Lock()
	j.list = append(j.list, job)
	j.mu.Unlock()
	report = func(done, total int) {
		j.mu.Lock()
		job.Done, job.Total = uint64(done), uint64(total)
		j.mu.Unlock()
		if progress != nil {
			progress(done, total)
		}
	}
	end = func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		for i := range j.list {
			if j.list[i] == job {
				j.list = append(j.list[:i], j.list[i+1:]...)
				return
			}
		}
	}
	return report, end
}

// snapshot returns a copy of what is under way.
func (j *jobs) snapshot() []control.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []control.Job
	for _, job := range j.list {
		list = append(list, *job)
	}
	return list
}

// running reports whether a job of this name is under way.
func (j *jobs) running(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, job := range j.list {
		if job.Name == name {
			return true
		}
	}
	return false
}
