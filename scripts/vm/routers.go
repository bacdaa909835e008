package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// network makes a router of a machine, at every boot. The second one has the client and the server, too, in namespaces
// that bridges join to the wires: they are neighbours of both routers, and survive the first one.
const network = `#!/bin/bash
set -eu
n=%d wan=eth0 lan=eth1
if [ $n = 2 ]; then
	for wire in 0:server:203.0.113.100:203.0.113.1 1:client:10.10.0.100:10.10.0.1; do
		IFS=: read -r i name address gateway <<<"$wire"
		ip link add br$i type bridge forward_delay 0
		ip netns add $name
		ip link add veth$i type veth peer name eth0 netns $name
		ip link set eth$i master br$i up
		ip link set veth$i master br$i up
		ip -n $name address add $address/24 dev eth0
		ip -n $name link set lo up
		ip -n $name link set eth0 up
		ip -n $name route add default via $gateway
	done
	ip -n server route del default # it answers the translated address alone
	wan=br0 lan=br1
fi
ip link set $wan up
ip link set $lan up
ip link set eth2 up
ip address add 203.0.113.$((n+1))/24 dev $wan
ip address add 10.10.0.$((n+1))/24 dev $lan
ip address add 198.51.100.$n/24 dev eth2
modprobe nf_conntrack
sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_tcp_loose=0
nft -f - <<END
table ip lab {
	chain forward { type filter hook forward priority 0; ct state invalid drop; }
	chain input { type filter hook input priority 0; ct state invalid drop; }
	chain out { type nat hook postrouting priority 100; oifname $wan ip saddr 10.10.0.0/24 snat to 203.0.113.1; }
}
END
`

// networkUnit makes the network before those who need it.
const networkUnit = `[Unit]
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-network
[Install]
WantedBy=multi-user.target
`

// keepalivedConfig makes keepalived's configuration of the shipped example. Its scripts run as members of ctsync.
const keepalivedConfig = `set -e
id keepalived_script >/dev/null 2>&1 || useradd -r -G ctsync keepalived_script
sed -e 's/script_user root/script_user keepalived_script ctsync/' -e '%s' \
	/usr/share/doc/ctsync/keepalived.conf.example >/etc/keepalived/keepalived.conf
ctsyncd --check
`

func keepalivedServes(l *lab) {
	l.begin(l.a)
	l.sh(l.a, fmt.Sprintf(keepalivedConfig, ""))
	l.sh(l.a, "systemctl reset-failed keepalived; systemctl restart keepalived")
	l.soon(l.a, 30*time.Second, "ctsync show status", `(?m)^role +: master since`)
	l.soon(l.a, 10*time.Second, "ctsync show transitions", "MASTER")
	l.want(l.a, "journalctl -u keepalived -o cat --no-pager | grep -ciE 'unsafe|disabling.*script|Unable to set' || true", "^0$")
	l.sh(l.a, "systemctl reload keepalived; sleep 2")
	l.want(l.a, "ctsync show status", `(?m)^role +: master since`)
	l.sh(l.a, "systemctl stop keepalived")
	l.soon(l.a, 10*time.Second, "ctsync show status", `(?m)^role +: stop since`)
}

func strangers(l *lab) {
	l.begin(l.a)
	const as = "setpriv --reuid %s --regid %s --clear-groups ctsync %s 2>&1; echo status $?"
	for _, words := range []string{"show status", "flush", "notify master"} {
		l.want(l.a, fmt.Sprintf(as, "nobody", "nogroup", words), `(?i)permission denied[\s\S]*status [13]$`)
	}
	l.want(l.a, fmt.Sprintf(as, "keepalived_script", "ctsync", "show status"), "status 0$")
	l.sh(l.a, "groupadd -f readers")
	l.want(l.a, "stat -c %a /run/ctsync", "^1?775$")
}

func parks(l *lab) {
	l.sh(l.a, "systemctl stop ctsyncd keepalived; systemctl start keepalived")
	l.soon(l.a, 20*time.Second, "cat /run/ctsync/*parked", "MASTER")
	l.begin(l.a)
	l.soon(l.a, 20*time.Second, "ctsync show status", `(?m)^role +: master since`)
}

// bootTimes are when the daemon was ready and keepalived was started, in microseconds since the boot.
func (l *lab) bootTimes(m *machine) (ready, started int) {
	out := l.sh(m, "systemctl show ctsyncd -P ActiveEnterTimestampMonotonic; "+
		"systemctl show keepalived -P ExecMainStartTimestampMonotonic")
	if _, err := fmt.Sscan(out, &ready, &started); err != nil {
		fail("times of the boot: %v: %q", err, out)
	}
	return ready, started
}

func boots(l *lab) {
	l.begin(l.a)
	n := l.unasked(l.a)
	l.sh(l.a, "systemctl enable -q ctsyncd keepalived")
	l.reboot(l.a)
	l.soon(l.a, time.Minute, "ctsync show status", `(?m)^role +: master since`)
	if ready, started := l.bootTimes(l.a); ready == 0 || started < ready {
		fail("ctsyncd was ready at %d µs, keepalived started at %d µs", ready, started)
	}
	if now := l.unasked(l.a); now != n {
		fail("the boot counts as a restart that nobody asked for")
	}
	l.want(l.a, "systemctl --failed --no-legend --no-pager", "^$")
}

func early(l *lab) {
	l.sh(l.a, "systemctl disable -q ctsyncd")
	l.reboot(l.a)
	l.soon(l.a, time.Minute, "ip -br address show eth0", `203\.0\.113\.1/`) // keepalived is MASTER
	l.want(l.a, "systemctl show ctsyncd -P ActiveState", "inactive")
	l.soon(l.a, 10*time.Second, "cat /run/ctsync/*parked", "MASTER")
	l.begin(l.a)
	l.soon(l.a, 20*time.Second, "ctsync show status", `(?m)^role +: master since`)
	l.sh(l.a, "systemctl enable -q ctsyncd")
}

// answers is how many there were in the conversation, and the longest pause.
func (l *lab) answers() (n int, longest time.Duration) {
	out := l.sh(l.b, "cat /run/talk")
	found := regexp.MustCompile(`^answers (\d+) longest (\d+) ms$`).FindStringSubmatch(out)
	if found == nil {
		fail("the conversation: %s", out)
	}
	n, _ = strconv.Atoi(found[1])
	ms, _ := strconv.Atoi(found[2])
	return n, time.Duration(ms) * time.Millisecond
}

func failover(l *lab) {
	l.begin(l.a)
	l.sh(l.a, fmt.Sprintf(keepalivedConfig, "")+"systemctl restart keepalived")
	l.soon(l.a, 30*time.Second, "ctsync show status", `(?m)^role +: master since`)
	l.begin(l.b)
	l.sh(l.b, fmt.Sprintf(keepalivedConfig, "s/interface eth/interface br/; s/priority 150/priority 100/")+
		"systemctl restart keepalived")
	l.soon(l.b, 30*time.Second, "ctsync show status", `(?m)^role +: backup since`)
	for _, m := range []*machine{l.a, l.b} {
		l.soon(m, 40*time.Second, "ctsync show status", `(?m)^in step +: yes`)
	}
	l.sh(l.b, `vm=/media/payload/vm
systemd-run -q --unit echo ip netns exec server $vm echo 203.0.113.100:7
sleep 1
systemd-run -q --unit talk ip netns exec client $vm talk 203.0.113.100:7 /run/talk`)
	l.soon(l.b, 20*time.Second, "cat /run/talk", `answers \d\d`)
	l.soon(l.b, 20*time.Second, "ctsync show cache external --filter dport:7", `10\.10\.0\.100`)
	before, _ := l.answers()
	l.a.kill()
	l.soon(l.b, 30*time.Second, "ctsync show status", `(?m)^role +: master since`)
	l.soon(l.b, 30*time.Second, "ctsync show transitions", `done`)
	l.want(l.b, "conntrack -L -p tcp --dport 7 2>/dev/null", `ESTABLISHED src=10\.10\.0\.100 .*dst=203\.0\.113\.1 `)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		now, longest := l.answers()
		if now > before+20 {
			l.say("      the longest pause of the connection was %v", longest)
			return
		}
		if time.Now().After(deadline) {
			fail("the connection stands still: %d answers before the failover, now %d", before, now)
		}
	}
}
