package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
	"ctsync/daemon/nstest"
)

// These tests pair ctsyncd with Debian's conntrackd, FTFW, in both directions.

// conntrackdConfig is what VyOS would write for the same link.
func (r *router) conntrackdConfig(o options) string {
	r.t.Helper()
	links := ""
	for i := range max(o.links, 1) {
		local, peer := o.onLink(r.addr, i), o.onLink(r.peer, i)
		kind := fmt.Sprintf("UDP {\n IPv4_address %s\n IPv4_Destination_Address %s\n Port %d\n", local, peer, 3780+i)
		switch {
		case o.multicast && o.ipv6:
			kind = fmt.Sprintf("Multicast {\n IPv6_address ff02::3780\n Group %d\n", 3780+i)
		case o.multicast:
			kind = fmt.Sprintf("Multicast {\n IPv4_address 225.0.0.50\n Group %d\n IPv4_interface %s\n", 3780+i, local)
		case o.ipv6:
			kind = fmt.Sprintf("UDP {\n IPv6_address %s\n IPv6_Destination_Address %s\n Port %d\n", local, peer, 3780+i)
		}
		if i == 0 && o.links > 1 {
			kind = strings.Replace(kind, " {", " Default {", 1)
		}
		links += kind + fmt.Sprintf("  Interface sync%d\n  SndSocketBuffer 4194304\n  RcvSocketBuffer 4194304\n  Checksum on\n }\n", i)
	}
	mode := ""
	if o.timeout > 0 {
		mode = fmt.Sprintf("  CommitTimeout %d\n", o.timeout)
	}
	sync := ""
	if o.expect {
		sync = " Options { ExpectationSync on }\n"
	}
	text := fmt.Sprintf(`Sync {
 Mode FTFW {
  DisableExternalCache %s
  StartupResync yes
%s }
 %s%s}
General {
 HashSize 32768
 HashLimit 131072
 LogFile off
 Syslog off
 LockFile %s/lock
 UNIX { Path %s/ctl }
 NetlinkBufferSize 2097152
 NetlinkBufferSizeMaxGrowth 8388608
 NetlinkOverrunResync Off
 NetlinkEventsReliable On
 Systemd off
 Filter From Userspace {
  Address Ignore { IPv4_address 127.0.0.1 IPv4_address 10.255.0.0/24 IPv4_address 10.254.0.0/24 IPv6_address ::1 IPv6_address fd00:ff::/64 IPv6_address fd00:fe::/64 IPv6_address fe80::/10 IPv6_address ff02::/16 }
 }
}
`, map[bool]string{true: "On", false: "Off"}[o.noCache], mode, links, sync, r.dir, r.dir)
	path := filepath.Join(r.dir, "conntrackd.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// startConntrackd runs conntrackd in the foreground and waits until it answers.
func (r *router) startConntrackd(o options) {
	r.t.Helper()
	nstest.RequireCommand(r.t, "conntrackd", "conntrackd")
	_ = os.Remove(filepath.Join(r.dir, "lock")) // it leaves its lock behind when it is killed
	r.spawn("conntrackd", "-C", r.conntrackdConfig(o))
	r.eventually(20*time.Second, "runs conntrackd", func() bool {
		_, err := os.Stat(filepath.Join(r.dir, "ctl"))
		return err == nil && strings.Contains(r.conntrackd("-s"), "cache internal")
	})
}

// conntrackd asks r's conntrackd.
func (r *router) conntrackd(args ...string) string {
	r.t.Helper()
	args = append([]string{"-C", filepath.Join(r.dir, "conntrackd.conf")}, args...)
	out, _ := r.ns.Exec(r.t.Context(), "conntrackd", args...).CombinedOutput()
	return string(out)
}

// isConntrackd reports which program r runs.
func (r *router) isConntrackd() bool { return slices.Contains(r.cmd.Args, "conntrackd") }

func (r *router) startAs(program string, o options) {
	r.t.Helper()
	if program == "conntrackd" {
		r.startConntrackd(o)
		return
	}
	r.start(o)
}

// cache returns the flows of a cache of either program.
func (r *router) cache(name string) []string {
	r.t.Helper()
	if r.isConntrackd() {
		return flowLines(r.conntrackd(map[string]string{"internal": "-i", "external": "-e"}[name]))
	}
	return r.cached(name)
}

// act runs conntrackd's option on either program.
func (r *router) act(option string) {
	r.t.Helper()
	if r.isConntrackd() {
		r.conntrackd(option)
		return
	}
	r.eventually(10*time.Second, "hears its peer", func() bool { return r.status().Established })
	r.ctsync(map[string]string{"-c": "commit", "-n": "request", "-B": "bulk", "-f": "flush", "-R": "resync"}[option])
}

// clean fails the test if either program counted a malformed or a lost message.
func (r *router) clean() {
	r.t.Helper()
	if r.isConntrackd() {
		out := r.conntrackd("-s", "network")
		for line := range strings.Lines(out) {
			line = strings.TrimSpace(line)
			if (strings.Contains(line, "alformed") || strings.Contains(line, "lost") || strings.Contains(line, "before")) &&
				!strings.HasSuffix(line, " 0") && !strings.HasSuffix(line, "\t0") {
				r.t.Errorf("conntrackd of %s: %s", r.name, line)
			}
		}
		return
	}
	s := r.statistics()
	if s.Tracking.Malformed.Total() != 0 || s.Tracking.Lost != 0 || s.Tracking.Before != 0 ||
		s.Tracking.UnknownAttributes != 0 {
		r.t.Errorf("ctsyncd of %s: %+v", r.name, s.Tracking)
	}
}

// same waits until to's external cache shows from's internal one, both the n flows that are expected.
func same(t *testing.T, from, to *router, n int, within time.Duration) {
	t.Helper()
	var in, ex []string
	nstest.Eventually(t, within, func() bool {
		in, ex = from.cache("internal"), to.cache("external")
		return len(in) == n && slices.Equal(in, ex)
	}, func() string {
		return fmt.Sprintf("router %s holds the %d flows of %s: internal %d, external %d\n%.4000s", to.name, n, from.name, len(in), len(ex), cmp.Diff(in, ex))
	})
}

// mixture is one flow of each kind that both programs replicate.
func mixture() []flow.Flow {
	v4 := func(i byte) (src, dst flow.Addr) { return flow.Addr{10, 1, 0, i}, flow.Addr{10, 2, 0, i} }
	v6 := func(i byte) (src, dst flow.Addr) { return flow.Addr{0xfd, 1, 15: i}, flow.Addr{0xfd, 2, 15: i} }
	mk := func(fam flow.Family, p flow.Proto, sport, dport uint16, i byte) flow.Flow {
		f := flow.Flow{
			Orig: flow.Tuple{Family: fam, Proto: p, SrcPort: sport, DstPort: dport},
			Has:  flow.HasReply | flow.HasStatus | flow.HasTimeout, Timeout: 600,
			Status: flow.StatusSeenReply | flow.StatusAssured | flow.StatusConfirmed,
		}
		f.Orig.Src, f.Orig.Dst = v4(i)
		if fam == flow.IPv6 {
			f.Orig.Src, f.Orig.Dst = v6(i)
		}
		if p == flow.TCP {
			f.TCPState, f.Has = flow.TCPEstablished, f.Has|flow.HasTCPState
		}
		f.Reply = f.Orig.Inverse()
		return f
	}
	tcp := mk(flow.IPv4, flow.TCP, 1001, 80, 1)
	udp := mk(flow.IPv4, flow.UDP, 1002, 53, 2)
	udp.Mark, udp.Has = 0x10, udp.Has|flow.HasMark
	icmp := mk(flow.IPv4, flow.ICMP, 77, 8<<8, 3)
	tcp6 := mk(flow.IPv6, flow.TCP, 1004, 80, 4)
	udp6 := mk(flow.IPv6, flow.UDP, 1005, 53, 5)
	icmp6 := mk(flow.IPv6, flow.ICMPv6, 78, 128<<8, 6)
	snat := mk(flow.IPv4, flow.TCP, 1007, 80, 7)
	snat.Reply.Dst, snat.Reply.DstPort = flow.Addr{10, 2, 0, 1}, 5007
	dnat := mk(flow.IPv4, flow.TCP, 1008, 8080, 8)
	dnat.Reply.Src, dnat.Reply.SrcPort = flow.Addr{10, 3, 0, 8}, 80
	both := mk(flow.IPv4, flow.UDP, 1009, 9, 9)
	both.Reply.Src, both.Reply.Dst = flow.Addr{10, 3, 0, 9}, flow.Addr{10, 3, 0, 1}
	snat6 := mk(flow.IPv6, flow.TCP, 1010, 80, 10)
	snat6.Reply.Dst, snat6.Reply.DstPort = flow.Addr{0xfd, 3, 15: 1}, 5010
	ping := mk(flow.IPv4, flow.ICMP, 79, 8<<8, 11)
	ping.Reply.Dst, ping.Reply.SrcPort = flow.Addr{10, 2, 0, 1}, 5011
	return []flow.Flow{tcp, udp, icmp, tcp6, udp6, icmp6, snat, dnat, both, snat6, ping}
}

func isOurs(f *flow.Flow) bool {
	a := f.Orig.Src
	return f.Orig.Family == flow.IPv4 && a[0] == 10 && a[1] == 1 || f.Orig.Family == flow.IPv6 && a[0] == 0xfd && a[1] == 1
}

var transports = []struct {
	name string
	o    options
}{
	{"multicast", options{multicast: true}},
	{"unicast", options{}},
	{"unicast6", options{ipv6: true}},
}

// TestInterop drives each program against the other over each transport.
func TestInterop(t *testing.T) {
	for _, tr := range transports {
		for _, sender := range []string{"ctsyncd", "conntrackd"} {
			t.Run(tr.name+"/"+sender+" sends", func(t *testing.T) {
				a, b := newPair(t)
				receiver := "conntrackd"
				if sender == "conntrackd" {
					receiver = "ctsyncd"
				}
				b.startAs(receiver, tr.o)
				a.startAs(sender, tr.o)
				testInterop(t, a, b)
			})
		}
	}
}

// asConntrackdSends takes translated ids from ICMP flows: conntrackd neither sends nor restores them.
func asConntrackdSends(flows map[flow.Tuple]flow.Flow) map[flow.Tuple]flow.Flow {
	for k, f := range flows {
		if k.Proto.IsICMP() {
			f.Reply.SrcPort = k.SrcPort
			flows[k] = f
		}
	}
	return flows
}

func testInterop(t *testing.T, a, b *router) {
	flows := mixture()
	a.create(flows)
	same(t, a, b, len(flows), 20*time.Second)

	flows[0].Mark, flows[0].Has = 5, flows[0].Has|flow.HasMark
	flows[3].TCPState = flow.TCPFinWait
	a.update(flows[:4])
	same(t, a, b, len(flows), 20*time.Second)

	b.act("-c")
	want := asConntrackdSends(a.kernelFlows(isOurs))
	got := b.kernelFlows(isOurs)
	for k, w := range want {
		g, ok := got[k]
		if !ok {
			t.Errorf("%v -> %v is not restored", k.Source(), k.Destination())
			continue
		}
		if g.Reply != w.Reply || g.Mark != w.Mark || g.TCPState != w.TCPState {
			t.Errorf("restored %v -> %v differs: reply %+v mark %d state %d, want %+v %d %d", k.Source(), k.Destination(), g.Reply, g.Mark, g.TCPState, w.Reply, w.Mark, w.TCPState)
		}
	}

	a.delete(flows)
	same(t, a, b, 0, 20*time.Second)
	a.clean()
	b.clean()
}

// TestInteropBurst sends 20 000 flows at once, asks for them again, and restarts either side.
func TestInteropBurst(t *testing.T) {
	const n = 20000
	for _, sender := range []string{"ctsyncd", "conntrackd"} {
		t.Run(sender+" sends", func(t *testing.T) {
			a, b := newPair(t)
			receiver := "conntrackd"
			if sender == "conntrackd" {
				receiver = "ctsyncd"
			}
			var o options
			b.startAs(receiver, o)
			a.startAs(sender, o)
			flows := testFlows(n)
			a.create(flows)
			if sender == "conntrackd" { // on a busy machine it loses events of such a burst, and is not in step
				a.eventually(20*time.Second, "has the flows", func() bool {
					a.act("-R")
					return len(a.cache("internal")) == n
				})
				a.act("-B")
			}
			same(t, a, b, n, 60*time.Second)
			a.clean()
			b.clean()

			b.act("-f")
			b.act("-n")
			same(t, a, b, n, 60*time.Second)

			b.stop(syscall.SIGTERM)
			b.startAs(receiver, o)
			same(t, a, b, n, 60*time.Second)

			a.stop(syscall.SIGTERM)
			a.delete(flows[:n/2])
			a.startAs(sender, o)
			if receiver == "conntrackd" { // it keeps what no message ends, so it is emptied first
				b.act("-f")
			}
			a.act("-B")
			same(t, a, b, n/2, 60*time.Second)
		})
	}
}

// TestInteropLoss drops one datagram in twenty in each direction.
func TestInteropLoss(t *testing.T) {
	const n = 5000
	for _, sender := range []string{"ctsyncd", "conntrackd"} {
		t.Run(sender+" sends", func(t *testing.T) {
			a, b := newPair(t)
			receiver := "conntrackd"
			if sender == "conntrackd" {
				receiver = "ctsyncd"
			}
			for _, r := range []*router{a, b} {
				r.ns.Run(t, "nft", "add table inet lossy; add chain inet lossy in { type filter hook input priority -400; }; add rule inet lossy in udp dport 3780 numgen random mod 100 < 5 drop")
			}
			b.startAs(receiver, options{})
			a.startAs(sender, options{})
			flows := testFlows(n)
			for i := 0; i < n; i += 100 { // as traffic comes, not in one piece: some hundred datagrams
				a.create(flows[i : i+100])
				time.Sleep(5 * time.Millisecond)
			}
			same(t, a, b, n, 60*time.Second)
			a.delete(flows[:n/2])
			same(t, a, b, n/2, 60*time.Second)
		})
	}
}

// update changes flows in r's kernel.
func (r *router) update(flows []flow.Flow) {
	r.t.Helper()
	errs := make([]unix.Errno, len(flows))
	if err := r.kern.Update(flows, errs); err != nil {
		r.t.Fatal(err)
	}
	for i, e := range errs {
		if e != 0 {
			r.t.Fatalf("update flow %d: %v", i, e)
		}
	}
}
