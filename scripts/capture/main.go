// Command capture makes the pictures in README: it sets up two routers in network namespaces, makes one take over from
// the other, and takes pictures of `ctsync tui` in a real terminal (tmux).
//
//	capture [-o DIR] [-keep]   as `make capture`
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ctsync/scripts/lab"
)

func main() {
	out := flag.String("o", "scripts/capture", "directory for the pictures")
	keep := flag.Bool("keep", false, "leave the lab running and print how to look at it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *out, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "capture: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, keep bool) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	l, err := lab.New("capture")
	if err != nil {
		return err
	}
	l.Bin = "bin"
	defer func() {
		if keep && err == nil {
			err = l.Keep()
			return
		}
		err = errors.Join(err, l.Close())
	}()
	pair, err := routers(ctx, l)
	if err != nil {
		return err
	}
	traffic := newTraffic()
	if err := takeover(ctx, pair, traffic); err != nil {
		return err
	}
	if keep {
		for _, r := range pair {
			fmt.Println(r.Daemon.Attach()[1])
		}
		fmt.Println("remove the lab with: make demo-clean")
		return nil
	}
	traffic.ns = pair[1].NS
	go traffic.flow(ctx)
	return photograph(ctx, l, pair[1], dir)
}

// routers starts both daemons.
func routers(ctx context.Context, l *lab.Lab) ([2]*lab.Router, error) {
	pair, err := l.Pair()
	if err != nil {
		return pair, err
	}
	for _, r := range pair {
		if err := r.NS.Sysctl("net.netfilter.nf_conntrack_acct=1"); err != nil {
			return pair, err
		}
		if r.Daemon, err = l.NewDaemon(lab.Ctsync, r); err != nil {
			return pair, err
		}
		if err := r.Daemon.Start(ctx); err != nil {
			return pair, err
		}
	}
	return pair, nil
}

// takeover fills the first router and makes the second one take over.
func takeover(ctx context.Context, pair [2]*lab.Router, t *traffic) error {
	if err := errors.Join(notify(pair[0], "master"), notify(pair[1], "backup")); err != nil {
		return err
	}
	t.ns = pair[0].NS
	flows, err := t.begin(standing)
	if err != nil {
		return err
	}
	held := func(r *lab.Router, internal, external int) func() bool {
		return func() bool {
			i, e, err := r.Daemon.Held()
			return err == nil && i >= internal && e >= external
		}
	}
	if err := lab.Wait(ctx, 20*time.Second, "the standby has the flows", held(pair[1], 0, flows)); err != nil {
		return err
	}
	if err := errors.Join(notify(pair[0], "backup"), notify(pair[1], "master")); err != nil {
		return err
	}
	return lab.Wait(ctx, 20*time.Second, "the flows are committed", held(pair[1], flows, 0))
}

func notify(r *lab.Router, state string) error {
	script, env := r.Daemon.Script()
	cmd := r.NS.Command(script, state, lab.SyncGroup)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("notify %s: %w: %s", state, err, out)
	}
	return nil
}

// shots are the pictures: the keys that lead to each, and how long to wait before taking it.
var shots = []struct {
	name string
	keys []string
	wait time.Duration
}{
	{"overview", []string{"1"}, 40 * time.Second},
	{"table", []string{"2", "s", "s", "/", "p r o t o : t c p", "Enter", "j", "j", "j"}, 2 * time.Second},
}

func photograph(ctx context.Context, l *lab.Lab, r *lab.Router, dir string) error {
	term, err := l.Terminal(r.Name, 80, 24, r.Daemon.Attach()[1])
	if err != nil {
		return err
	}
	defer term.Close()
	for _, s := range shots {
		if err := term.Press(s.keys...); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.wait):
		}
		text, err := term.Screen()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, s.name+".svg"), picture(text, 80, 24), 0o644); err != nil {
			return err
		}
	}
	return nil
}
