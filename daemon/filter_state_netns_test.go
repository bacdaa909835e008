package daemon_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// flood is n half-open connections.
func flood(n int) []flow.Flow {
	flows := testFlows(n)
	for i := range flows {
		f := &flows[i]
		f.Reply = f.Orig.Inverse()
		f.Status, f.TCPState = flow.StatusConfirmed, flow.TCPSynSent
		if i%2 == 1 { // the server has answered
			f.Status, f.TCPState = f.Status|flow.StatusSeenReply, flow.TCPSynRecv
		}
	}
	return flows
}

// TestFilterFlood: half-open connections are neither replicated nor committed if the operator says so, whichever router
// says so. Those that become established are then sent whole.
func TestFilterFlood(t *testing.T) {
	t.Parallel()
	const n = 2000
	for _, extra := range []string{
		"accept-status = [\"assured\"]\n",
		"accept-state = [\"ESTABLISHED\", \"CLOSED\", \"TIME_WAIT\", \"CLOSE_WAIT\"]\n",
	} {
		t.Run(extra[:13], func(t *testing.T) {
			t.Parallel()
			a, b := newPair(t)
			for _, r := range []*router{a, b} {
				r.useLabels()
				r.start(options{extra: extra})
			}
			pass, attack := mixture(), flood(n)
			a.create(attack)
			a.create(pass)
			settled(a)
			b.holds(control.TableExternal, pass)
			if k := a.statistics().Kernel; k.FilterInKernel != "whole" || k.Filtered >= n {
				t.Errorf("the kernel did not filter: %+v", k)
			}
			for _, command := range [][]string{{"resync"}, {"bulk"}} {
				a.ctsync(command...)
				settled(a)
				a.holds(control.TableInternal, pass)
				b.holds(control.TableExternal, pass)
			}

			open := slices.Clone(attack[1:4:4])
			for i := range open {
				open[i].Has |= flow.HasLabels
				open[i].Labels[0] = 4
			}
			a.update(open)
			for i := range open {
				open[i].TCPState = flow.TCPEstablished
				open[i].Status |= flow.StatusSeenReply | flow.StatusAssured
			}
			a.update(open)
			whole := append(slices.Clone(pass), open...)
			b.holds(control.TableExternal, whole)
			b.eventually(10*time.Second, "has the labels", func() bool {
				return lines(b.ctsync("show", "cache", "external", "--filter", "label:2")) == len(open)
			})
			outcomes(t, b.takeover(), control.CommitResult{Created: uint64(len(whole))})
			if got := len(b.kernelFlows(isTestFlow)); got != len(open) {
				t.Errorf("%d connections of the attack are in the kernel of b, want %d", got, len(open))
			}
			a.delete(attack)
			a.holds(control.TableInternal, pass)
		})
	}
}

// TestFilterFloodOfThePeer: what a peer sends that does not filter is not committed.
func TestFilterFloodOfThePeer(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{extra: "accept-status = [\"assured\"]\n"})
	a.start(options{})
	pass, attack := mixture(), flood(200)
	a.create(append(slices.Clone(pass), attack...))
	b.holds(control.TableExternal, append(slices.Clone(pass), attack...))
	outcomes(t, b.takeover(), control.CommitResult{Created: uint64(len(pass)), Filtered: uint64(len(attack))})
	if list, counts := b.differences("internal"); len(list) != 0 {
		t.Errorf("the cache differs from the kernel: %+v", counts)
	}
}

// TestFilterStatesLive: a filter by state comes and goes while the daemon runs. A connection that leaves the states
// that pass stays at the peer as it was, and ends there with its end.
func TestFilterStatesLive(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	flows := testFlows(6)
	flows[5].TCPState = flow.TCPFinWait
	a.create(flows)
	b.holds(control.TableExternal, flows)
	a.writeConfig(options{extra: "ignore-state = [\"FIN_WAIT\", \"LAST_ACK\"]\n"})
	b.holds(control.TableExternal, flows[:5]) // the last is withdrawn
	closing := flows[0]
	closing.TCPState = flow.TCPFinWait
	a.update([]flow.Flow{closing})
	a.ctsync("resync")
	settled(a)
	b.holds(control.TableExternal, flows[:5])
	if got := b.ctsync("show", "cache", "external", "--filter", "state:fin-wait"); lines(got) != 0 {
		t.Errorf("the peer was told of a state that does not pass:\n%s", got)
	}
	if list, counts := a.differences("internal"); len(list) != 0 {
		t.Errorf("the cache differs from the kernel: %+v", counts)
	}
	a.delete([]flow.Flow{closing})
	b.holds(control.TableExternal, flows[1:5])
	a.writeConfig(options{})
	b.holds(control.TableExternal, flows[1:])
}

// TestRouterProtocols: what a router says for itself is not replicated unless asked for, and has a name.
func TestRouterProtocols(t *testing.T) {
	t.Parallel()
	a, b := newPair(t)
	b.start(options{})
	a.start(options{})
	var own []flow.Flow
	for i, p := range []flow.Proto{flow.VRRP, flow.IGMP} {
		f := kind(plainUDP, 0)
		f.Orig.Proto, f.Orig.SrcPort, f.Orig.DstPort = p, 0, 0
		f.Orig.Src[3] = byte(100 + i)
		f.Reply, f.Has = f.Orig.Inverse(), f.Has&^flow.HasMark
		own = append(own, f)
	}
	all := append(mixture(), own...)
	a.create(all)
	b.holds(control.TableExternal, mixture())
	a.writeConfig(options{extra: "ignore-protocol = [\"IGMP\"]\n"})
	b.holds(control.TableExternal, append(mixture(), own[0]))
	for _, args := range [][]string{{"cache", "external"}, {"cache", "external", "--xml"}} {
		if out := b.ctsync(append([]string{"show"}, args...)...); !strings.Contains(out, "vrrp") {
			t.Errorf("no vrrp in\n%s", out)
		}
	}
	if out := a.ctsync("show", "table"); !strings.Contains(out, "vrrp [112]") {
		t.Errorf("no vrrp in\n%s", out)
	}
	if got := b.ctsync("show", "cache", "external", "--filter", "proto:vrrp"); lines(got) != 1 {
		t.Errorf("proto:vrrp shows\n%s", got)
	}
	a.writeConfig(options{extra: "accept-protocol = [\"VRRP\", 2]\n"})
	b.holds(control.TableExternal, own)
}

// lines is how many lines of an output are a flow.
func lines(out string) (n int) {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "src=") {
			n++
		}
	}
	return n
}
