package lab

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"ctsync/daemon/control"
)

// conntrackd is Debian's daemon, with the configuration that VyOS writes for conntrack-sync and the usual failover
// script.
type conntrackd struct {
	lab    *Lab
	router *Router
	proc   *Process
}

const conntrackdConf = `
Sync {
	Mode FTFW {
		DisableExternalCache off
		StartupResync on
	}
	Multicast {
		IPv4_address 225.0.0.50
		Group 3780
		IPv4_interface @SELF@
		Interface @IFACE@
		SndSocketBuffer 1048576
		RcvSocketBuffer 1048576
		Checksum on
	}
	Options {
		ExpectationSync on
	}
}
General {
	HashSize 1048576
	HashLimit 8388608
	LogFile @LOG@
	Syslog off
	Systemd off
	LockFile @LOCK@
	UNIX {
		Path @SOCKET@
	}
	NetlinkBufferSize 2097152
	NetlinkBufferSizeMaxGrowth 8388608
	NetlinkOverrunResync off
	NetlinkEventsReliable on
	Filter From Userspace {
		Address Ignore {
			IPv4_address 127.0.0.1
			IPv4_address @SELF@
			IPv4_address @PEER@
			IPv4_address 225.0.0.50
		}
	}
}
`

// conntrackdScript is the usual failover script; keepalived calls it with the words of scripts/keepalived.conf.example.
const conntrackdScript = `#!/bin/sh
c() { conntrackd -C @CONF@ "$@"; }
case $1 in
master) c -c; c -f; c -R; c -B ;;
backup) c -t; c -n ;;
fault) c -t ;;
esac
exit 0
`

func (c *conntrackd) name() string   { return c.router.Name + "-conntrackd" }
func (c *conntrackd) socket() string { return c.lab.Path(c.name() + ".sock") }
func (c *conntrackd) conf() string   { return c.lab.Path(c.router.Name + "-conntrackd.conf") }
func (c *conntrackd) log() string    { return c.lab.Path(c.router.Name + "-conntrackd.txt") }

func (c *conntrackd) Process() *Process { return c.proc }

func (c *conntrackd) Start(ctx context.Context) error {
	name := c.name()
	replace := strings.NewReplacer("@SELF@", c.router.SyncAddress(), "@PEER@", c.router.peer().SyncAddress(),
		"@IFACE@", SyncInterface, "@LOG@", c.log(), "@LOCK@", c.lab.Path(name+".lock"),
		"@SOCKET@", c.socket(), "@CONF@", c.conf())
	if _, err := c.lab.Write(name+".conf", 0o600, replace.Replace(conntrackdConf)); err != nil {
		return err
	}
	if _, err := c.lab.Write(name+"-notify", 0o755, replace.Replace(conntrackdScript)); err != nil {
		return err
	}
	var err error
	if c.proc, err = c.lab.Start(c.router.NS, name, nil, "conntrackd", "-C", c.conf()); err != nil {
		return err
	}
	return waitReady(ctx, c.proc, func() bool { _, _, err := c.Held(); return err == nil })
}

func (c *conntrackd) Script() (string, []string) {
	return c.lab.Path(c.router.Name + "-conntrackd-notify"), nil
}

var activeConnections = regexp.MustCompile(`current active connections:\s*(\d+)`)

// Held asks over the control socket, as `conntrackd -s` does, but without a new process each time.
func (c *conntrackd) Held() (internal, external int, err error) {
	out, err := c.ask(askStatistics)
	if err != nil {
		return 0, 0, err
	}
	m := activeConnections.FindAllStringSubmatch(out, -1)
	if len(m) < 2 {
		return 0, 0, fmt.Errorf("conntrackd -s: cannot read %q", out)
	}
	internal, _ = strconv.Atoi(m[0][1])
	external, _ = strconv.Atoi(m[1][1])
	return internal, external, nil
}

var netlinkOverrun = regexp.MustCompile(`netlink overrun:\s*(\d+)`)

func (c *conntrackd) Overruns() (int, error) {
	out, err := c.router.NS.Run("conntrackd", "-C", c.conf(), "-s", "runtime")
	if err != nil {
		return 0, err
	}
	m := netlinkOverrun.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("conntrackd -s runtime: cannot read %q", out)
	}
	return strconv.Atoi(m[1])
}

// verbOption has conntrackd's options for the verbs of package control.
var verbOption = map[control.Verb]string{
	control.Commit: "-c", control.Flush: "-f", control.Resync: "-R",
	control.Bulk: "-B", control.Request: "-n", control.Purge: "-t",
}

func (c *conntrackd) Do(_ context.Context, a control.Action) error {
	option, ok := verbOption[a.Verb]
	if !ok {
		return fmt.Errorf("conntrackd cannot %s", a.Verb)
	}
	argv := []string{"conntrackd", "-C", c.conf(), option}
	if a.Cache != "" {
		argv = append(argv, a.Cache)
	}
	_, err := c.router.NS.Run(argv...)
	return err
}

func (c *conntrackd) Takeover(context.Context) error {
	script, _ := c.Script()
	_, err := c.router.NS.Run(script, "master")
	return err
}

var committed = regexp.MustCompile(`Committed (\d+) new entries`)

func (c *conntrackd) Committed() (int, string, bool) {
	data, err := os.ReadFile(c.log())
	if err != nil {
		return 0, err.Error(), false
	}
	var flows int
	var lines []string
	for line := range strings.Lines(string(data)) {
		if m := committed.FindStringSubmatch(line); m != nil {
			flows, _ = strconv.Atoi(m[1])
			lines = nil
		}
		if strings.Contains(line, "ommit") {
			lines = append(lines, strings.TrimSpace(line[strings.LastIndexByte(line, ']')+1:]))
		}
	}
	return flows, strings.Join(lines, "; "), len(lines) > 0
}

func (c *conntrackd) Show() [][]string {
	return [][]string{{"conntrackd", "-C", c.conf(), "-s"}}
}

func (c *conntrackd) Attach() []string {
	at := "ip netns exec " + string(c.router.NS) + " conntrackd -C " + c.conf()
	return []string{at + " -s", at + " -e"}
}
