package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// checks are all of them, in the order in which they run.
func checks() []check {
	installed, served := []string{"install"}, []string{"install", "keepalived"}
	return []check{
		{"install", "make install, and the documented steps after it", nil, install, both},
		{"tests", "privileged tests on this kernel: " + strings.Join(tested, ", "), nil, kernelTests, beside},
		{"unit", "the unit starts, with the user, the capability and the socket it promises", installed, unitStarts, alone},
		{"hardening", "systemd-analyze security is at most 1.5, and landlock holds", installed, hardening, alone},
		{"socket-group", "a drop-in of three lines lets another group read", installed, socketGroup, alone},
		{"usage", "a wrong command line is not started again", installed, usageError, alone},
		{"panic", "a panic: started again, one line, the stack in the journal, counted", installed, panicked, alone},
		{"watchdog", "a daemon that hangs is aborted, and started again", installed, hangs, alone},
		{"kill", "kill -9: started again, and counted", installed, killed, alone},
		{"stop", "a stop takes less than 3 s, and counts as no fault", installed, stops, alone},
		{"keepalived", "keepalived as a service, its scripts as members of ctsync", installed, keepalivedServes, alone},
		{"stranger", "another user may neither read nor act", served, strangers, alone},
		{"parked", "what keepalived says without a daemon is carried out later", served, parks, alone},
		{"boot", "after a boot ctsyncd is ready before keepalived starts, and hears it", served, boots, alone},
		{"early", "what keepalived says in a boot before the daemon runs is carried out", served, early, alone},
		{"failover", "router-a dies; router-b takes over, and a TCP connection with NAT survives", installed, failover, both},
		{"uninstall", "make uninstall leaves the configuration and the state, and nothing else", installed, uninstall, both},
	}
}

// installation are the documented steps.
const installation = `set -e
make -C /media/payload/ctsync -o build install
cat >/etc/ctsync/ctsync.toml <<'END'
[failover-mechanism.vrrp]
sync-group = "syncgrp"
[interface.eth2]
END
cat >/usr/local/sbin/lab-network <<'NETWORK'
%s
NETWORK
chmod +x /usr/local/sbin/lab-network
cat >/etc/systemd/system/lab-network.service <<'UNIT'
%s
UNIT
systemctl enable --now lab-network
ctsyncd --check
systemd-sysusers
systemctl daemon-reload
find /usr /etc /var/lib -newer /run/before -type f -path '*ctsync*' | sort
`

func install(l *lab) {
	for i, m := range []*machine{l.a, l.b} {
		l.sh(m, "touch /run/before")
		out := l.shWithin(m, time.Minute, fmt.Sprintf(installation, fmt.Sprintf(network, i+1), networkUnit))
		for _, file := range []string{"/usr/sbin/ctsyncd", "/usr/bin/ctsync", "/usr/libexec/ctsync/ctsync-notify"} {
			if !strings.Contains(out, file) {
				fail("%s was not installed: %s", file, out)
			}
		}
	}
}

// ready waits until the unit has started by itself, with another process than before.
func (l *lab) ready(m *machine, before string) (pid string) {
	const show = "systemctl show ctsyncd -p ActiveState,MainPID | sort"
	out := l.soon(m, 40*time.Second, show+"; [ $(systemctl show ctsyncd -P MainPID) != "+before+" ]", "ActiveState=active\n")
	_, pid, _ = strings.Cut(strings.TrimSpace(out), "MainPID=")
	l.want(m, "ctsync show status", "in step")
	return pid
}

// begin starts the unit where it does not run, and returns its process.
func (l *lab) begin(m *machine) (pid string) {
	l.shWithin(m, time.Minute, "systemctl reset-failed ctsyncd; systemctl start ctsyncd")
	return l.ready(m, "0")
}

func unitStarts(l *lab) {
	pid := l.begin(l.a)
	status := l.sh(l.a, "cat /proc/"+pid+"/status; ps -o user:20= -p "+pid)
	for _, want := range []string{
		`(?m)^ctsync$`, `NoNewPrivs:\t1`, `Seccomp:\t2`, `CapEff:\t0000000000001000`, `CapBnd:\t0000000000001000`,
	} {
		if !regexp.MustCompile(want).MatchString(status) {
			fail("the process has no %s:\n%s", want, status)
		}
	}
	l.want(l.a, "stat -c '%A %U %G' /run/ctsync/ctsync.sock", `^srw-rw---- ctsync ctsync$`)
	l.want(l.a, "stat -c '%A %U %G' /var/lib/ctsync", `^drwxr-x--- ctsync ctsync$`)
	l.want(l.a, "ctsync restart && systemctl show ctsyncd -P MainPID", pid+"$")
}

func hardening(l *lab) {
	l.begin(l.a)
	out := l.want(l.a, "systemd-analyze security --no-pager ctsyncd.service", `level for ctsyncd.service: \d+\.\d`)
	level := regexp.MustCompile(`level for ctsyncd.service: (\S+)`).FindStringSubmatch(out)[1]
	if n, err := strconv.ParseFloat(level, 64); err != nil || n > 1.5 {
		fail("exposure %s, at most 1.5 is wanted:\n%s", level, out)
	}
	l.want(l.a, "cat /sys/kernel/security/lsm", "landlock")
	l.sh(l.a, `mkdir -p /srv/k && echo 'vrrp_sync_group elsewhere {
}' >/srv/k/keepalived.conf && sed -i.before '1i keepalived-config = "/srv/k/keepalived.conf"' /etc/ctsync/ctsync.toml`)
	l.soon(l.a, 10*time.Second, "systemctl status ctsyncd", "it may not use /srv/k: systemctl restart ctsyncd")
	l.want(l.a, "ctsync restart 2>&1 || true", "systemctl restart ctsyncd")
	if out := l.sh(l.a, "ctsync show status"); strings.Contains(out, "elsewhere") {
		fail("the daemon reads what landlock should keep from it:\n%s", out)
	}
	l.shWithin(l.a, time.Minute, "systemctl restart ctsyncd")
	l.want(l.a, "ctsync show status", "elsewhere")
	l.sh(l.a, "mv /etc/ctsync/ctsync.toml.before /etc/ctsync/ctsync.toml; systemctl restart ctsyncd")
}

func socketGroup(l *lab) {
	l.sh(l.a, `groupadd -f monitoring
mkdir -p /etc/systemd/system/ctsyncd.service.d
printf '[Service]\nSupplementaryGroups=monitoring\nSystemCallFilter=@chown\n' \
	>/etc/systemd/system/ctsyncd.service.d/socket-group.conf
sed -i.before '1i socket-group = "monitoring"' /etc/ctsync/ctsync.toml
systemctl daemon-reload; systemctl restart ctsyncd`)
	l.want(l.a, "stat -c '%A %U %G' /run/ctsync/ctsync.sock", `^srw-rw---- ctsync monitoring$`)
	l.sh(l.a, `rm -r /etc/systemd/system/ctsyncd.service.d
mv /etc/ctsync/ctsync.toml.before /etc/ctsync/ctsync.toml
systemctl daemon-reload; systemctl restart ctsyncd`)
}

func usageError(l *lab) {
	l.sh(l.a, `systemctl stop ctsyncd
mkdir -p /run/systemd/system/ctsyncd.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/sbin/ctsyncd --wrong\n' >/run/systemd/system/ctsyncd.service.d/wrong.conf
systemctl daemon-reload; systemctl start ctsyncd || true; sleep 2`)
	show := "systemctl show ctsyncd -p ActiveState,ExecMainStatus,NRestarts | sort"
	l.want(l.a, show, `^ActiveState=failed\nExecMainStatus=64\nNRestarts=0$`)
	l.sh(l.a, "rm -r /run/systemd/system/ctsyncd.service.d; systemctl daemon-reload")
}

// unasked is the number of restarts that nobody asked for.
func (l *lab) unasked(m *machine) int {
	out := l.sh(m, "ctsync show status --json")
	found := regexp.MustCompile(`"unasked": ?(\d+)`).FindStringSubmatch(out)
	if found == nil {
		fail("show status does not say how often the daemon was restarted: %s", out)
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// restartsAfter does harm to the daemon, waits until systemd has started it again, and looks at what it says of that.
func (l *lab) restartsAfter(harm, how string) (before string) {
	pid := l.begin(l.a)
	n := l.unasked(l.a)
	since := l.sh(l.a, "date +%s.%N; "+fmt.Sprintf(harm, pid))
	l.ready(l.a, pid)
	if now := l.unasked(l.a); now != n+1 {
		fail("%d restarts that nobody asked for, then %d", n, now)
	}
	l.want(l.a, "ctsync show status", `(?m)^unasked restarts +: \d+, the last after .*`+how)
	lines := l.sh(l.a, "journalctl -u ctsyncd -o cat --since @"+since+" | grep -c 'ended without being asked to.*"+how+"'")
	if lines != "1" {
		fail("%s lines of the log, not one", lines)
	}
	return pid
}

func panicked(l *lab) {
	l.restartsAfter("kill -SEGV %s", "SIGSEGV: segmentation violation")
	l.want(l.a, "journalctl -u ctsyncd -o cat | grep -A3 '^goroutine '", "goroutine")
	l.want(l.a, "cat /var/lib/ctsync/crash.last", `goroutine`)
}

func hangs(l *lab) {
	l.restartsAfter("kill -STOP %s", "SIGABRT: abort")
	l.want(l.a, "journalctl -u ctsyncd -o cat", "Watchdog timeout")
}

func killed(l *lab) { l.restartsAfter("kill -KILL %s", "kill: no word was left") }

func stops(l *lab) {
	l.begin(l.a)
	n := l.unasked(l.a)
	began := time.Now()
	l.sh(l.a, "systemctl stop ctsyncd")
	if took := time.Since(began); took > 3*time.Second {
		fail("systemctl stop took %v", took)
	}
	l.want(l.a, "systemctl show ctsyncd -p Result,ExecMainStatus | sort", "^ExecMainStatus=0\nResult=success$")
	l.begin(l.a)
	if now := l.unasked(l.a); now != n {
		fail("%d restarts that nobody asked for, then %d", n, now)
	}
}

func kernelTests(l *lab) {
	var failed []string
	for _, p := range tested {
		out, err := l.b.run(l.ctx, 4*time.Minute, "cd /media/payload/ctsync/"+p+
			" && CTSYNC_REQUIRE_NETNS=1 ./test -test.timeout 220s 2>&1")
		if err != nil {
			failed = append(failed, p+":\n"+tail(out, 60))
		}
	}
	if len(failed) > 0 {
		fail("%s", strings.Join(failed, "\n"))
	}
}

func uninstall(l *lab) {
	l.begin(l.b)
	l.shWithin(l.b, time.Minute, "systemctl stop ctsyncd; make -C /media/payload/ctsync uninstall")
	out := l.sh(l.b, `systemctl daemon-reload
find /usr /etc /var /run -path '*ctsync*' -not -path '*/systemd-private-*' | sort
systemctl show ctsyncd -P LoadState`)
	left := regexp.MustCompile(`(?m)^/.*$`).FindAllString(out, -1)
	for _, path := range left {
		if !regexp.MustCompile(`^(/etc/ctsync|/var/lib/ctsync|/etc/default/ctsync-exporter)(/|$)`).MatchString(path) {
			fail("left behind: %s", path)
		}
	}
	if !strings.HasSuffix(out, "not-found") || !strings.Contains(out, "/etc/ctsync/ctsync.toml") {
		fail("after make uninstall: %s", out)
	}
}
