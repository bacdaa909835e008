package daemon_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// injecting is the configuration of a router that puts the peer's flows straight into its kernel.
var injecting = options{extra: "disable-external-cache = true\n"}

// injected returns the counters of the injection.
func (r *router) injected() control.InjectStatistics {
	r.t.Helper()
	s := r.statistics()
	if s.Inject == nil {
		r.t.Fatal("no statistics of the injection")
	}
	return *s.Inject
}

// kernelHas waits until r's kernel has n flows of the tests', and the daemon has offered it everything.
func (r *router) kernelHas(n int) map[flow.Tuple]flow.Flow {
	r.t.Helper()
	got := 0
	r.eventually(20*time.Second, fmt.Sprintf("has %d flows in its kernel", n), func() bool {
		got = len(r.kernelFlows(isOurs))
		return got == n && (!r.status().Injecting || r.injected().Waiting == 0)
	})
	return r.kernelFlows(isOurs)
}

// TestInject follows 1000 flows of all kinds from their begin to their end: begin, change and end of each arrive in the
// other kernel as they are, and nothing comes back.
func TestInject(t *testing.T) {
	const n = 1000
	a, b := newPair(t)
	for _, r := range []*router{a, b} {
		r.useLabels()
		r.start(injecting)
	}
	flows := manyKinds(n)
	a.create(flows)
	restored(t, a.kernelFlows(isOurs), b.kernelHas(n))

	changed := flows[:n/2]
	for i := range changed {
		changed[i].Mark, changed[i].Has = uint32(i+1), changed[i].Has|flow.HasMark
		changed[i].Timeout += 100
		if changed[i].Has.Is(flow.HasTCPState) {
			changed[i].TCPState = flow.TCPCloseWait
		}
	}
	before := b.kernelFlows(isOurs)
	a.update(changed)
	b.eventually(20*time.Second, "has the marks", func() bool {
		got := b.kernelFlows(isOurs)
		for i := range changed {
			if got[changed[i].Orig].Mark != changed[i].Mark {
				return false
			}
		}
		return true
	})
	after := b.kernelFlows(isOurs)
	restored(t, a.kernelFlows(isOurs), after)
	for k, f := range before {
		if after[k].ID != f.ID {
			t.Errorf("%v > %v was not changed in place", k.Source(), k.Destination())
		}
	}

	b.ctsync("resync")
	if s := b.statistics(); s.Internal.Active != 0 || s.External != (control.CacheStats{}) {
		t.Errorf("b takes the flows for its own: internal %+v, external %+v", s.Internal, s.External)
	}
	if i := a.injected(); i.Flows != 0 || i.Created != 0 {
		t.Errorf("b sent flows back: %+v", i)
	}

	a.delete(flows[:n/4])
	b.kernelHas(n - n/4)
	i := b.injected()
	if i.Created != n || i.Updated == 0 || i.Destroyed != n/4 || i.CreateFailed+i.UpdateFailed+i.DestroyFailed != 0 ||
		i.Replaced != 0 {
		t.Errorf("counters: %+v", i)
	}
	for _, r := range []*router{a, b} {
		r.eventually(10*time.Second, "is in step", func() bool { return r.status().InStep })
		r.clean()
	}
}

// TestInjectWords checks what the commands about the external cache say where there is none.
func TestInjectWords(t *testing.T) {
	t.Parallel()
	const n = 50
	a, b := newPair(t)
	b.start(injecting)
	a.start(options{})
	a.create(testFlows(n))
	b.eventually(20*time.Second, "has the flows", func() bool {
		i := b.injected()
		return i.Created == n && i.Waiting == 0
	})
	for _, test := range []struct{ command, want string }{
		{"commit", "nothing to commit with disable-external-cache: 50 flows of the peer are in the kernel and none waits"},
		{"flush external", "nothing to flush: there is no external cache with disable-external-cache, the kernel keeps the peer's flows"},
		{"flush", "internal cache flushed"},
		{"reset external-cache", "there is no external cache with disable-external-cache; the peer has been asked for its internal cache"},
		{"purge", "nothing to purge with disable-external-cache"},
		{"show status", "no external cache: 50 flows of the peer go straight into the kernel"},
		{"show statistics", "external inject:\nconnections created:\t\t          50\tfailed:\t           0\n"},
	} {
		if out := b.ctsync(strings.Fields(test.command)...); !strings.Contains(out, test.want) {
			t.Errorf("ctsync %s says %q, want %q", test.command, out, test.want)
		}
	}
	for _, command := range []string{
		"cache external main", "cache external expect", "cache external --group-by source", "diff external",
	} {
		out, code := b.tryCtsync(append([]string{"show"}, strings.Fields(command)...)...)
		if code != 1 || !strings.Contains(out, "there is no external cache with disable-external-cache: the peer's flows are in the kernel, see ctsync show table") {
			t.Errorf("show %s: exit status %d: %s", command, code, out)
		}
	}
	if list, counts := b.differences("internal"); len(list) != 0 || counts.Filtered != n {
		t.Errorf("%d differences, %+v: what the peer put here is none", len(list), counts)
	}
	if got := len(b.kernelFlows(isTestFlow)); got != n {
		t.Errorf("%d flows are left of %d", got, n)
	}
}

// TestInjectInterop injects from a real conntrackd, and has one inject (DisableExternalCache) from ctsyncd.
func TestInjectInterop(t *testing.T) {
	for _, sender := range []string{"ctsyncd", "conntrackd"} {
		t.Run(sender+" sends", func(t *testing.T) {
			t.Parallel()
			a, b := newPair(t)
			receiver, o := "conntrackd", options{noCache: true}
			if sender == "conntrackd" {
				receiver, o = "ctsyncd", injecting
			}
			b.startAs(receiver, o)
			a.startAs(sender, options{})
			flows := mixture()
			a.create(flows)
			present := func(n int) map[flow.Tuple]flow.Flow {
				nstest.Eventually(t, 20*time.Second, func() bool { return len(b.kernelFlows(isOurs)) == n }, func() string {
					return fmt.Sprintf("b has %d flows: %v", n, tuples(b.kernelFlows(isOurs)))
				})
				return b.kernelFlows(isOurs)
			}
			present(len(flows))
			flows[0].Mark, flows[0].Has = 5, flows[0].Has|flow.HasMark
			flows[3].TCPState = flow.TCPFinWait
			flows[9].Mark, flows[9].Has = 6, flows[9].Has|flow.HasMark
			a.update(flows)
			nstest.Eventually(t, 20*time.Second, func() bool {
				got := b.kernelFlows(isOurs)
				return got[flows[0].Orig].Mark == 5 && got[flows[9].Orig].Mark == 6 &&
					got[flows[3].Orig].TCPState == flow.TCPFinWait
			}, func() string { return "b has the changes" })
			restored(t, asConntrackdSends(a.kernelFlows(isOurs)), present(len(flows)))
			a.delete(flows)
			present(0)
			a.clean()
			b.clean()
		})
	}
}

// TestInjectFilter injects what the filter lets pass, and the rest when it does.
func TestInjectFilter(t *testing.T) {
	t.Parallel()
	o := injecting
	o.extra += "ignore-address = [\"10.1.0.1\"]\n"
	b, peer := pairWithScripted(t, o)
	ignored, passes := kind(plainTCP, 7700), kind(plainUDP, 7701)
	peer.announce(b, []flow.Flow{ignored, passes})
	got := b.kernelHas(1)
	if _, ok := got[passes.Orig]; !ok || b.injected().Filtered == 0 {
		t.Errorf("kernel %v, %+v", tuples(got), b.injected())
	}
	b.writeConfig(injecting)
	b.kernelHas(2)
	b.eventually(10*time.Second, "is in step", func() bool { return b.status().InStep })
	if got := b.injected(); got.CreateFailed != 0 {
		t.Errorf("%+v", got)
	}
}
