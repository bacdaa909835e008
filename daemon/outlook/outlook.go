// Package outlook says what an operator should know before it hurts: a silent peer, tables that fill up, and what a
// takeover could restore but not make work here.
//
// It looks every few seconds. What it finds stands in the status as long as it lasts, and is logged once.
package outlook

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"ctsync/daemon/core"
	"ctsync/daemon/flow"
	"ctsync/daemon/loop"
	"ctsync/daemon/rtnetlink"
)

// Outlook looks ahead. Its fields are set once; its methods may be called from any goroutine.
type Outlook struct {
	Loop    *loop.Inbox[*core.Core]
	Log     *slog.Logger
	Virtual func() (list []netip.Addr, known bool) // addresses that come with MASTER
	Master  func() bool                            // they are here
	Table   func() (entries, limit int)            // of the kernel's table
	Hooked  func(flow.Family) (bool, error)        // see kernel.Hooked

	seen atomic.Pointer[sight]
}

// sight is what a look found.
type sight struct {
	findings []finding
	foreign  uint64 // flows of the peer that are translated to an address of another router
	unhooked string // why the kernel does not track, "" if it does or nobody knows
}

// finding is one thing that an operator should know.
type finding struct {
	what string // in a few words that stay the same, for the log
	text string // for the status, with numbers and what to do
	of   string // tells findings with the same what apart
}

const (
	pulse    = time.Second     // how often the peer's silence is looked at
	interval = 5 * time.Second // the least time between two looks
	rest     = 200             // one that took d is followed by at least rest*d without one
)

// Run looks until ctx ends.
func (o *Outlook) Run(ctx context.Context) error {
	ticker := time.NewTicker(pulse)
	defer ticker.Stop()
	var p peerWatch
	next := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := o.Loop.Do(ctx, func(c *core.Core) { p.hear(c, o.Log) }); err != nil {
			return err
		}
		if began := time.Now(); !began.Before(next) {
			if err := o.look(ctx); err != nil && ctx.Err() == nil {
				o.Log.Error("looking ahead failed, trying again", "err", err)
			}
			next = time.Now().Add(max(interval, rest*time.Since(began)))
		}
	}
}

// Warnings returns what was found, for the status.
func (o *Outlook) Warnings() (list []string) {
	if s := o.seen.Load(); s != nil {
		for _, f := range s.findings {
			list = append(list, f.text)
		}
	}
	return list
}

// Foreign returns how many flows of the peer are translated to an address of another router.
func (o *Outlook) Foreign() uint64 {
	if s := o.seen.Load(); s != nil {
		return s.foreign
	}
	return 0
}

// Unhooked says why the kernel ignores what is restored, "" if it does not or nobody knows.
func (o *Outlook) Unhooked() string {
	if s := o.seen.Load(); s != nil {
		return s.unhooked
	}
	return ""
}

// Home reads for which addresses this router answers, as MASTER: virtual addresses that are not here yet count. Where
// they are not known and this router is not MASTER, it is in no network: nothing can be said then.
func (o *Outlook) Home() (flow.Home, error) {
	own, networks, err := rtnetlink.Answered()
	if err != nil {
		return flow.Home{}, err
	}
	virtual, known := o.Virtual()
	if !known && !o.Master() {
		return flow.Home{}, nil
	}
	for _, a := range virtual {
		own = append(own, netip.PrefixFrom(a, a.BitLen()))
	}
	in := make([]flow.Network, len(networks))
	for i, n := range networks {
		in[i] = flow.Network(n)
	}
	return flow.NewHome(own, in), nil
}

// settle makes s what is seen, and logs what is new in it and what has ended.
func (o *Outlook) settle(s *sight) {
	before := o.seen.Swap(s)
	if before == nil {
		before = &sight{}
	}
	for _, f := range missing(s.findings, before.findings) {
		o.Log.Warn(f.what, "warning", f.text)
	}
	for _, f := range missing(before.findings, s.findings) {
		o.Log.Info("no longer: "+f.what, "was", f.text)
	}
}

// missing returns the findings of a list that another one lacks.
func missing(list, from []finding) (left []finding) {
	for _, f := range list {
		lacks := true
		for _, g := range from {
			lacks = lacks && (f.what != g.what || f.of != g.of)
		}
		if lacks {
			left = append(left, f)
		}
	}
	return left
}

// peerWatch logs when the peer falls silent and when it is back.
type peerWatch struct {
	silentSince int64 // when it was last heard, while it is silent; 0 = it is heard
}

// silence is how long a peer that was heard must say nothing. Protocol v1 says something every second.
const silence = int64(5 * time.Second)

func (p *peerWatch) hear(c *core.Core, log *slog.Logger) {
	now, heard := c.Now(), c.PeerHeard()
	switch {
	case heard == 0:
	case p.silentSince == 0 && now-heard >= silence:
		p.silentSince = heard
		log.Warn("the peer fell silent: see whether it runs, and whether the dedicated link carries its datagrams",
			"peer", c.Links.Peer().Addr)
	case p.silentSince != 0 && now-heard < silence:
		log.Info("the peer is back", "peer", c.Links.Peer().Addr,
			"silent", time.Duration(heard-p.silentSince).Round(time.Second))
		p.silentSince = 0
	}
}
