package main

import (
	"fmt"
	"io"
	"sync"
)

// spoolLimit bounds what is held for a slow output, in bytes: some two million flows. Beyond it the daemon has to wait,
// and it breaks off the list after a minute.
const spoolLimit = 256 << 20

// spoolChunk is how much is read and written at once, in bytes.
const spoolChunk = 64 << 10

// spool copies r to w and returns the number of bytes written. It reads ahead of w, so that the daemon is done with a
// list that waits in a pager here.
func spool(w io.Writer, r io.Reader) (int64, error) {
	q := &spoolQueue{}
	q.changed.L = &q.mu
	go q.fill(r)
	var n int64
	for {
		b, err := q.take()
		if b == nil {
			return n, err
		}
		m, err := w.Write(b)
		n += int64(m)
		if err != nil {
			q.stop()
			return n, fmt.Errorf("write output: %w", err)
		}
	}
}

// spoolQueue holds what has been read and not yet written.
type spoolQueue struct {
	mu      sync.Mutex
	changed sync.Cond
	chunks  [][]byte
	size    int
	ended   bool
	err     error // why reading has failed, nil at the end of the list
}

// fill reads r to its end.
func (q *spoolQueue) fill(r io.Reader) {
	for {
		b := make([]byte, spoolChunk)
		n, err := io.ReadFull(r, b)
		if err == io.ErrUnexpectedEOF { // the last chunk; the error of a list that broke off only wraps this one
			err = io.EOF
		}
		if !q.put(b[:n], err) {
			return
		}
	}
}

// put adds a chunk and reports whether to read on.
func (q *spoolQueue) put(b []byte, err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.size > spoolLimit && !q.ended {
		q.changed.Wait()
	}
	if q.ended {
		return false
	}
	if len(b) > 0 {
		q.chunks = append(q.chunks, b)
		q.size += len(b)
	}
	if err != nil {
		q.ended = true
		if err != io.EOF {
			q.err = err
		}
	}
	q.changed.Signal()
	return !q.ended
}

// take waits for a chunk. nil means the end.
func (q *spoolQueue) take() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 && !q.ended {
		q.changed.Wait()
	}
	if len(q.chunks) == 0 {
		return nil, q.err
	}
	b := q.chunks[0]
	q.chunks = q.chunks[1:]
	q.size -= len(b)
	q.changed.Signal()
	return b, nil
}

// stop ends the reading, because writing has failed.
func (q *spoolQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended, q.chunks = true, nil
	q.changed.Signal()
}
