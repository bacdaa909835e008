package daemon_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// filterSome lets five of the flows of mixture pass: those of passingSome.
const filterSome = `accept-protocol = ["tcp", "udp", "ipv6-icmp"]
ignore-address = ["10.1.0.7", "10.2.0.8/31", "fd02::5", "fd09::/16"]
`

// split returns the flows of mixture that filterSome lets pass, and the others: two by their protocol, the others by
// source, destination and both families.
func split() (pass, ignored []flow.Flow) {
	m := mixture()
	for i, f := range m {
		if slices.Contains([]int{2, 4, 6, 7, 8, 10}, i) { // icmp, udp6, snat, dnat, both, ping
			ignored = append(ignored, f)
		} else {
			pass = append(pass, f)
		}
	}
	return pass, ignored
}

// originals names flows by their original tuples, sorted.
func originals(flows []flow.Flow) []string {
	var names []string
	for i := range flows {
		names = append(names, flowText(&flows[i]))
	}
	slices.Sort(names)
	return names
}

func flowText(f *flow.Flow) string {
	return fmt.Sprintf("%v %v > %v", f.Orig.Proto, f.Orig.Source(), f.Orig.Destination())
}

// holds waits until a table of r has exactly these flows.
func (r *router) holds(table control.Table, want []flow.Flow) {
	r.t.Helper()
	client := r.client()
	var got []string
	nstest.Eventually(r.t, 30*time.Second, func() bool {
		got = nil
		err := client.Flows(context.Background(), control.FlowQuery{Table: table}, func(e control.Entry) error {
			f, err := e.Flow()
			got = append(got, flowText(&f))
			return err
		})
		if err != nil {
			r.t.Fatal(err)
		}
		slices.Sort(got)
		return slices.Equal(got, originals(want))
	}, func() string {
		return fmt.Sprintf("%s cache of %s (-want +got)\n%s", table, r.name, cmp.Diff(originals(want), got))
	})
}

// settled waits until b has acknowledged everything that a has to announce.
func settled(a *router) {
	a.t.Helper()
	a.eventually(20*time.Second, "has nothing to send", func() bool {
		s := a.statistics().Session
		return s.Waiting == 0 && s.Unacknowledged == 0
	})
}

// TestFilterPair: flows that do not pass appear nowhere at the peer, however the others get there.
func TestFilterPair(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.useLabels() // conntrack sees the sync channel itself
		r.start(options{extra: filterSome})
	}
	pass, ignored := split()
	a.kern.SetLiberal(false) // see what a purge must not do
	all := mixture()
	for i := range all {
		if all[i].Orig.Proto == flow.TCP {
			all[i].TCPWScale, all[i].Has = [2]uint8{7, 7}, all[i].Has|flow.HasTCPWScale
		}
	}
	a.create(all)
	both := func(what string) {
		t.Helper()
		t.Log(what)
		settled(a)
		a.holds(control.TableInternal, pass)
		b.holds(control.TableExternal, pass)
	}
	both("events")
	for _, command := range [][]string{{"resync"}, {"bulk"}, {"reset", "internal-cache"}} {
		a.ctsync(command...)
		both(strings.Join(command, " "))
	}
	b.ctsync("reset", "external-cache")
	both("request")
	created := a.statistics().Internal.Created
	a.delete(ignored)
	a.eventually(10*time.Second, "reads the ends of flows that do not pass", func() bool { return a.statistics().Kernel.Filtered >= uint64(len(ignored)) })
	a.create(ignored)
	a.delete(pass[:1])
	b.holds(control.TableExternal, pass[1:])
	a.create(all[:1]) // the first that passes
	a.eventually(10*time.Second, "has the last event", func() bool { return a.statistics().Internal.Created > created })
	both("events again")
	s := a.statistics()
	if s.Kernel.FilterInKernel != "whole" || s.Kernel.Evicted != 0 {
		t.Errorf("%+v", s.Kernel)
	}
	if got := s.Session.Sent["destroy"]; got != 1 {
		t.Errorf("%d ends were sent, want 1", got)
	}

	outcomes(t, b.takeover(), control.CommitResult{Created: uint64(len(pass))})
	if got := b.kernelFlows(isOurs); len(got) != len(pass) {
		t.Errorf("%d flows after the takeover, want %d", len(got), len(pass))
	}

	a.holds(control.TableExternal, pass) // b serves them now
	a.ctsync("purge")
	left := a.kernelFlows(isOurs)
	for _, f := range pass {
		if got := left[f.Orig].Timeout; got > 10 {
			t.Errorf("%s: timeout %d after a purge", flowText(&f), got)
		}
		if flags := left[f.Orig].TCPFlags; (flags[0]|flags[1])&flow.TCPFlagBeLiberal != 0 {
			t.Errorf("%s: TCP flags %x after a purge: windows are not checked any more", flowText(&f), flags)
		}
	}
	for _, f := range ignored {
		if got := left[f.Orig].Timeout; got < 500 {
			t.Errorf("%s does not pass: timeout %d after a purge", flowText(&f), got)
		}
	}
}

// TestFilterOfTheReceiver: what the peer sends is shown and not committed.
func TestFilterOfTheReceiver(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{extra: filterSome})
	a.start(options{})
	pass, ignored := split()
	a.create(mixture())
	b.holds(control.TableExternal, mixture())
	outcomes(t, b.takeover(), control.CommitResult{Created: uint64(len(pass)), Filtered: uint64(len(ignored))})
	got := b.kernelFlows(isOurs)
	for _, f := range pass {
		if _, ok := got[f.Orig]; !ok {
			t.Errorf("%s is not committed", flowText(&f))
		}
	}
	if len(got) != len(pass) || b.statistics().Commit.Filtered != uint64(len(ignored)) {
		t.Errorf("%d flows committed, statistics %+v", len(got), b.statistics().Commit)
	}
	b.holds(control.TableInternal, pass)
	b.holds(control.TableExternal, nil)
}

// TestFilterChanges changes the filter of running daemons: what does not pass any more leaves the cache and the peer by
// its end, what passes again comes back, and the others are not touched.
func TestFilterChanges(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	pass, ignored := split()
	a.create(mixture())
	b.holds(control.TableExternal, mixture())
	settled(a)
	n, before := uint64(len(ignored)), a.statistics()
	if before.Kernel.FilterInKernel != "whole" {
		t.Errorf("filter in the kernel: %s", before.Kernel.FilterInKernel)
	}

	a.writeConfig(options{extra: filterSome})
	a.holds(control.TableInternal, pass)
	b.holds(control.TableExternal, pass)
	settled(a)
	s := a.statistics()
	if s.Kernel.Evicted != n || s.Internal.Destroyed != before.Internal.Destroyed+n ||
		s.Internal.Created != before.Internal.Created {
		t.Errorf("narrower: %+v, %+v, before %+v", s.Kernel, s.Internal, before.Internal)
	}
	if got := s.Session.Sent["destroy"] - before.Session.Sent["destroy"]; got != n {
		t.Errorf("%d ends were sent, want %d", got, n)
	}
	if got := a.kernelFlows(isOurs); len(got) != len(mixture()) {
		t.Errorf("the kernel has %d flows", len(got))
	}
	a.delete(ignored[:1])
	a.ctsync("resync")
	a.holds(control.TableInternal, pass)

	a.writeConfig(options{})
	still := append(slices.Clone(pass), ignored[1:]...)
	a.holds(control.TableInternal, still)
	b.holds(control.TableExternal, still)
	settled(a)
	s = a.statistics()
	if s.Internal.Created != before.Internal.Created+n-1 || s.Session.Sent["destroy"] != before.Session.Sent["destroy"]+n {
		t.Errorf("wider: %+v, sent %v", s.Internal, s.Session.Sent)
	}
	a.create(ignored[:1]) // the kernel has the wider filter as well
	b.holds(control.TableExternal, mixture())
	if restart := a.status().NeedRestart; len(restart) != 0 {
		t.Errorf("a restart is asked for: %v", restart)
	}

	// The peer still knows of what a flush hid.
	a.ctsync("flush", "internal")
	a.writeConfig(options{extra: filterSome})
	a.holds(control.TableInternal, pass)
	b.holds(control.TableExternal, pass)
	a.clean()
	b.clean()
}

// TestFilterFollowsOwnAddresses gives the router addresses that flows have, and takes them away.
func TestFilterFollowsOwnAddresses(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{})
	all := mixture()
	a.ns.Run(t, "ip", "addr", "add", "10.1.0.2/32", "dev", "sync0")
	a.start(options{extra: "ignore-address = [\"own\"]\n"})
	a.create(all)
	without := func(gone ...int) (left []flow.Flow) {
		for i, f := range all {
			if !slices.Contains(gone, i) {
				left = append(left, f)
			}
		}
		return left
	}
	b.holds(control.TableExternal, without(1))
	a.ns.Run(t, "ip", "addr", "add", "10.2.0.7/24", "dev", "lo")
	b.holds(control.TableExternal, without(1, 6))
	a.ns.Run(t, "ip", "addr", "add", "fd02::4/128", "dev", "lo", "nodad")
	b.holds(control.TableExternal, without(1, 6, 3))
	a.ns.Run(t, "ip", "addr", "del", "10.1.0.2/32", "dev", "sync0")
	b.holds(control.TableExternal, without(6, 3))
	a.ns.Run(t, "ip", "addr", "del", "10.2.0.7/24", "dev", "lo")
	a.ns.Run(t, "ip", "addr", "del", "fd02::4/128", "dev", "lo")
	b.holds(control.TableExternal, all)
	a.delete(all[1:2]) // the kernel follows as well: an event brings it back
	b.holds(control.TableExternal, without(1))
	a.create(all[1:2])
	b.holds(control.TableExternal, all)
	a.writeConfig(options{})
	a.eventually(10*time.Second, "takes up the change", func() bool {
		return strings.Contains(a.log.since(), "key=ignore-address was=own")
	})
	a.ns.Run(t, "ip", "addr", "add", "10.1.0.2/32", "dev", "sync0")
	a.ctsync("resync")
	settled(a)
	b.holds(control.TableExternal, all)
}
