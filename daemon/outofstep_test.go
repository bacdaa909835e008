package daemon_test

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// The cases in which conntrackd stays out of step permanently. Here both routers run ctsync, and each case must end
// well.

// inStep waits until b's external cache and a's internal cache hold exactly a's kernel flows.
func inStep(t *testing.T, a, b *router, within time.Duration) {
	t.Helper()
	var kernel, internal, external int
	nstest.Eventually(t, within, func() bool {
		sa, sb := a.statistics(), b.statistics()
		kernel = len(a.kernelFlows(isTestFlow))
		internal, external = int(sa.Internal.Active), int(sb.External.Active)
		return internal == kernel && external == kernel && sa.Session.Waiting == 0 && sa.Session.Unacknowledged == 0
	}, func() string {
		return fmt.Sprintf("in step: kernel %d, internal %d, external %d", kernel, internal, external)
	})
	want := slices.Sorted(maps.Keys(tuples(a.kernelFlows(isTestFlow))))
	if got := b.cached("external"); len(got) != len(want) {
		t.Errorf("external cache has %d flows, the kernel of the other router %d", len(got), len(want))
	}
}

func tuples(m map[flow.Tuple]flow.Flow) map[string]bool {
	s := make(map[string]bool, len(m))
	for k := range m {
		s[fmt.Sprint(k.Source(), k.Destination())] = true
	}
	return s
}

// delete ends flows in r's kernel.
func (r *router) delete(flows []flow.Flow) {
	r.t.Helper()
	errs := make([]unix.Errno, len(flows))
	if err := r.kern.Delete(flows, errs); err != nil {
		r.t.Fatal(err)
	}
	for i, e := range errs {
		if e != 0 {
			r.t.Fatalf("delete flow %d: %v", i, e)
		}
	}
}

func TestLinkCutUnderChange(t *testing.T) {
	const n = 100000
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	flows := testFlows(n)
	a.create(flows)
	inStep(t, a, b, 60*time.Second)

	a.ns.Run(t, "ip", "link", "set", "sync0", "down")
	began := time.Now()
	a.delete(flows[:n/2]) // ends, changes and births while the link is down
	for i := range flows[n/2:] {
		flows[n/2+i].Mark, flows[n/2+i].Has = 7, flows[n/2+i].Has|flow.HasMark
	}
	errs := make([]unix.Errno, n/2)
	if err := a.kern.Update(flows[n/2:], errs); err != nil {
		t.Fatal(err)
	}
	fresh := make([]flow.Flow, n/2)
	for i := range fresh {
		fresh[i] = testFlow(n + i)
	}
	a.create(fresh)
	time.Sleep(time.Until(began.Add(10 * time.Second)))
	a.ns.Run(t, "ip", "link", "set", "sync0", "up")
	inStep(t, a, b, 60*time.Second)
}

func TestDaemonKilledWhileTableEmpties(t *testing.T) {
	const n = 20000
	a, b := newPair(t)
	a.start(options{})
	b.start(options{})
	a.create(testFlows(n))
	inStep(t, a, b, 60*time.Second)
	a.stop(syscall.SIGKILL)
	a.flushKernel()
	a.start(options{})
	inStep(t, a, b, 60*time.Second)
	if s := b.statistics(); s.Kernel.Swept == 0 && s.External.Destroyed < n {
		t.Errorf("%d swept, %d destroyed, want %d gone", s.Kernel.Swept, s.External.Destroyed, n)
	}
}

func TestFlowsOlderThanTheDaemon(t *testing.T) {
	const n = 5000
	a, b := newPair(t)
	a.ns.Sysctl(t, "net.netfilter.nf_conntrack_events", "2")
	flows := testFlows(n)
	a.create(flows) // nobody listens: their end will raise no event
	a.start(options{extra: "sweep-interval = \"2s\"\n"})
	b.start(options{})
	inStep(t, a, b, 60*time.Second)
	a.delete(flows)
	inStep(t, a, b, 90*time.Second)
}

func TestKernelWithoutEvents(t *testing.T) {
	const n = 5000
	a, b := newPair(t)
	a.ns.Sysctl(t, "net.netfilter.nf_conntrack_events", "0")
	a.start(options{})
	b.start(options{})
	if w := a.status().Warnings; len(w) == 0 {
		t.Error("nothing is said about nf_conntrack_events = 0")
	}
	flows := testFlows(n)
	a.create(flows)
	inStep(t, a, b, 60*time.Second)
	a.delete(flows[:n/2])
	inStep(t, a, b, 60*time.Second)
}
