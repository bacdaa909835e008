package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
	"ctsync/daemon/expr"
	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// entries runs a command that prints a flow per line as JSON.
func (r *router) entries(args ...string) (list []control.Entry) {
	r.t.Helper()
	for line := range strings.Lines(r.ctsync(append(args, "--json")...)) {
		var e control.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			r.t.Fatalf("%v: %v: %s", args, err, line)
		}
		list = append(list, e)
	}
	return list
}

// names returns the flows of a list as words, in their order.
func names(list []control.Entry) (words []string) {
	for _, e := range list {
		f, err := e.Flow()
		if err != nil {
			panic(err)
		}
		words = append(words, nameOf(&f))
	}
	return words
}

func nameOf(f *flow.Flow) string {
	return fmt.Sprint(f.Orig.Proto, f.Orig.Source(), f.Orig.Destination(), f.Orig.SrcPort)
}

// The kernel's table and the internal cache of one router answer the same questions as the flows themselves do.
func TestQueriesOfTheKernelsTable(t *testing.T) {
	t.Parallel()
	a, _ := newPair(t)
	a.ns.Sysctl(t, "net.netfilter.nf_conntrack_acct", "1")
	a.start(options{})
	flows := mixture()
	a.create(flows)
	a.eventually(10*time.Second, "has the flows", func() bool {
		return a.statistics().Internal.Active == uint64(len(flows))
	})
	kernel := a.kernelFlows(isOurs)
	for _, filter := range []string{
		"proto:tcp", "nat:yes", "!nat:yes family:ipv6", "dport:53,80 or icmp", "src:10.1.0.0/29", "mark:0x10", "80",
		"fd01::4", "state:established timeout>9m", "nothing",
	} {
		e, err := expr.Parse(filter)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, f := range kernel {
			if e.Match(&f, flow.Ages{}) {
				want = append(want, nameOf(&f))
			}
		}
		slices.Sort(want)
		for _, args := range [][]string{
			{"show", "table", "--filter", filter + " (src:10.1.0.0/16 or src:fd01::/16)"},
			{"show", "cache", "internal", "--filter", filter},
		} {
			got := names(a.entries(args...))
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%v:\n got %v\nwant %v", args, got, want)
			}
		}
	}
	for _, table := range [][]string{{"show", "table"}, {"show", "cache", "internal"}} {
		var ports []int
		for _, e := range a.entries(append(table, "--sort", "-sport", "--limit", "4", "--filter", "sport:1000-1099")...) {
			ports = append(ports, int(*e.Orig.SrcPort))
		}
		if !slices.Equal(ports, []int{1010, 1009, 1008, 1007}) {
			t.Errorf("%v by source port: %v", table, ports)
		}
		var g control.Groups
		a.unmarshal(&g, append(table, "--group-by", "protocol", "--json", "--filter", "src:10.1.0.0/16,fd01::/16")...)
		want := []control.Group{{Key: "tcp", Count: control.Count{Flows: 5}}, {Key: "udp", Count: control.Count{Flows: 3}},
			{Key: "icmp", Count: control.Count{Flows: 2}}, {Key: "icmpv6", Count: control.Count{Flows: 1}}}
		if !slices.Equal(g.Groups, want) || g.Flows != uint64(len(flows)) {
			t.Errorf("%v by protocol: %+v", table, g)
		}
	}
	like := func(text string) []string { // without what passes between two dumps
		var lines []string
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 3 && strings.Contains(line, "src=") {
				lines = append(lines, strings.Join(slices.Concat(f[:2], f[3:]), " "))
			}
		}
		slices.Sort(lines)
		return lines
	}
	nstest.RequireCommand(t, "conntrack", "conntrack")
	theirs := like(a.ns.Run(t, "conntrack", "-L"))
	if ours := like(a.ctsync("show", "table", "--wide")); !slices.Equal(ours, theirs) {
		t.Errorf("conntrack -L:\n%s\nctsync:\n%s", strings.Join(theirs, "\n"), strings.Join(ours, "\n"))
	}
	out, err := a.ns.Exec(t.Context(), filepath.Join(binDir, "ctsync"), "--socket", a.socket(), "show", "table",
		"--filter", "age>1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nf_conntrack_timestamp") {
		t.Errorf("the kernel notes no times: %v: %s", err, out)
	}
}

// differences runs show diff.
func (r *router) differences(args ...string) (list []control.DifferenceJSON, counts control.DifferenceCounts) {
	r.t.Helper()
	for line := range strings.Lines(r.ctsync(append([]string{"show", "diff", "--json"}, args...)...)) {
		var d control.DifferenceJSON
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			r.t.Fatal(err)
		}
		if d.Counts != nil {
			return list, *d.Counts
		}
		list = append(list, d)
	}
	r.t.Fatal("no counts at the end of the differences")
	return nil, counts
}

// Flows that the kernel changes without an event are differences; those that change with one are not, however fast.
func TestDifferencesOfTheInternalCache(t *testing.T) {
	t.Parallel()
	const n = 3000
	a, _ := newPair(t)
	a.start(options{extra: "sweep-interval = \"1h\"\nignore-address = [\"10.2.0.99\"]\n"})
	flows := testFlows(n)
	a.create(flows)
	a.eventually(20*time.Second, "has the flows", func() bool { return a.statistics().Internal.Active >= n })
	ignored := testFlow(n)
	ignored.Orig.Dst[3] = 99
	ignored.Reply = ignored.Orig.Inverse()
	a.create([]flow.Flow{ignored})

	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- a.churn(flows[n/2:], stop) }()
	for range 3 {
		if list, counts := a.differences("internal"); len(list) != 0 || counts.Total() != 0 || counts.Filtered == 0 ||
			counts.Compared < n/2 {
			t.Errorf("while flows change: %+v, %+v", list, counts)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	a.ns.Sysctl(t, "net.netfilter.nf_conntrack_events", "0") // for flows made from now on
	quiet := make([]flow.Flow, 30)
	for i := range quiet {
		quiet[i] = testFlow(2*n + i)
	}
	a.create(quiet[:20])
	a.ctsync("resync")
	a.create(quiet[20:])      // 10 that only the kernel has
	a.delete(quiet[:5])       // 5 that only the cache has
	for i := 5; i < 12; i++ { // 7 that differ
		quiet[i].Mark, quiet[i].Has = 7, quiet[i].Has|flow.HasMark
	}
	if err := a.kern.Update(quiet[5:12], make([]unix.Errno, 7)); err != nil {
		t.Fatal(err)
	}
	list, counts := a.differences("internal")
	if f := counts.Found; len(list) != 22 || f[control.KernelOnly] != 10 || f[control.CacheOnly] != 5 ||
		f[control.Differs] != 7 || counts.Unsettled != 0 {
		t.Errorf("%d shown, %+v", len(list), counts)
	}
	for _, d := range list {
		if d.What == control.Differs && (!slices.Equal(d.Attributes, []string{"mark"}) || *d.Kernel.Mark != 7) ||
			d.What == control.KernelOnly && d.Cache != nil || d.What == control.CacheOnly && d.Kernel != nil {
			t.Errorf("%+v", d)
		}
	}
	if list, counts := a.differences("internal", "--filter", "mark:7", "--limit", "2"); len(list) != 2 ||
		counts.Total() != 7 {
		t.Errorf("filtered: %d shown, %+v", len(list), counts)
	}
	text := a.ctsync("show", "diff", "internal", "--filter", "mark:7")
	if !strings.Contains(text, " ESTABLISHED; mark 7 / 0\n") || !strings.Contains(text, "\n7 differences: 7 differs; ") {
		t.Errorf("%s", text)
	}
}

// churn ends, makes and changes flows until stop is closed.
func (r *router) churn(flows []flow.Flow, stop <-chan struct{}) error {
	errs := make([]unix.Errno, len(flows))
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		part := flows[i%10*len(flows)/10 : (i%10+1)*len(flows)/10]
		for j := range part {
			part[j].Mark, part[j].Has = uint32(i), part[j].Has|flow.HasMark
		}
		do := [...]func([]flow.Flow, []unix.Errno) error{r.kern.Update, r.kern.Delete, r.kern.Create}[i/10%3]
		if err := do(part, errs); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// translatedMixture is mixture as a kernel would report it.
func translatedMixture() []flow.Flow {
	flows := mixture()
	for i := range flows {
		f := &flows[i]
		f.Timeout = 3600
		if f.SNAT() {
			f.Status |= flow.StatusSrcNAT | flow.StatusSrcNATDone
		}
		if f.DNAT() {
			f.Status |= flow.StatusDstNAT | flow.StatusDstNATDone
		}
	}
	return flows
}

// What show diff external foretells, a commit does.
func TestDifferencesOfTheExternalCache(t *testing.T) {
	t.Parallel()
	b, peer := pairWithScripted(t, options{extra: "ignore-address = [\"10.2.0.3\"]\n"})
	flows := translatedMixture()
	syn := kind(0, 1100)
	syn.TCPState, syn.Timeout = flow.TCPSynSent, 1
	peer.announce(b, append(flows, syn))
	marked := flows[plainUDP]
	marked.Mark = 0x99
	b.create([]flow.Flow{flows[plainTCP], marked, bare(flows[snatTCP]), stranger(flows[dnatTCP])})
	b.eventually(20*time.Second, "foretells it", func() bool {
		_, counts := b.differences("external")
		return counts.Found[control.WouldExpire] == 1
	})
	list, counts := b.differences("external")
	want := map[string]uint64{
		control.WouldCreate: 6, control.WouldUpdate: 1, control.WouldReplace: 2, control.WouldExpire: 1,
	}
	if fmt.Sprint(counts.Found) != fmt.Sprint(want) || counts.Filtered != 1 || counts.Compared != 12 || len(list) != 10 {
		t.Errorf("%d shown, %+v, want %v", len(list), counts, want)
	}
	for _, d := range list {
		if d.What == control.WouldUpdate &&
			(!slices.Equal(d.Attributes, []string{"mark"}) || *d.Kernel.Mark != 0x99 || *d.Cache.Mark != 0x10) {
			t.Errorf("%+v", d)
		}
	}
	var r control.Result
	b.unmarshal(&r, "commit", "--json")
	if c := r.Commit; c.Created != want[control.WouldCreate] || c.Replaced != want[control.WouldReplace] ||
		c.Updated != 2 || c.Expired != 1 || c.Filtered != 1 || c.Failed != 0 {
		t.Errorf("commit: %+v", c)
	}
	if list, counts := b.differences("external"); counts.Total() != 1 || list[0].What != control.WouldExpire {
		t.Errorf("after the commit: %+v", list)
	}
}

// watched runs ctsync events and returns its lines as they come, and the process.
func (r *router) watched(args ...string) (lines chan control.EventJSON, interrupt func() error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	cmd := r.ns.Exec(ctx, filepath.Join(binDir, "ctsync"),
		append([]string{"--socket", r.socket(), "events", "--json"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	lines = make(chan control.EventJSON, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			var e control.EventJSON
			if json.Unmarshal(s.Bytes(), &e) == nil {
				lines <- e
			}
		}
	}()
	r.t.Cleanup(func() { cancel(); <-ended })
	return lines, func() error {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			return err
		}
		<-ended
		return cmd.Wait()
	}
}

// next returns the next event that says something.
func next(t *testing.T, lines chan control.EventJSON) control.EventJSON {
	t.Helper()
	select {
	case e := <-lines:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event comes")
		return control.EventJSON{}
	}
}

func TestEventsAreWatched(t *testing.T) {
	t.Parallel()
	a, peer := pairWithScripted(t, options{})
	own, ownEnd := a.watched("internal", "--filter", "dport:443 mark:5")
	theirs, theirEnd := a.watched("external", "--filter", "nat:yes")
	begun := 0
	a.eventually(20*time.Second, "is watched", func() bool {
		begun++
		f := testFlow(1000 + begun)
		f.Mark, f.Has = 5, f.Has|flow.HasMark
		a.create([]flow.Flow{f})
		peer.announce(a, translatedMixture())
		return len(own) > 0 && len(theirs) > 0
	})
	for *next(t, own).Orig.SrcPort != uint16(1024+1000+begun) {
	}

	f := testFlow(1)
	f.Mark, f.Has = 5, f.Has|flow.HasMark
	a.create([]flow.Flow{f, testFlow(2)})
	u := f
	u.TCPState, u.Has = flow.TCPFinWait, u.Has&^flow.HasMark // its event leaves the mark out
	if err := a.kern.Update([]flow.Flow{u}, make([]unix.Errno, 1)); err != nil {
		t.Fatal(err)
	}
	a.delete([]flow.Flow{f})
	var got []string
	for range 3 {
		e := next(t, own)
		got = append(got, fmt.Sprintf("%s %s %d %s mark %d", e.Table, e.Event, *e.Orig.SrcPort, e.State, *e.Mark))
	}
	want := []string{"internal new 1025 ESTABLISHED mark 5", "internal update 1025 FIN_WAIT mark 5",
		"internal destroy 1025 FIN_WAIT mark 5"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range 4 {
		if e := next(t, theirs); e.Table != control.TableExternal || e.Event != "new" {
			t.Errorf("%+v", e)
		}
	}
	for _, end := range []func() error{ownEnd, theirEnd} {
		if err := end(); err != nil {
			t.Errorf("ctsync events after an interrupt: %v", err)
		}
	}
}
