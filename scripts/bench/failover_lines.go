package main

import "fmt"

// failoverLines adds the lines of a failover with n flows. What is not measured with n flows has no line.
func failoverLines(add adder, n int) {
	id, title := fmt.Sprintf("failover/%d/", n), fmt.Sprintf("%d flows: ", n)
	var memory, start want
	if n >= 100_000 { // below, pages and buffers need more memory than flows
		memory.ratio = 0.27
	}
	if n == 500_000 {
		start.ratio = 0.4
	}
	add(memory, "bytes", fmt.Sprintf("memory/%d/internal", n), title+"memory per flow, internal cache")
	add(memory, "bytes", fmt.Sprintf("memory/%d/external", n), title+"memory per flow, external cache")
	add(start, "s", id+"start/wall", title+"start")
	add(start, "µs", id+"start/cpu", title+"start, CPU per flow")
	add(want{}, "µs", id+"start/bare", title+"a bare reader of the same, CPU per flow")
	if n == 500_000 {
		transferLines(add, id, title)
	}
	if n > 1_000_000 {
		return
	}
	commitLines(add, id+"commit/", title+"commit", n)
	if n == 100_000 {
		add(want{}, "s", id+"again/wall", title+"commit again")
		add(want{ratio: 0.3}, "µs", id+"again/cpu", title+"commit again, CPU per flow")
		add(want{none: true}, "flows", id+"again/"+missing, title+"commit again, missing or different")
	}
	if n == 500_000 {
		add(want{ratio: 0.35}, "s", id+"takeover/wall", title+"whole takeover, until the peer has them")
		add(want{ratio: 0.35}, "µs", id+"takeover/cpu", title+"whole takeover, CPU per flow")
		add(want{none: true}, "flows", id+"takeover/"+missing, title+"whole takeover, missing or different")
		add(want{}, "µs", id+"takeover/verify", title+"comparison with the kernel 10 s later, CPU per flow")
		add(want{none: true}, "flows", id+"takeover/peer", title+"whole takeover, missing or different at the peer")
	}
}

func transferLines(add adder, id, title string) {
	for _, what := range []struct{ name, title string }{{"bulk", "bulk update"}, {"request", "request resync"}} {
		at, title := id+what.name+"/", title+what.title
		add(want{ratio: 0.4}, "s", at+"wall", title)
		add(want{ratio: 0.4}, "µs", at+"cpu", title+", CPU per flow, both")
		add(want{none: true}, "flows", at+missing, title+", missing or different")
	}
}

func commitLines(add adder, id, title string, n int) {
	var bare want
	if n >= 100_000 { // for fewer flows the bare writer's clock is too coarse
		bare.most = 1.25
	}
	add(want{}, "s", id+"wall", title)
	add(want{ratio: 0.6}, "µs", id+"cpu", title+", CPU per flow")
	add(want{}, "µs", id+"bare", title+", a bare writer of the same, CPU per flow")
	add(bare, "times", id+"cpu_to_bare", title+", CPU to the bare writer's")
	add(bare, "times", id+"wall_to_bare", title+", time to the bare writer's")
	add(want{none: true}, "flows", id+missing, title+", missing or different")
}

// largeLines adds the lines that only a million flows have.
func largeLines(add adder) {
	const id, title = "large/", "1000000 flows: "
	add(want{most: 20}, "ms", id+"silence", title+"commit, longest silence of the control socket")
	add(want{most: 20}, "ms", id+"pause", title+"commit, longest wait of an event")
	add(want{none: true}, "events", id+"lost", title+"commit, own events lost")
	add(want{}, "s", id+"show/wall", title+"show table")
	add(want{}, "s", id+"show/cpu", title+"show table, CPU with the daemon's")
	add(want{most: 0.2}, "% of a core", id+"idle/cpu", title+"idle, CPU")
	add(want{}, "per s", id+"idle/wakeups", title+"idle, wake-ups")
}
