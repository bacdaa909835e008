// Package job lists the long work under way, for those who look.
package job

import (
	"slices"
	"sync"
	"time"

	"ctsync/daemon/control"
)

// List is the work under way. The zero value is an empty list, ready for use by any goroutine.
type List struct {
	mu   sync.Mutex
	jobs []*control.Job
}

// Start enters a job under a name that readers know. It returns the function that reports the job's progress, which
// also calls progress (may be nil), and the one that ends the job.
func (l *List) Start(name string, progress func(done, total int)) (report func(done, total int), end func()) {
	j := &control.Job{Name: name, Started: time.Now()}
	l.mu.Lock()
	l.jobs = append(l.jobs, j)
	l.mu.Unlock()
	report = func(done, total int) {
		l.mu.Lock()
		j.Done, j.Total = uint64(done), uint64(total)
		l.mu.Unlock()
		if progress != nil {
			progress(done, total)
		}
	}
	end = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.jobs = slices.DeleteFunc(l.jobs, func(x *control.Job) bool { return x == j })
	}
	return report, end
}

// Snapshot returns a copy of the list, oldest first; nil when nothing is under way.
func (l *List) Snapshot() []control.Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []control.Job
	for _, j := range l.jobs {
		list = append(list, *j)
	}
	return list
}
