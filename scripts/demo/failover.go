package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"ctsync/scripts/lab"
)

// streamPort is the port of the server's streams.
const streamPort = 5001

// deadAfter is how long after the failover a stream may be silent before it counts as dead. TCP doubles the time
// between retransmissions: the last one that a surviving stream may wait for comes 12.8 s after the cut.
const deadAfter = 15 * time.Second

// failover is one run: a lab, streams through it, a failure of its master, and what became of the streams.
type failover struct {
	kinds [2]string // of the daemons on the two routers
	bin   string    // where ctsyncd and ctsync are
	net   *lab.Network
	say   func(format string, args ...any)

	client     *lab.Process
	statusFile string // that the client keeps

	off    time.Time // when the master's links went down
	master time.Time // when the other router got the virtual address
	status Status    // of the streams at the end
	flows  int       // committed by the new master
	commit string    // the result of the commit, in words
}

// run does the failover. The lab stays up; the caller closes it.
func (f *failover) run(ctx context.Context, l *lab.Lab) error {
	f.say("building two routers, a client, a server and the links between them")
	var err error
	if f.net, err = l.Network(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		f.startRouters, f.startServer, f.startStreams, f.awaitReplica, f.show,
		f.cut, f.awaitStreams, f.awaitCommit, f.finish,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startRouters starts the daemons, then keepalived on the first router, and on the second when the first is master.
func (f *failover) startRouters(ctx context.Context) error {
	for i, r := range f.net.Router {
		d, err := f.net.NewDaemon(f.kinds[i], r)
		if err != nil {
			return err
		}
		r.Daemon = d
		if err := d.Start(ctx); err != nil {
			return err
		}
	}
	f.say("starting keepalived on both routers (synchronisation: %s)", f.name())
	for i, r := range f.net.Router {
		if err := f.net.StartVRRP(r); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if err := lab.Wait(ctx, 15*time.Second, r.Name+" becomes master", r.Master); err != nil {
			return fmt.Errorf("%w\n%s", err, r.VRRP.Tail(30))
		}
	}
	return nil
}

// name says what synchronises the routers.
func (f *failover) name() string {
	if f.kinds[0] == f.kinds[1] {
		return f.kinds[0]
	}
	return f.kinds[0] + "+" + f.kinds[1]
}

// streamAddress is where the server listens.
var streamAddress = net.JoinHostPort(lab.ServerAddress, strconv.Itoa(streamPort))

func (f *failover) startServer(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server, err := f.net.Start(f.net.Server, "server", nil, self, "server", streamAddress)
	if err != nil {
		return err
	}
	if err := lab.Wait(ctx, 5*time.Second, "the server listens", func() bool {
		out, err := f.net.Server.Run("ss", "-Hltun", "sport", "=", strconv.Itoa(streamPort))
		return err == nil && strings.Count(out, "\n") == 2
	}); err != nil {
		return fmt.Errorf("%w\n%s", err, server.Tail(10))
	}
	return nil
}

func (f *failover) startStreams(ctx context.Context) error {
	f.say("starting a TCP download and a UDP stream, from the server (%s) through source NAT", streamAddress)
	return f.startClient(ctx, "client")
}

// startClient starts a client with a status file of the given name, and waits until both streams have flowed for two
// seconds: then conntrack treats a UDP flow as a stream.
func (f *failover) startClient(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f.statusFile, f.status = f.net.Path(name+".json"), Status{}
	if f.client, err = f.net.Start(f.net.Client, name, nil, self, "client", streamAddress, f.statusFile); err != nil {
		return err
	}
	begun := time.Now()
	err = lab.Wait(ctx, 15*time.Second, "both streams flow", func() bool {
		f.readStatus()
		return f.status.TCP.Records > 0 && f.status.UDP.Records > 0 && time.Since(begun) > 2500*time.Millisecond
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, f.client.Tail(10))
	}
	return nil
}

// readStatus reads the client's status file; while there is none, or half of one, the last status stays.
func (f *failover) readStatus() {
	if s, err := readStatus(f.statusFile); err == nil {
		f.status = s
	}
}

// awaitReplica waits until the second router knows the flows of the first.
func (f *failover) awaitReplica(ctx context.Context) error {
	if f.kinds[1] == lab.None {
		return nil
	}
	const want = backgroundFlows + 2
	external := 0
	err := lab.Wait(ctx, 10*time.Second, "router2 knows the flows of router1", func() bool {
		_, n, err := f.net.Router[1].Daemon.Held()
		external = n
		return err == nil && n >= want
	})
	if err != nil {
		return fmt.Errorf("%w: %d of %d\n%s", err, external, want, f.net.Router[1].Daemon.Process().Tail(20))
	}
	f.say("router2 has %d flows of router1", external)
	return nil
}

// show prints what an operator sees on both routers.
func (f *failover) show(context.Context) error {
	for _, r := range f.net.Router {
		for _, argv := range r.Daemon.Show() {
			out, err := r.NS.Run(argv...)
			if err != nil {
				return err
			}
			f.say("%s# %s\n%s", r.Name, commandLine(argv), indent(out))
		}
	}
	return nil
}

// cut makes the master fail: it kills keepalived, which cannot announce that any more, and takes all links of the
// router down.
func (f *failover) cut(ctx context.Context) error {
	old, next := f.net.Router[0], f.net.Router[1]
	monitor, err := f.net.Start(next.NS, next.Name+"-addresses", nil, "ip", "-ts", "-o", "monitor", "address")
	if err != nil {
		return err
	}
	f.say("killing keepalived on %s and taking its links down", old.Name)
	f.off = time.Now()
	if err := old.PowerOff(); err != nil {
		return err
	}
	err = lab.Wait(ctx, 15*time.Second, next.Name+" becomes master", func() bool {
		f.master = addressTime(monitor.Tail(50))
		return !f.master.IsZero()
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, next.VRRP.Tail(30))
	}
	f.say("%s is master %v after the cut", next.Name, round(f.master.Sub(f.off)))
	return nil
}

// addressTime finds in the output of `ip -ts monitor address` when the virtual address was added.
func addressTime(output string) time.Time {
	for line := range strings.Lines(output) {
		stamp, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "] ")
		if !ok || !strings.Contains(rest, " "+lab.WANAddress+"/") {
			continue
		}
		if t, err := time.ParseInLocation("2006-01-02T15:04:05.999999", stamp, time.Local); err == nil {
			return t
		}
	}
	return time.Time{}
}

// awaitStreams waits until both streams flow again or count as dead.
func (f *failover) awaitStreams(ctx context.Context) error {
	said := [2]bool{}
	err := lab.Wait(ctx, time.Until(f.off.Add(deadAfter)), "the streams flow again", func() bool {
		f.readStatus()
		all := true
		for i, s := range []struct {
			name string
			Stream
		}{{"UDP", f.status.UDP}, {"TCP", f.status.TCP}} {
			alive := s.Last > f.master.UnixNano()
			all = all && alive
			if alive && !said[i] {
				said[i] = true
				f.say("%s flows again after a pause of %v", s.name, round(f.silence(&s.Stream)))
			}
		}
		return all || f.status.TCP.Err != ""
	})
	if err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// awaitCommit waits until the new master reports the result of its commit.
func (f *failover) awaitCommit(ctx context.Context) error {
	return lab.Wait(ctx, 10*time.Second, "the commit ends", func() bool {
		var ok bool
		f.flows, f.commit, ok = f.net.Router[1].Daemon.Committed()
		return ok
	})
}

// finish lets the streams run for another second, stops the client, and reads its last status.
func (f *failover) finish(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
	}
	f.client.Stop()
	f.readStatus()
	if err := f.lived(); err != nil {
		f.say("the TCP stream died: %v", err)
		return nil
	}
	f.say("the TCP stream survived: %.1f MB, all records in order, checksum right", float64(f.status.TCP.Bytes)/1e6)
	return nil
}

// lived returns nil if the TCP stream continued after the failover and was verified, and else what was wrong.
func (f *failover) lived() error {
	switch s := &f.status.TCP; {
	case s.Err != "":
		return fmt.Errorf("%s", s.Err)
	case s.Last < f.master.UnixNano():
		return fmt.Errorf("no data for %v after the cut", deadAfter)
	case !s.Verified:
		return fmt.Errorf("its end with the checksum did not arrive")
	}
	return nil
}

// silence returns the longest pause since the cut.
func (f *failover) silence(s *Stream) time.Duration {
	longest := time.Duration(0)
	for _, g := range s.Gaps {
		if g.To > f.off.UnixNano() {
			longest = max(longest, g.Duration())
		}
	}
	return longest
}

// resumed returns the time from the moment when the new master got its address to the next record; ok is false if none
// came.
func (f *failover) resumed(s *Stream) (after time.Duration, ok bool) {
	for _, g := range s.Gaps {
		if g.From < f.master.UnixNano() && g.To > f.master.UnixNano() {
			return time.Duration(g.To - f.master.UnixNano()), true
		}
	}
	return 0, false
}
