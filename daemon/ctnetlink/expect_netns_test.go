package ctnetlink

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// makeMasters makes the control connections of expectSamples, with the kernel's FTP helper.
func makeMasters(t *testing.T, c *Conn, zone uint16) {
	t.Helper()
	var fs []flow.Flow
	for _, s := range expectSamples() {
		f := helped(plain(s.e.Master), "ftp")
		f.Orig.Zone, f.Reply.Zone = zone, zone
		fs = append(fs, f)
	}
	errs := make([]unix.Errno, len(fs))
	if err := c.Create(fs, errs); err != nil {
		t.Fatal(err)
	}
	for i, e := range errs {
		if e == unix.EOPNOTSUPP {
			t.Skip("this kernel has no FTP helper (CONFIG_NF_CONNTRACK_FTP)")
		}
		if e != 0 && e != unix.EEXIST {
			t.Fatalf("master %d: %v", i, e)
		}
	}
}

func makeExpectations(t *testing.T, c *Conn) []flow.Expectation {
	t.Helper()
	makeMasters(t, c, 0)
	var list []flow.Expectation
	for _, s := range expectSamples() {
		list = append(list, s.e)
	}
	errs := make([]unix.Errno, len(list))
	if err := c.CreateExpectations(list, errs); err != nil {
		t.Fatal(err)
	}
	for i, e := range errs {
		if e != 0 {
			t.Errorf("%s: %v", expectSamples()[i].name, e)
		}
	}
	return list
}

func dumpExpectations(t *testing.T, c *Conn) map[flow.Tuple]flow.Expectation {
	t.Helper()
	m := map[flow.Tuple]flow.Expectation{}
	if _, err := c.DumpExpectations(0, func(e *flow.Expectation) error { m[e.Expect] = *e; return nil }); err != nil {
		t.Fatal(err)
	}
	return m
}

// settledExpect removes what differs from reading to reading.
func settledExpect(e flow.Expectation) flow.Expectation {
	e.Has &^= flow.HasID
	e.ID = 0
	return e
}

func sameExpect(want, got flow.Expectation) string {
	if got.Timeout <= want.Timeout && got.Timeout+60 >= want.Timeout {
		got.Timeout = want.Timeout
	}
	return cmp.Diff(settledExpect(want), settledExpect(got))
}

func TestExpectRoundTrip(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	list := makeExpectations(t, c)
	got := dumpExpectations(t, c)
	for i, want := range list {
		g := got[want.Expect]
		if diff := sameExpect(want, g); diff != "" || !g.Has.Is(flow.HasID) {
			t.Errorf("%s (-want +got)\n%s", expectSamples()[i].name, diff)
		}
		var one flow.Expectation
		if err := c.GetExpectation(&want.Expect, &one); err != nil {
			t.Errorf("%s: %v", expectSamples()[i].name, err)
		} else if diff := sameExpect(g, one); diff != "" {
			t.Errorf("%s: get (-dump +get)\n%s", expectSamples()[i].name, diff)
		}
	}
	if len(got) != len(list) {
		t.Errorf("%d expectations, want %d", len(got), len(list))
	}

	errs := make([]unix.Errno, len(list))
	for i := range list {
		list[i].Timeout = 1000
	}
	if err := c.UpdateExpectations(list, errs); err != nil {
		t.Fatal(err)
	}
	for _, want := range list {
		if g := dumpExpectations(t, c)[want.Expect]; g.Timeout > 1000 || g.Timeout < 900 {
			t.Errorf("timeout %d after it was set to 1000 (%v)", g.Timeout, errs)
		}
	}
	if err := c.CreateExpectations(list, errs); err != nil {
		t.Fatal(err)
	}
	for i, e := range errs {
		if e != unix.EEXIST {
			t.Errorf("%s again: %v", expectSamples()[i].name, e)
		}
	}
	other := got[list[0].Expect]
	other.ID++
	err := c.DeleteExpectations([]flow.Expectation{other, list[0], list[0]}, errs)
	if err != nil || errs[0] != unix.ENOENT || errs[1] != 0 || errs[2] != unix.ENOENT {
		t.Errorf("delete by another id, delete, delete again: %v, %v", errs[:3], err)
	}
	flushExpectations(t, c)
	if n := len(dumpExpectations(t, c)); n != 0 {
		t.Errorf("%d expectations after a flush", n)
	}
	var e flow.Expectation
	if err := c.GetExpectation(&list[1].Expect, &e); !errors.Is(err, unix.ENOENT) {
		t.Errorf("get of nothing: %v", err)
	}
}

// TestExpectRefusals holds the errno that the kernel gives for each thing that can be missing.
func TestExpectRefusals(t *testing.T) {
	c := dial(t, nstest.New(t))
	makeMasters(t, c, 0)
	bare := tuple(flow.TCP, "10.1.0.9:1001", "10.2.0.1:21")
	mustApply(t, c.Create, []flow.Flow{plain(bare)})
	base := expectSamples()[0].e
	cases := []struct {
		name   string
		change func(*flow.Expectation)
		want   unix.Errno
	}{
		{"no master", func(e *flow.Expectation) { e.Master.SrcPort = 999 }, unix.ENOENT},
		{"master without helper", func(e *flow.Expectation) { e.Master = bare }, unix.EOPNOTSUPP},
		{"no such function", func(e *flow.Expectation) { e.Has |= flow.HasFn; copy(e.Fn[:], "nonsense") }, unix.EINVAL},
		{"no such class", func(e *flow.Expectation) { e.Class = 1 }, unix.EINVAL},
		{"no mask", func(e *flow.Expectation) { e.Has &^= flow.HasMask }, unix.EINVAL},
	}
	for _, tc := range cases {
		errs := make([]unix.Errno, 1)
		err := c.CreateExpectations([]flow.Expectation{withE(base, tc.change)}, errs)
		if err != nil || errs[0] != tc.want {
			t.Errorf("%s: %v, %v, want %v", tc.name, errs[0], err, tc.want)
		}
	}
}

// TestExpectZone: the kernel finds master and expectation by the zone.
func TestExpectZone(t *testing.T) {
	c := dial(t, nstest.New(t))
	makeMasters(t, c, 7)
	e := expectSamples()[0].e
	e.Expect.Zone, e.Master.Zone = 7, 7
	errs := make([]unix.Errno, 1)
	if err := c.CreateExpectations([]flow.Expectation{e}, errs); err != nil || errs[0] != 0 {
		t.Fatal(errs[0], err)
	}
	var got flow.Expectation
	if err := c.GetExpectation(&e.Expect, &got); err != nil {
		t.Fatal(err)
	}
	if z := got.Expect.Zone; z != 0 && z != 7 { // 0 on Linux 6.18, which does not send it
		t.Errorf("zone %d", z)
	}
	plain := e.Expect
	plain.Zone = 0
	if err := c.GetExpectation(&plain, &got); !errors.Is(err, unix.ENOENT) {
		t.Errorf("found without its zone: %v", err)
	}
	if err := c.DeleteExpectations([]flow.Expectation{e}, errs); err != nil || errs[0] != 0 {
		t.Error(errs[0], err)
	}
}

func TestExpectEvents(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	l := listen(t, ns, ListenConfig{Buffer: 1 << 20})
	makeMasters(t, c, 0)
	if err := l.SetExpectations(true); err != nil {
		t.Fatal(err)
	}
	list := makeExpectations(t, c)
	flushExpectations(t, c)
	seen := map[Kind]map[flow.Tuple]flow.Expectation{EventExpectNew: {}, EventExpectDestroy: {}}
	var b Block
	for len(seen[EventExpectDestroy]) < len(list) {
		next(t, l, &b)
		n := 0 // of b.Expect
		for i := range b.N {
			if m := seen[b.Kind[i]]; m != nil {
				m[b.Expect[n].Expect] = b.Expect[n]
				n++
			}
		}
		if n != b.NExpect {
			t.Errorf("%d of %d expectations", n, b.NExpect)
		}
	}
	for kind, m := range seen {
		for i, want := range list {
			if diff := sameExpect(want, m[want.Expect]); diff != "" {
				t.Errorf("%v %s (-want +got)\n%s", kind, expectSamples()[i].name, diff)
			}
		}
	}
	if s := l.Stats(); s.Malformed != 0 || s.Unknown != 0 {
		t.Errorf("%+v", s)
	}
}

// TestExpectBlockOverflow has more expectations waiting than fit into a block; none is lost, and nothing allocates.
func TestExpectBlockOverflow(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	l := listen(t, ns, ListenConfig{Buffer: 8 << 20, Expectations: true})
	master := tuple(flow.TCP, "10.1.0.1:1001", "10.2.0.1:21")
	var masters []flow.Flow
	list := make([]flow.Expectation, 4*ExpectBlockSize)
	for i := range list {
		master.SrcPort++
		masters = append(masters, helped(plain(master), "ftp"))
		list[i] = expectation(master, "10.1.0.1:0", fmt.Sprintf("10.2.0.1:%d", 40000+i))
	}
	mustApply(t, c.Create, masters)
	errs := make([]unix.Errno, len(list))
	const rounds = 10
	for range rounds {
		if err := c.CreateExpectations(list, errs); err != nil {
			t.Fatal(err)
		}
		flushExpectations(t, c)
	}
	var b Block
	got := [8]int{}
	read := func() {
		next(t, l, &b)
		for i := range b.N {
			got[b.Kind[i]]++
		}
	}
	if n := testing.AllocsPerRun(20, read); n != 0 {
		t.Errorf("%v allocations per block", n)
	}
	for got[EventExpectDestroy] < rounds*len(list) {
		read()
	}
	if got[EventExpectNew] != rounds*len(list) || got[EventNew] != len(masters) {
		t.Errorf("%v events, errors %v", got, errs)
	}
}

// TestExpectReadByOthers: ti-mo/conntrack and conntrack(8) read what CreateExpectations made and see what was meant.
func TestExpectReadByOthers(t *testing.T) {
	ns := nstest.New(t)
	c := dial(t, ns)
	list := makeExpectations(t, c)
	var conn *conntrack.Conn
	var err error
	ns.Do(func() { conn, err = conntrack.Dial(nil) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read, err := conn.DumpExpect()
	if err != nil {
		t.Fatal(err)
	}
	byTuple := map[flow.Tuple]flow.Expectation{}
	for _, r := range read {
		e := flow.Expectation{
			Has:    flow.HasMaster | flow.HasMask | flow.HasTimeout | flow.HasFlags | flow.HasClass | flow.HasHelper,
			Expect: tupleFromTimo(&r.Tuple), Mask: tupleFromTimo(&r.Mask), Master: tupleFromTimo(&r.TupleMaster),
			Timeout: r.Timeout, Flags: r.Flags, Class: r.Class,
		}
		copy(e.Helper[:], r.HelpName)
		copy(e.Fn[:], r.Function)
		if r.Function != "" {
			e.Has |= flow.HasFn
		}
		if r.NAT.Tuple.IP.SourceAddress.IsValid() {
			e.Has |= flow.HasNAT
			e.NAT = tupleFromTimo(&r.NAT.Tuple)
			if r.NAT.Direction {
				e.NATDir = 1
			}
		}
		byTuple[e.Expect] = e
	}
	nstest.RequireCommand(t, "conntrack", "conntrack")
	text := ns.Run(t, "conntrack", "-L", "expect", "-o", "xml") +
		ns.Run(t, "conntrack", "-L", "expect", "-f", "ipv6", "-o", "xml")
	for i, want := range list {
		name := expectSamples()[i].name
		if diff := sameExpect(want, byTuple[want.Expect]); diff != "" {
			t.Errorf("%s by ti-mo (-meant +read)\n%s", name, diff)
		}
		line := string(flow.AppendXMLExpectation(nil, &want))
		if !strings.Contains(withoutTail(text), withoutTail(line)) {
			t.Errorf("%s is not in conntrack's list:\n%s\n%s", name, line, text)
		}
	}
}

// withoutTail leaves out of each expectation's XML what comes behind its tuples, where programs show different things.
func withoutTail(xml string) string {
	var b strings.Builder
	for _, line := range strings.Split(xml, "<flow") {
		_, line, _ = strings.Cut(line, "<layer3")
		line, _, _ = strings.Cut(line, "<meta")
		b.WriteString(line)
	}
	return b.String()
}
