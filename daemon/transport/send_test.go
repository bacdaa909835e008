package transport

import (
	"testing"

	"golang.org/x/sys/unix"
)

// ends turns sizes into the ends that Send takes, from start on.
func ends(start int, sizes ...int) []int {
	var out []int
	for _, n := range sizes {
		start += n
		out = append(out, start)
	}
	return out
}

func TestRun(t *testing.T) {
	many := func(n, size int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = size
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		start int
		sizes []int
		want  int
	}{
		{"one", 0, []int{100}, 1},
		{"equal", 0, []int{100, 100, 100}, 3},
		{"equal, further on", 500, []int{100, 100, 100}, 3},
		{"last shorter", 0, []int{100, 100, 60}, 3},
		{"nothing after a shorter one", 0, []int{100, 60, 60, 60}, 2},
		{"longer one begins a new run", 0, []int{60, 100}, 1},
		{"empty ones go alone", 0, []int{0, 0}, 1},
		{"empty one ends a run", 0, []int{100, 100, 0}, 2},
		{"no more than the kernel takes", 0, many(100, 100), maxSegments},
		{"no more than a packet holds", 0, many(64, 1468), 44}, // 44 * 1468 = 64592
		{"jumbo", 0, many(64, 8968), 7},
		{"larger than the MTU", 0, []int{9001, 9001}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := run(ends(tt.start, tt.sizes...), tt.start, 9000); got != tt.want {
				t.Errorf("run of %d, want %d", got, tt.want)
			}
		})
	}
}

func TestLostKinds(t *testing.T) {
	var c sendCounts
	for _, errno := range []unix.Errno{
		unix.EAGAIN, unix.ENOBUFS, unix.EPERM, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ECONNREFUSED, unix.EMSGSIZE,
		unix.EIO,
	} {
		c.lost(errno, 10)
	}
	got := [5]uint64{c.queueFull.Load(), c.unreachable.Load(), c.blocked.Load(), c.tooLong.Load(), c.other.Load()}
	if want := [5]uint64{20, 40, 10, 10, 10}; got != want {
		t.Errorf("queue full, unreachable, blocked, too long, other: %v, want %v", got, want)
	}
}
