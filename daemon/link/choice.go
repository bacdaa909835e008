package link

import (
	"fmt"
	"time"
)

// ReviewInterval is how often Set.Review is to be called.
const ReviewInterval = int64(500 * time.Millisecond)

// Times of the choice of the link that sends. A peer that is well says something every second.
const (
	linkSilence  = int64(4 * time.Second)  // of the peer, after which another link is tried
	linkDeaf     = int64(5 * time.Second)  // for which the peer gave no answer, after which another link is tried
	linkTryMost  = int64(64 * time.Second) // the longest time between two such tries
	linkSettled  = int64(10 * time.Second) // without a change, after which the tries start over with short intervals
	followHold   = int64(time.Second)      // after a change the peer is not followed for so long
	followJitter = int64(time.Second)      // and up to so much longer, drawn by lot
)

// choice decides which of the dedicated links sends: the active one. All of them receive. It knows no socket and no
// clock; each method returns why the active link changed, "" if it did not.
//
//   - The first link is active at the start, and nothing ever leads back to it for its own sake.
//   - A link that is not usable is left at once for the first that is.
//   - The peer is followed: a router cannot see that what it sends gets lost behind a switch, but the other one can,
//     and moves. conntrackd does the same.
//   - When the peer says nothing, or does not react to what we say, the next usable link is tried, in growing
//     intervals: a link that is up may be dead, but a peer may be dead too.
//
// Two routers that follow each other at the same moment would swap their links for ever. So after any change the peer
// is not followed for a while whose length is drawn by lot: of two that have swapped, one stays and the other comes.
type choice struct {
	links   []candidate // in the order of the configuration
	active  int
	since   int64         // when active was chosen
	hold    int64         // until when the peer is not followed
	heard   int64         // when the peer last said something new, by whatever link
	silence int64         // how long it may say nothing from here on
	deaf    int64         // how long it may give no answer from here on
	deafAt  int64         // since when it gives none; 0 = it does
	tries   int           // of other links in vain, since the peer was last well
	trying  bool          // the last change was such a try
	lot     func() uint32 // random
}

// candidate is a link as far as the choice is concerned.
type candidate struct {
	name   string
	usable bool // open, UP and RUNNING
	known  bool // usable means something: opening it was tried
}

func newChoice(now int64, lot func() uint32) choice {
	return choice{since: now, heard: now, hold: now, silence: linkSilence, deaf: linkDeaf, lot: lot}
}

// set says whether link i is usable, and if not, why.
func (c *choice) set(i int, usable bool, why string, now int64) string {
	c.links[i].usable, c.links[i].known = usable, true
	a := &c.links[c.active]
	if a.usable || !a.known {
		return ""
	}
	next := c.usableFrom(0)
	if next < 0 {
		return ""
	}
	if i != c.active {
		why = a.name + " is not usable, this one has become so"
	}
	return c.move(next, why, now)
}

// usableFrom returns the first usable link from i on, in a circle, or -1.
func (c *choice) usableFrom(i int) int {
	for n := range c.links {
		if k := (i + n) % len(c.links); c.links[k].usable {
			return k
		}
	}
	return -1
}

func (c *choice) move(to int, why string, now int64) string {
	c.active, c.since, c.trying = to, now, false
	c.hold = now + followHold + int64(c.lot())%followJitter
	return why
}

// heardOn says that the peer said something new by link i.
func (c *choice) heardOn(i int, now int64) string {
	c.heard = now
	if i == c.active && now-c.since >= linkSettled {
		c.silence = linkSilence
		if c.deafAt == 0 {
			c.tries = 0
		}
	}
	if i == c.active || !c.links[i].usable || now < c.hold {
		return ""
	}
	return c.move(i, "the peer speaks on this link", now)
}

// tick is called every ReviewInterval. deaf says that the peer, which is heard, shows no sign of hearing us.
func (c *choice) tick(deaf bool, now int64) string {
	switch {
	case !deaf:
		c.deafAt = 0
		if now-c.since >= linkSettled {
			c.deaf = linkDeaf
		}
	case c.deafAt == 0:
		c.deafAt = now
	}
	if !c.links[c.active].usable {
		return ""
	}
	next := c.usableFrom(c.active + 1)
	switch {
	case next == c.active:
	case now-max(c.heard, c.since) >= c.silence:
		c.silence = min(2*c.silence, linkTryMost)
		return c.try(next, fmt.Sprintf("the peer has been silent for %v, another link is tried", time.Duration(now-c.heard).Round(time.Second)), now)
	case deaf && now-max(c.deafAt, c.since) >= c.deaf:
		c.deaf = min(2*c.deaf, linkTryMost)
		return c.try(next, "the peer is heard but does not answer, another link is tried", now)
	}
	return ""
}

func (c *choice) try(to int, why string, now int64) string {
	c.move(to, why, now)
	c.tries++
	c.trying = true
	return why
}

// worthSaying reports whether the last change shall be logged. Tries may go on for days, while the other router is
// away.
func (c *choice) worthSaying() bool { return !c.trying || c.tries&(c.tries-1) == 0 }

// relist takes over another list of links. from holds for each the index that it had, -1 for a new one.
func (c *choice) relist(names []string, from []int, now int64) string {
	old, active := c.links, -1
	c.links = make([]candidate, len(names))
	for i, name := range names {
		c.links[i].name = name
		if from[i] >= 0 {
			c.links[i] = old[from[i]]
			if from[i] == c.active {
				active = i
			}
		}
	}
	if active >= 0 {
		c.active = active
		return ""
	}
	return c.move(max(c.usableFrom(0), 0), "the link before was removed from the configuration", now)
}
