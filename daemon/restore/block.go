package restore

import (
	"golang.org/x/sys/unix"

	"ctsync/daemon/cache"
	"ctsync/daemon/control"
	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/lifetime"
)

// path is what is tried first with a flow. The wrong one costs another request and nothing else.
type path uint8

const (
	create path = iota // the kernel does not have it
	update             // it has it, as far as we know
	meet               // it has it from packets: what stands there is looked at before anything is changed
)

// outcome is what came of a flow.
type outcome uint8

const (
	unknown   outcome = iota // nothing yet
	met                      // something stands in its place, which must be looked at
	created                  // the kernel has it, and did not before
	updated                  // the kernel had it, and has what the peer knows of it
	replaced                 // the kernel has it, in place of another one
	postponed                // its master is not in the kernel yet
	alive                    // refused: its place is taken by a connection of this router
	lost                     // refused by the kernel; errno says why
)

// restored reports whether the kernel has the flow.
func (o outcome) restored() bool { return o == created || o == updated || o == replaced }

// item is what is known of one flow of a block.
type item struct {
	ref     cache.Ref // of the external cache
	path    path
	outcome outcome
	errno   unix.Errno // of lost

	helpless bool // it does without its helper, which this kernel does not have
}

// noRoom reports whether the kernel refused the flow for want of room, so that it may take it later.
func (it *item) noRoom() bool {
	return it.outcome == lost && (it.errno == unix.ENOMEM || it.errno == unix.ENOBUFS || it.errno == unix.EAGAIN)
}

// block is flows that go into the kernel together. It is reused.
type block struct {
	flows   []flow.Flow
	items   []item      // of each
	removed []flow.Flow // entries of the kernel that were deleted for them: their end raises no event here
	result  control.CommitResult
}

func newBlock() *block {
	return &block{flows: make([]flow.Flow, 0, blockSize), items: make([]item, 0, blockSize)}
}

// reset empties the block.
func (b *block) reset() {
	b.flows, b.items, b.removed, b.result = b.flows[:0], b.items[:0], b.removed[:0], control.CommitResult{}
}

func (b *block) add(f *flow.Flow, ref cache.Ref, p path) {
	b.flows, b.items = append(b.flows, *f), append(b.items, item{ref: ref, path: p})
}

// asked is what the kernel is asked about some flows of a block, and what it answers.
type asked struct {
	flows []flow.Flow
	at    []int        // index in the block of each
	found []flow.Flow  // what stands in the kernel, where that was looked up; Has is 0 for nothing
	errs  []unix.Errno // the kernel's answers
}

// scratch is the memory of asked values, reused by one place at a time.
type scratch struct {
	flows, found []flow.Flow
	at           []int
	errs         []unix.Errno
}

func newScratch() scratch {
	return scratch{
		flows: make([]flow.Flow, 0, blockSize), found: make([]flow.Flow, blockSize),
		at: make([]int, 0, blockSize), errs: make([]unix.Errno, blockSize),
	}
}

// ask selects flows of a block. The result is valid until the next ask of the same scratch.
func (s *scratch) ask(b *block, wanted func(i int) bool) asked {
	q := asked{flows: s.flows[:0], at: s.at[:0]}
	for i := range b.flows {
		if wanted(i) {
			q.add(b, i)
		}
	}
	q.found, q.errs = s.found[:len(q.at)], s.errs[:len(q.at)]
	return q
}

func (q *asked) add(b *block, i int) { q.flows, q.at = append(q.flows, b.flows[i]), append(q.at, i) }

// prepare makes what the peer announced of a flow at updated what the kernel is to get.
func prepare(c *core.Core, f *flow.Flow, updated, now int64) {
	lifetime.Restore(f, updated, now)
	if !c.Config.RestoreLabels {
		f.Has &^= flow.HasLabels
	}
}
