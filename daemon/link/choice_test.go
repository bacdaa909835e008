package link

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const sec = int64(time.Second)

// choiceOf makes a choice among n links that are all usable from second 0 on. Its lots are all 0.
func choiceOf(n int) *choice {
	c := newChoice(0, func() uint32 { return 0 })
	var names []string
	var from []int
	for i := range n {
		names, from = append(names, fmt.Sprintf("l%d", i)), append(from, -1)
	}
	c.relist(names, from, 0)
	for i := range n {
		c.set(i, true, "", 0)
	}
	return &c
}

func TestChoice(t *testing.T) {
	type step struct {
		at   int64 // seconds
		do   string
		want int
	}
	down := func(i int) string { return fmt.Sprintf("down %d", i) }
	up := func(i int) string { return fmt.Sprintf("up %d", i) }
	hear := func(i int) string { return fmt.Sprintf("hear %d", i) }
	for _, tt := range []struct {
		name  string
		links int
		steps []step
	}{
		{"one link", 1, []step{{1, down(0), 0}, {2, up(0), 0}, {3, hear(0), 0}, {100, "tick", 0}}},
		{"down, and no fail-back", 3, []step{{2, down(0), 1}, {3, up(0), 1}, {4, down(1), 0}, {5, down(0), 2}}},
		{"the first that is usable, not the next", 3, []step{{2, down(1), 0}, {3, down(0), 2}, {4, up(0), 2}, {4, up(1), 2}, {5, down(2), 0}}},
		{"none is left", 2, []step{{2, down(0), 1}, {3, down(1), 1}, {4, "tick", 1}, {5, up(0), 0}, {6, up(1), 0}}},
		{"the peer is followed", 3, []step{{2, hear(0), 0}, {3, hear(2), 2}, {6, hear(1), 1}}},
		{"not at once after a change", 2, []step{{2, hear(1), 1}, {2, hear(0), 1}, {3, hear(0), 0}}},
		{"nor to a link that is down", 2, []step{{2, down(1), 0}, {3, hear(1), 0}, {4, up(1), 0}, {5, hear(1), 1}}},
		{"but off one that is down", 2, []step{{2, down(0), 1}, {2, up(0), 1}, {2, hear(0), 1}, {2, down(1), 0}}},
		{"silence", 3, []step{{2, hear(0), 0}, {5, "tick", 0}, {6, "tick", 1}, {13, "tick", 1}, {14, "tick", 2}, {29, "tick", 2}, {30, "tick", 0}}},
		{"silence ends", 2, []step{{2, hear(0), 0}, {6, "tick", 1}, {7, hear(1), 1}, {14, "tick", 1}, {15, "tick", 0}}},
		{"silence ends for long", 2, []step{{2, hear(0), 0}, {6, "tick", 1}, {7, hear(1), 1}, {16, hear(1), 1}, {19, "tick", 1}, {20, "tick", 0}}},
		{"silence with nowhere to go", 2, []step{{2, down(1), 0}, {60, "tick", 0}, {61, up(1), 0}, {61, "tick", 1}}},
		{"no answer", 2, []step{{1, hear(0), 0}, {2, "deaf", 0}, {5, hear(0), 0}, {6, "deaf", 0}, {7, "deaf", 1}, {15, hear(1), 1}, {16, "deaf", 1}, {17, "deaf", 0}}},
		{"an answer after all", 2, []step{{1, hear(0), 0}, {2, "deaf", 0}, {4, hear(0), 0}, {4, "tick", 0}, {6, hear(0), 0}, {6, "deaf", 0}, {9, hear(0), 0}, {10, "deaf", 0}, {11, "deaf", 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := choiceOf(tt.links)
			for _, s := range tt.steps {
				before, why := c.active, ""
				var i int
				verb, _, _ := strings.Cut(s.do, " ")
				fmt.Sscanf(s.do, verb+" %d", &i)
				switch verb {
				case "down":
					why = c.set(i, false, "cut", s.at*sec)
				case "up":
					why = c.set(i, true, "", s.at*sec)
				case "hear":
					why = c.heardOn(i, s.at*sec)
				default:
					why = c.tick(verb == "deaf", s.at*sec)
				}
				if c.active != s.want {
					t.Fatalf("after %q at %d s: link %d, want %d", s.do, s.at, c.active, s.want)
				}
				if (why != "") != (c.active != before) {
					t.Errorf("%q at %d s: from %d to %d, reason %q", s.do, s.at, before, c.active, why)
				}
			}
		})
	}
}

// TestChoiceIsNotNoisy: a peer that is away for a day is a handful of lines in the log, and the next change is said
// again.
func TestChoiceIsNotNoisy(t *testing.T) {
	c := choiceOf(2)
	said, changes := 0, 0
	for now := int64(0); now < 24*3600*sec; now += ReviewInterval {
		if c.tick(false, now) != "" {
			changes++
			if c.worthSaying() {
				said++
			}
		}
	}
	if changes < 1000 || said > 12 {
		t.Errorf("%d of %d changes are said", said, changes)
	}
	if c.set(c.active, false, "cut", 24*3600*sec); !c.worthSaying() {
		t.Error("a failure afterwards is not said")
	}
	day := 25 * 3600 * sec
	c.heardOn(c.active, day)
	c.set(0, true, "", day)
	c.set(1, true, "", day)
	if c.tick(false, day+linkTryMost) == "" || !c.worthSaying() {
		t.Error("the first try after the peer was back is not said")
	}
}

// TestChoiceAtStart: a link that happens to be open sooner does not get ahead of the first of the file.
func TestChoiceAtStart(t *testing.T) {
	for _, first := range []bool{true, false} {
		c := newChoice(0, func() uint32 { return 0 })
		c.relist([]string{"a", "b"}, []int{-1, -1}, 0)
		if why := c.set(1, true, "", 0); why != "" || c.active != 0 {
			t.Errorf("the second link is taken before the first was tried: %q", why)
		}
		c.set(0, first, "no interface", 0)
		if want := map[bool]int{true: 0, false: 1}[first]; c.active != want {
			t.Errorf("first usable %v: link %d, want %d", first, c.active, want)
		}
	}
}

func TestChoiceRelist(t *testing.T) {
	for _, tt := range []struct {
		name   string
		names  []string
		from   []int
		want   int
		reason bool
	}{
		{"another order", []string{"l1", "l0"}, []int{1, 0}, 0, false},
		{"one before it", []string{"new", "l0", "l1"}, []int{-1, 0, 1}, 2, false},
		{"others removed", []string{"l1"}, []int{1}, 0, false},
		{"removed", []string{"new", "l0"}, []int{-1, 0}, 1, true},
		{"all replaced", []string{"new", "newer"}, []int{-1, -1}, 0, true},
	} {
		c := choiceOf(2)
		c.heardOn(1, 5*sec) // active from now on
		why := c.relist(tt.names, tt.from, 6*sec)
		if c.active != tt.want || (why != "") != tt.reason {
			t.Errorf("%s: link %d for %q, want %d", tt.name, c.active, why, tt.want)
		}
		for i, l := range c.links {
			if l.name != tt.names[i] || l.usable != (tt.from[i] >= 0) {
				t.Errorf("%s: link %d is %+v", tt.name, i, l)
			}
		}
	}
}

// chooser is one end of TestChoicesMeet: ours, or a model of conntrackd's.
type chooser struct {
	choice
	conntrackd bool
	talks      int64 // between two messages
	next       int64
	changes    int
	last       int64 // when it last changed
}

func (c *chooser) set(i int, usable bool, now int64) {
	if !c.conntrackd {
		c.count(c.choice.set(i, usable, "cut", now), now)
		return
	}
	c.links[i].usable = usable
	if !c.links[c.active].usable {
		if k := c.usableFrom(0); k >= 0 {
			c.count(c.move(k, "down", now), now)
		}
	}
}

func (c *chooser) hear(i int, now int64) {
	if !c.conntrackd {
		c.count(c.heardOn(i, now), now)
	} else if c.heard = now; i != c.active {
		c.count(c.move(i, "heard", now), now)
	}
}

func (c *chooser) count(why string, now int64) {
	if why != "" {
		c.changes++
		c.last = now
	}
}

// TestChoicesMeet plays two ends with two to four links between them, some of which break in one direction or both,
// with or without the ends seeing it, and mend again. Whenever a link works in both directions long enough, each end
// must hear the other, both by the same link, and then no end may change any more. Which end is quicker, how often each
// speaks and how long a datagram takes is drawn by lot.
func TestChoicesMeet(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 7))
		if err := playChoices(r, seed%3 == 0); err != "" {
			t.Fatalf("seed %d: %s", seed, err)
		}
	}
}

// world is what lies between the two ends: which links work in which direction.
type world struct {
	r     *rand.Rand
	ends  [2]*chooser
	works [][2]bool // of each link, from each end
	fly   []struct {
		at       int64
		to, link int
	}
}

func playChoices(r *rand.Rand, conntrackd bool) string {
	n := 2 + r.IntN(3)
	w := world{r: r, works: make([][2]bool, n)}
	for i := range w.ends {
		w.ends[i] = &chooser{choice: *choiceOf(n), talks: []int64{sec, sec / 10, sec / 100}[r.IntN(3)]}
		w.ends[i].lot = r.Uint32
		w.ends[i].active = r.IntN(n) // the order of the file may differ
	}
	w.ends[1].conntrackd = conntrackd
	for i := range w.works {
		w.works[i] = [2]bool{true, true}
	}
	now := int64(0)
	for range 4 {
		w.disturb(now)
		w.play(&now, int64(n+1)*linkTryMost) // at worst the intervals between two tries have grown to the longest
		if !slices.ContainsFunc(w.works, func(v [2]bool) bool { return v[0] && v[1] }) {
			continue
		}
		a, b := w.ends[0], w.ends[1]
		if a.active != b.active {
			return fmt.Sprintf("the ends are on links %d and %d, of %v", a.active, b.active, w.works)
		}
		if v := w.works[a.active]; !v[0] && !v[1] || !conntrackd && !(v[0] && v[1]) {
			return fmt.Sprintf("both ends are on link %d, of %v", a.active, w.works)
		}
		if quiet := now - max(a.last, b.last); quiet < sec*10 {
			return fmt.Sprintf("still changing: %d and %d changes, links %v, conntrackd %v, at %d %d, of %v", a.changes, b.changes, w.works, conntrackd, a.last/sec, b.last/sec, now/sec)
		}
	}
	// Where no link works in both directions they go on trying, but not fast.
	if n := int64(w.ends[0].changes + w.ends[1].changes); n > now/(4*sec) {
		return fmt.Sprintf("%d and %d changes", w.ends[0].changes, w.ends[1].changes)
	}
	return ""
}

// disturb breaks or mends each link with some chance.
func (w *world) disturb(now int64) {
	for i := range w.works {
		v, seen := [2]bool{true, true}, w.r.IntN(2) == 0
		switch w.r.IntN(4) {
		case 0:
			v = [2]bool{}
		case 1:
			v[w.r.IntN(2)] = false
			seen = false
		}
		w.works[i] = v
		for _, e := range w.ends {
			e.set(i, v[0] && v[1] || !seen, now)
		}
	}
}

func (w *world) play(now *int64, span int64) {
	latency := w.r.Int64N(sec / 100)
	for end, tick := *now+span, *now; *now < end; {
		*now = min(tick, w.ends[0].next, w.ends[1].next)
		for _, f := range w.fly {
			*now = min(*now, max(f.at, 0))
		}
		w.fly = slices.DeleteFunc(w.fly, func(f struct {
			at       int64
			to, link int
		}) bool {
			if f.at <= *now {
				w.ends[f.to].hear(f.link, *now)
			}
			return f.at <= *now
		})
		for i, e := range w.ends {
			if e.next > *now {
				continue
			}
			e.next = *now + e.talks/2 + w.r.Int64N(e.talks)
			if w.works[e.active][i] && e.links[e.active].usable {
				w.fly = append(w.fly, struct {
					at       int64
					to, link int
				}{*now + latency, 1 - i, e.active})
			}
		}
		if tick <= *now {
			tick = *now + ReviewInterval
			for i, e := range w.ends {
				if deaf := !w.works[e.active][i] && *now-e.heard < linkSilence; !e.conntrackd {
					e.count(e.tick(deaf, *now), *now)
				}
			}
		}
	}
}
