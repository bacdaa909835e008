// Package kernel lends the kernel's table to one user at a time, and reads the sysctls that bound it.
package kernel

import (
	"context"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// Table is what the daemon asks of ctnetlink. *ctnetlink.Conn is the real one and documents the methods; tests have a
// map. One goroutine at a time uses it. Each errs is as long as its list and gets what came of each item, 0 for
// success.
type Table interface {
	Dump(family flow.Family, fn func(*flow.Flow) error) (interrupted bool, err error)
	DumpExpectations(family flow.Family, fn func(*flow.Expectation) error) (interrupted bool, err error)
	CreateExpectations(list []flow.Expectation, errs []unix.Errno) error
	UpdateExpectations(list []flow.Expectation, errs []unix.Errno) error
	DeleteExpectations(list []flow.Expectation, errs []unix.Errno) error
	GetExpectation(key *flow.Tuple, e *flow.Expectation) error
	Create(flows []flow.Flow, errs []unix.Errno) error
	Update(flows []flow.Flow, errs []unix.Errno) error
	Delete(keys []flow.Flow, errs []unix.Errno) error
	Get(key *flow.Tuple, dir flow.Direction, f *flow.Flow) error
	GetBatch(keys []flow.Flow, out []flow.Flow, errs []unix.Errno) error
	SetLiberal(on bool) // whether Create and Update make TCP flows be-liberal
	Close() error
}

// Turn lends a table to one user at a time.
type Turn chan Table

// NewTurn returns a turn that nobody has yet.
func NewTurn(k Table) Turn {
	t := make(Turn, 1)
	t <- k
	return t
}

// With takes the table, calls use and gives the table back. The error is ctx's while others have it, else that of use.
func (t Turn) With(ctx context.Context, use func(Table) error) error {
	select {
	case k := <-t:
		defer func() { t <- k }()
		return use(k)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits until nobody uses the table and closes it. Nobody gets it afterwards.
func (t Turn) Close() error { return (<-t).Close() }
