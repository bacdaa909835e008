package coretest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// Kernel is a kernel.Table that is a map: it knows tuples, masters and timers, and fails as often as Fail says.
type Kernel struct {
	Flows    map[flow.Tuple]flow.Flow
	Set      map[flow.Tuple]int64 // when its timer was set
	Fail     int                  // requests to come that end in ErrBroken
	Requests int
	Full     func() bool // while it returns true nothing is created, for want of room; nil = never

	Stuck map[flow.Tuple]bool // entries that it does not delete

	Helpers   map[string]bool // that it has
	Modprobes int             // times that it looked for another one

	mu  sync.Mutex
	now func() int64
}

// NewKernel returns an empty kernel on a clock in nanoseconds.
func NewKernel(now func() int64) *Kernel {
	return &Kernel{now: now, Flows: map[flow.Tuple]flow.Flow{}, Set: map[flow.Tuple]int64{}}
}

// Put makes f an entry.
func (k *Kernel) Put(f flow.Flow) { k.Flows[f.Orig], k.Set[f.Orig] = f, k.now() }

// ErrBroken is what a request fails with.
var ErrBroken = errors.New("broken socket")

func (k *Kernel) request(errs []unix.Errno, do func(i int) unix.Errno) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Requests++; k.Fail > 0 {
		k.Fail--
		return ErrBroken
	}
	for i := range errs {
		errs[i] = do(i)
	}
	return nil
}

// Do runs f while no request is in progress.
func (k *Kernel) Do(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// The rest is kernel.Table, as far as flows go.
func (k *Kernel) Create(flows []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(flows)], func(i int) unix.Errno {
		f := &flows[i]
		if _, ok := k.Flows[f.Orig]; ok {
			return unix.EEXIST
		}
		if k.Full != nil && k.Full() {
			return unix.ENOMEM
		}
		if f.Has.Is(flow.HasHelper) && !k.Helpers[flow.HelperName(&f.Helper)] {
			k.Modprobes++
			return unix.EOPNOTSUPP
		}
		if _, ok := k.Flows[f.Master]; f.Has.Is(flow.HasMaster) && !ok {
			return unix.ENOENT
		}
		k.Put(*f)
		return 0
	})
}

func (k *Kernel) Update(flows []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(flows)], func(i int) unix.Errno {
		have, ok := k.Flows[flows[i].Orig]
		if !ok {
			return unix.ENOENT
		}
		have.Merge(&flows[i])
		k.Put(have)
		return 0
	})
}

func (k *Kernel) Delete(keys []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(keys)], func(i int) unix.Errno {
		if _, ok := k.Flows[keys[i].Orig]; !ok {
			return unix.ENOENT
		}
		if k.Stuck[keys[i].Orig] {
			return unix.EPERM
		}
		delete(k.Flows, keys[i].Orig)
		return 0
	})
}

func (k *Kernel) GetBatch(keys, out []flow.Flow, errs []unix.Errno) error {
	return k.request(errs[:len(keys)], func(i int) unix.Errno {
		have, ok := k.Flows[keys[i].Orig]
		if !ok {
			out[i] = flow.Flow{}
			return unix.ENOENT
		}
		have.Timeout -= min(have.Timeout, uint32((k.now()-k.Set[have.Orig])/int64(time.Second)))
		out[i] = have
		return 0
	})
}

func (k *Kernel) Get(*flow.Tuple, flow.Direction, *flow.Flow) error         { return unix.ENOENT }
func (k *Kernel) SetLiberal(bool)                                           {}
func (k *Kernel) Close() error                                              { return nil }
func (k *Kernel) CreateExpectations([]flow.Expectation, []unix.Errno) error { return nil }
func (k *Kernel) UpdateExpectations([]flow.Expectation, []unix.Errno) error { return nil }
func (k *Kernel) DeleteExpectations([]flow.Expectation, []unix.Errno) error { return nil }
func (k *Kernel) GetExpectation(*flow.Tuple, *flow.Expectation) error       { return unix.ENOENT }
func (k *Kernel) DumpExpectations(flow.Family, func(*flow.Expectation) error) (bool, error) {
	return false, nil
}

// Dump passes the entries in the order of their tuples.
func (k *Kernel) Dump(family flow.Family, fn func(*flow.Flow) error) (bool, error) {
	var list []flow.Flow
	k.Do(func() {
		for _, f := range k.Flows {
			if family == 0 || f.Orig.Family == family {
				list = append(list, f)
			}
		}
	})
	slices.SortFunc(list, func(a, b flow.Flow) int { return a.Orig.Compare(&b.Orig) })
	for i := range list {
		if err := fn(&list[i]); err != nil {
			return false, err
		}
	}
	return false, nil
}
