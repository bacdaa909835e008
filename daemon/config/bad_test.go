package config_test

import "strings"

// badFiles holds files that are refused, with the whole text of the error.
var badFiles = []struct{ name, text, want string }{
	// What TOML itself refuses.
	{"no quotes", "mode = ftfw\n" + tables,
		`f:1:8: ftfw is not a value: text needs quotes, "ftfw"`},
	{"no quotes around a time", "coalesce = 1ms\n" + tables,
		`f:1:12: 1ms is not a value: text needs quotes, "1ms"`},
	{"no quotes around an address", "mcast-group = 225.0.0.50 # the group\n" + tables,
		`f:1:15: 225.0.0.50 is not a value: text needs quotes, "225.0.0.50"`},
	{"yes", "startup-resync = yes\n" + tables,
		`f:1:18: yes is not a value; did you mean true?`},
	{"off", "disable-syslog = Off\n" + tables,
		`f:1:18: Off is not a value; did you mean false?`},
	{"not TOML", "Sync {\n",
		`f:1:6: expected '=' after key`},
	{"unfinished list", "listen-address = ['198.51.100.1'\n" + tables,
		`f:2:1: expected ',' or ']' after array value`},
	{"not UTF-8", "socket = '/\xff'\n" + tables,
		`f:1:12: invalid UTF-8 character in literal string`},
	{"syntax error hides the rest", "nonsense = 1\nmode =\n",
		`f:2:7: unexpected character U+000A at start of value`},

	// Structure.
	{"empty", "",
		`f: [failover-mechanism.vrrp] with its sync-group is missing: it names the vrrp_sync_group of keepalived.conf
f: [interface.NAME] is missing: it names the dedicated link to the peer, such as [interface.eth0]`},
	{"key twice", "cache-limit = 1\ncache-limit = 2\n" + tables,
		`f:2:1: "cache-limit" is already set on line 1`},
	{"key twice in an inline table", "interface = {eth0 = {port = 1, port = 2}}\n[failover-mechanism.vrrp]\nsync-group = 'g'",
		`f:1:32: "port" is already set on line 1`},
	{"table twice", tables + "[interface.eth0]\nport = 3",
		`f:4:2: the table [interface.eth0] is already on line 3`},
	{"value as table", "interface = 'eth0'\n[failover-mechanism.vrrp]\nsync-group = 'g'\n",
		`f:1:1: interface is a table: write [interface.eth0] for the link eth0`},
	{"value then table", "mode = 'ftfw'\n[mode]\nx = 1\n" + tables,
		`f:2:2: key mode should be a table, not a value`},
	{"list of tables", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[[interface.eth0]]\n",
		`f:3:3: a table has single brackets: [interface.eth0]`},
	{"list of links", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[[interface]]\nname = 'eth0'\n",
		`f:3:3: a table has single brackets: [interface]
f:4:1: "name" is in [interface], which names no interface: write [interface.eth0] for the link eth0`},
	{"link without a name", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface]\nport = 3780\n",
		`f:4:1: "port" is in [interface], which names no interface: write [interface.eth0] for the link eth0`},
	{"no link at all", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface]\n",
		`f:3:2: interface is a table: write [interface.eth0] for the link eth0`},
	{"VLAN without quotes", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.eth0.5]\nport = 3780\n",
		`f:3:2: a name with a dot needs quotes: [interface."eth0.5"]`},
	{"too many links", tables + "port = 0\n[interface.eth1]\nport = 0\n[interface.eth2]\n[interface.eth3]\n[interface.eth4]\nport = 0\n[interface.eth5]",
		`f:4:8: port = 0 is out of range: 1 to 65535
f:6:8: port = 0 is out of range: 1 to 65535
f:9:2: more than 4 links: remove this one; conntrackd has the same limit
f:10:8: port = 0 is out of range: 1 to 65535`},
	{"two kinds of links", tables + "[interface.eth1]\npeer = '198.51.100.2'\n[interface.eth2]",
		`f:3:2: [interface.eth0] has no peer, which makes it multicast, and [interface.eth1] has one (line 5), which makes it unicast: give every link a peer, or none
f:6:2: [interface.eth2] has no peer, which makes it multicast, and [interface.eth1] has one (line 5), which makes it unicast: give every link a peer, or none`},
	{"mcast-peer on a unicast link", tables + "peer = '198.51.100.2'\nmcast-peer = '198.51.100.2'",
		`f:5:1: peer and mcast-peer exclude each other: [interface.eth0] has the peer 198.51.100.2, which makes the link unicast`},
	{"mcast-peer of the other family", tables + "mcast-peer = 'fe80::2%eth0'",
		`f:4:1: mcast-peer = "fe80::2" is not of the family of mcast-group, 225.0.0.50`},
	{"mcast-peer elsewhere", "mcast-group = 'ff02::50'\n" + tables + "mcast-peer = 'fe80::2%eth9'",
		`f:5:1: mcast-peer = "fe80::2%eth9" is on interface eth9, the link is on eth0`},
	{"mcast-peer on one of two links", tables + "mcast-peer = '198.51.100.2'\n[interface.eth1]",
		`f:5:2: [interface.eth1] has no mcast-peer and [interface.eth0] has one (line 4): name the other router on every link, or on none`},
	{"one peer on two links", tables + "peer = '198.51.100.2'\n[interface.eth1]\nport = 3780\npeer = '198.51.100.2'",
		`f:7:1: [interface.eth1] and [interface.eth0] (line 3) have the same peer 198.51.100.2 and port 3780: give this link the address that the other router has on it`},
	{"name too long", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.abcdefghijklmnop]",
		`f:3:2: "abcdefghijklmnop" is not a valid interface name: it has 16 bytes, at most 15 are allowed`},
	{"name with a slash", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.'a/b']",
		`f:3:2: "a/b" is not a valid interface name: it contains '/'`},
	{"name of a directory", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.'..']",
		`f:3:2: ".." is not a valid interface name: it is reserved`},
	{"empty name", "[failover-mechanism.vrrp]\nsync-group = 'g'\n[interface.'']",
		`f:3:2: "" is not a valid interface name: it is reserved`},
	{"failover as value", "failover-mechanism = 'vrrp'\n[interface.eth0]",
		`f:1:1: failover-mechanism is a table: write [failover-mechanism.vrrp] and below it sync-group = "..."`},
	{"vrrp as value", "[failover-mechanism]\nvrrp = 'syncgrp'\n[interface.eth0]",
		`f:2:1: vrrp is a table: write [failover-mechanism.vrrp] and below it sync-group = "..."`},
	{"empty failover", "[failover-mechanism]\n[interface.eth0]",
		`f:1:2: failover-mechanism is a table: write [failover-mechanism.vrrp] and below it sync-group = "..."`},
	{"other mechanism", "[failover-mechanism.carp]\nsync-group = 'g'\n[interface.eth0]",
		`f:1:2: unknown failover mechanism "carp": vrrp is the only one, write [failover-mechanism.vrrp]`},
	{"sync-group one table too high", "[failover-mechanism]\nsync-group = 'g'\n[interface.eth0]",
		`f:2:1: sync-group belongs in [failover-mechanism.vrrp]`},
	{"instance one table too high", "[failover-mechanism]\ninstance = 'VI_1'\n[interface.eth0]",
		`f:2:1: instance belongs in [failover-mechanism.vrrp]`},
	{"sync-group and instance", "[failover-mechanism.vrrp]\nsync-group = 'g'\ninstance = 'VI_1'\n[interface.eth0]",
		`f:3:1: instance and sync-group (line 2) exclude each other: keepalived moves the members of a group together, so the group alone makes the role; remove one of the two`},
	{"instance with a quote", "[failover-mechanism.vrrp]\ninstance = 'V\"1'\n[interface.eth0]",
		`f:2:12: instance = "V\"1" is not a valid name of a vrrp_instance`},
	{"no sync-group", "[failover-mechanism.vrrp]\n[interface.eth0]",
		`f:1:2: [failover-mechanism.vrrp] has no sync-group: it names the vrrp_sync_group of keepalived.conf`},

	// Unknown keys.
	{"underscores", "event_listen_queue_size = 8\n" + tables,
		`f:1:1: unknown key "event_listen_queue_size"; did you mean "event-listen-queue-size"?`},
	{"case", "Mcast-Group = '225.0.0.50'\n" + tables,
		`f:1:1: unknown key "Mcast-Group"; did you mean "mcast-group"?`},
	{"slip", "listen-adress = []\n" + tables,
		`f:1:1: unknown key "listen-adress"; did you mean "listen-address"?`},
	{"unknown", "colour = 'blue'\n" + tables,
		`f:1:1: unknown key "colour"`},
	{"table misspelt", "[interfaces.eth0]\n[failover-mechanism.vrrp]\nsync-group = 'g'\n",
		`f:1:2: unknown key "interfaces"; did you mean "interface"?
f: [interface.NAME] is missing: it names the dedicated link to the peer, such as [interface.eth0]`},
	{"top key below a table", tables + "startup-resync = true\n",
		`f:4:1: unknown key "startup-resync": it belongs at the top of the file, before the first [table]`},
	{"link key at the top", "peer = '198.51.100.2'\n" + tables,
		`f:1:1: unknown key "peer": it belongs in [interface.NAME]`},
	{"misspelt link key at the top", "Port = 3780\n" + tables,
		`f:1:1: unknown key "Port": for conntrackd's Port write port (in [interface.NAME])`},

	// Types and values.
	{"integers", "cache-limit = 'many'\npurge-timeout = '60s'\nsync-queue-size = 1.5\nevent-listen-queue-size = true\n" + tables + "port = '3780'",
		`f:1:15: cache-limit wants an integer from 0 to 33546240, not the string "many"
f:2:17: purge-timeout wants an integer from 1 to 86400 seconds, not the string "60s"
f:3:19: sync-queue-size wants an integer from 1 to 256 MB, not the number 1.5
f:4:27: event-listen-queue-size wants an integer from 1 to 1024 MB, not true
f:8:8: port wants an integer from 1 to 65535, not the string "3780"`},
	{"bounds", "cache-limit = -1\npurge-timeout = 0\nsync-queue-size = 257\nevent-listen-queue-size = 0\nsocket-group = 4294967295\n" + tables + "port = 65536",
		`f:1:15: cache-limit = -1 is out of range: 0 to 33546240
f:2:17: purge-timeout = 0 is out of range: 1 to 86400 seconds
f:3:19: sync-queue-size = 257 is out of range: 1 to 256 MB
f:4:27: event-listen-queue-size = 0 is out of range: 1 to 1024 MB
f:5:16: socket-group = 4294967295 is out of range: 0 to 4294967294
f:9:8: port = 65536 is out of range: 1 to 65535`},
	{"number beyond 64 bits", "cache-limit = 99999999999999999999\n" + tables,
		`f:1:15: cache-limit = 99999999999999999999 is out of range: 0 to 33546240`},
	{"booleans", "startup-resync = 'true'\ndisable-syslog = 1\ntcp-window-tracking = 2026-01-01\n" + tables,
		`f:1:18: startup-resync wants true or false, not the string "true"
f:2:18: disable-syslog wants true or false, not the integer 1
f:3:23: tcp-window-tracking wants true or false, not the date or time 2026-01-01`},
	{"times", "coalesce = 1\nsweep-interval = '60'\n" + tables,
		`f:1:12: coalesce wants a time with its unit in quotes, such as "500ms" or "60s", not the integer 1
f:2:18: sweep-interval = "60" is not a time: write a number with its unit (ms, s, m, h), such as "500ms" or "60s"`},
	{"time bounds", "coalesce = '-1ms'\nsweep-interval = '10ms'\n" + tables,
		`f:1:12: coalesce = "-1ms" is out of range: 0s to 100ms
f:2:18: sweep-interval = "10ms" is out of range: 1s to 24h0m0s`},
	{"paths", "socket = 'run/s'\nstate-directory = {}\n" + tables,
		`f:1:10: socket = "run/s" is not an absolute path
f:2:19: state-directory wants an absolute path in quotes, not a table`},
	{"socket that is a directory", "socket = '/run/ctsync/'\nstate-directory = \"/a\\nb\"\n" + tables,
		`f:1:10: socket = "/run/ctsync/" is a directory
f:2:19: state-directory = "/a\nb" contains a control character`},
	{"socket too long", "socket = '/" + strings.Repeat("x", 107) + "'\n" + tables,
		`f:1:10: socket = "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"... has 108 bytes, at most 107 are allowed for a socket`},
	{"no such group", "socket-group = 'no such group'\n" + tables,
		`f:1:16: socket-group = "no such group": this system has no such group`},
	{"no such control group", "control-group = 'no such group'\n" + tables,
		`f:1:17: control-group = "no such group": this system has no such group`},
	{"metrics have moved", "metrics-listen = '192.0.2.1:9780'\nmetrics-web-config = '/etc/ctsync/web.yml'\n" + tables,
		`f:1:1: metrics-listen is now a flag of ctsync-exporter, which serves the metrics over TCP: remove this line, write --web.listen-address=192.0.2.1:9780 into ARGS in /etc/default/ctsync-exporter, and run systemctl enable --now ctsync-exporter
f:2:1: metrics-web-config is now a flag of ctsync-exporter, which serves the metrics over TCP: remove this line, write --web.config.file=/etc/ctsync/web.yml into ARGS in /etc/default/ctsync-exporter, and run systemctl enable --now ctsync-exporter`},
	{"metrics at a port alone have moved", "metrics-listen = 9780\n" + tables,
		`f:1:1: metrics-listen is now a flag of ctsync-exporter, which serves the metrics over TCP: remove this line, write --web.listen-address=127.0.0.1:9780 into ARGS in /etc/default/ctsync-exporter, and run systemctl enable --now ctsync-exporter`},
	{"group of a wrong type", "socket-group = true\n" + tables,
		`f:1:16: socket-group wants the name or number of a group, not true`},
	{"empty sync-group", "[failover-mechanism.vrrp]\nsync-group = ' '\n[interface.eth0]",
		`f:2:14: sync-group is empty: it names the vrrp_sync_group of keepalived.conf`},
	{"list as sync-group", "[failover-mechanism.vrrp]\nsync-group = ['g']\n[interface.eth0]",
		`f:2:1: sync-group wants the name of a vrrp_sync_group of keepalived.conf in quotes, not a list`},
	{"sync-group over two lines", "[failover-mechanism.vrrp]\nsync-group = \"a\\nb\"\n[interface.eth0]",
		`f:2:14: sync-group = "a\nb" is not a valid name of a vrrp_sync_group`},

	// Addresses.
	{"peer is a group", tables + "peer = '225.0.0.50'",
		`f:4:8: peer = "225.0.0.50" is a multicast group, not the address of a router; a group belongs in mcast-group`},
	{"peer is a network", tables + "peer = '198.51.100.2/24'",
		`f:4:8: peer = "198.51.100.2/24" is a network, not an address; did you mean "198.51.100.2"?`},
	{"peer is a name", tables + "peer = 'router2'",
		`f:4:8: peer = "router2" is not an IPv4 or IPv6 address`},
	{"peer is a list", tables + "peer = ['198.51.100.2', '2001:db8::2']",
		`f:4:1: peer wants an address in quotes, not a list`},
	{"peer is unspecified", tables + "peer = '::'",
		`f:4:8: peer = "::" is not the address of a router: leave peer out`},
	{"peer is broadcast", tables + "peer = '255.255.255.255'",
		`f:4:8: peer = "255.255.255.255" is the broadcast address, not that of a router`},
	{"peer is mapped", tables + "peer = '::ffff:198.51.100.2'",
		`f:4:8: peer = "::ffff:198.51.100.2" is an IPv4 address written as IPv6: write "198.51.100.2"`},
	{"peer on another link", tables + "peer = 'fe80::2%eth1'",
		`f:4:1: peer = "fe80::2%eth1" is on interface eth1, the link is on eth0`},
	{"group is unicast", "mcast-group = '198.51.100.1'\n" + tables,
		`f:1:15: mcast-group = "198.51.100.1" is not a multicast group (224.0.0.0/4 or ff00::/8); a unicast address belongs in peer of [interface.NAME]`},
	{"group of this host", "mcast-group = 'ff01::50'\n" + tables,
		`f:1:15: mcast-group = "ff01::50" never leaves this router: use one of link-local scope, such as "ff02::50"`},
	{"group with a zone", "mcast-group = 'ff02::50%eth0'\n" + tables,
		`f:1:15: mcast-group = "ff02::50%eth0" has a zone: write "ff02::50", the interface is the one of each [interface.NAME]`},
	{"group and peer", "mcast-group = '225.0.0.50'\n" + tables + "peer = '198.51.100.2'",
		`f:1:1: mcast-group and peer exclude each other: [interface.eth0] has the peer 198.51.100.2 (line 5), which makes the link unicast; remove one of the two`},
	{"listen-address is no list", "listen-address = '198.51.100.1'\n" + tables,
		`f:1:18: listen-address wants a list: write listen-address = ["198.51.100.1"]`},
	{"listen-address is a number", "listen-address = 1\n" + tables,
		`f:1:18: listen-address wants a list: write listen-address = ["198.51.100.1"]`},
	{"listen-address of odd things", "listen-address = [1, '0.0.0.0', '239.0.0.1']\n" + tables,
		`f:1:19: listen-address wants an address in quotes, not the integer 1
f:1:22: listen-address = "0.0.0.0" is not the address of a router: leave listen-address out
f:1:33: listen-address = "239.0.0.1" is a multicast group, not the address of a router; a group belongs in mcast-group`},
	{"listen-address twice", "listen-address = ['198.51.100.1', '2001:db8::1', '198.51.100.1']\n" + tables,
		`f:1:50: listen-address has 198.51.100.1 twice`},
	{"listening on no link", "listen-address = ['fe80::1%eth9']\nmcast-group = 'ff02::50'\n" + tables + "[interface.eth1]",
		`f:1:1: listen-address = "fe80::1%eth9" is on interface eth9, the links are on eth0, eth1
f:1:1: listen-address has no address for [interface.eth0]: the link sends to ff02::50
f:1:1: listen-address has no address for [interface.eth1]: the link sends to ff02::50`},
	{"fewer addresses than links", "listen-address = ['198.51.100.1', '2001:db8::1']\n" + tables + "[interface.eth1]",
		`f:1:1: listen-address has too few addresses for the links eth0, eth1: each sends from an address of its own interface`},
	{"none of the link's family", "listen-address = ['2001:db8::1']\n" + tables,
		`f:1:1: listen-address has no address of the link's family: the link sends to 225.0.0.50`},
	{"listening where the peer is", "listen-address = ['198.51.100.2']\n" + tables + "peer = '198.51.100.2'",
		`f:1:1: listen-address and peer are both 198.51.100.2: peer is the address of the other router`},

	// What is replicated.
	{"one protocol", "accept-protocol = 'tcp'\n" + tables,
		`f:1:19: accept-protocol wants a list: write accept-protocol = ["tcp"]`},
	{"protocols", "accept-protocol = [6, true, 'tpc', 256, 'udp']\nignore-protocol = ['nonsense']\n" + tables,
		`f:1:23: accept-protocol wants names or numbers of protocols, not true
f:1:29: accept-protocol = "tpc" is no protocol: write a name of /etc/protocols or a number from 0 to 255; did you mean "tcp"?
f:1:36: accept-protocol = "256" is no protocol: write a name of /etc/protocols or a number from 0 to 255
f:2:20: ignore-protocol = "nonsense" is no protocol: write a name of /etc/protocols or a number from 0 to 255`},
	{"protocols both ways", "accept-protocol = ['tcp']\nignore-protocol = ['udp']\n" + tables,
		`f:2:1: ignore-protocol and accept-protocol (line 1) exclude each other: what is not accepted is ignored; remove one`},
	{"states both ways", "ignore-state = ['SYN_SENT']\naccept-state = ['ESTABLISHED']\n" + tables,
		`f:1:1: ignore-state and accept-state (line 2) exclude each other: what is not accepted is ignored; remove one`},
	{"states", "accept-state = ['OPEN', 1]\n" + tables,
		`f:1:17: accept-state = "OPEN" is no state of TCP: write any of SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2, CLOSED, LISTEN
f:1:25: accept-state = "1" is no state of TCP: write any of SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2, CLOSED, LISTEN`},
	{"status", "accept-status = ['answered']\n" + tables,
		`f:1:18: accept-status = "answered" is none of replied, assured`},
	{"accepted addresses", "accept-address = ['own', 'src:here', 'reply-dst:192.0.2.1/24']\n" + tables,
		`f:1:19: accept-address = "own" is not an IPv4 or IPv6 address or network
f:1:26: accept-address = "src:here" is not an IPv4 or IPv6 address or network
f:1:38: accept-address = "reply-dst:192.0.2.1/24" has host bits set: write "192.0.2.0/24" for the network or "192.0.2.1" for the address`},
	{"words of conntrackd", "CommitTimeout = 180\nstate-accept = []\nHashLimit = 1\nexpectation_sync = []\nTCP = 1\nexpect-sync = ['ras', 'TNS', 'rpc', 'on']\n" + tables,
		`f:1:1: unknown key "CommitTimeout": conntrackd's CommitTimeout is not needed: a flow is restored with the timeout that it has left
f:2:1: unknown key "state-accept": write accept-state
f:3:1: unknown key "HashLimit": for conntrackd's HashLimit write cache-limit
f:4:1: unknown key "expectation_sync": for conntrackd's ExpectationSync write expect-sync (["all"] for on; ras, q.931 and h.245 are "h323", rpc is "nfs", tns is "sqlnet")
f:5:1: unknown key "TCP": conntrackd's TCP is not in ctsync: use UDP, which FTFW makes reliable
f:6:16: expect-sync = "ras" is none of all, ftp, h323, nfs, sip, sqlnet: the helper ras belongs to "h323"
f:6:23: expect-sync = "TNS" is none of all, ftp, h323, nfs, sip, sqlnet: the helper tns belongs to "sqlnet"
f:6:30: expect-sync = "rpc" is none of all, ftp, h323, nfs, sip, sqlnet: the helper rpc belongs to "nfs"
f:6:37: expect-sync = "on" is none of all, ftp, h323, nfs, sip, sqlnet; did you mean "all"?`},
	{"one network", "ignore-address = '192.0.2.0/24'\n" + tables,
		`f:1:18: ignore-address wants a list: write ignore-address = ["192.0.2.0/24"]`},
	{"ignored addresses", "ignore-address = [true, 'self', '192.0.2.1/24', '2001:db8::1/64', '192.0.2.0/33', 'fe80::1%eth0', '::ffff:192.0.2.1', '::ffff:192.0.2.0/120', '']\n" + tables,
		`f:1:19: ignore-address wants addresses, networks and "own" in quotes, not true
f:1:25: ignore-address = "self" is not an IPv4 or IPv6 address or network, nor "own"
f:1:33: ignore-address = "192.0.2.1/24" has host bits set: write "192.0.2.0/24" for the network or "192.0.2.1" for the address
f:1:49: ignore-address = "2001:db8::1/64" has host bits set: write "2001:db8::/64" for the network or "2001:db8::1" for the address
f:1:67: ignore-address = "192.0.2.0/33" is not an IPv4 or IPv6 address or network, nor "own"
f:1:83: ignore-address = "fe80::1%eth0" has a zone, which flows do not have: write "fe80::1"
f:1:99: ignore-address = "::ffff:192.0.2.1" is an IPv4 address written as IPv6: write "192.0.2.1"
f:1:119: ignore-address = "::ffff:192.0.2.0/120" is an IPv4 network written as IPv6: write "192.0.2.0/24"
f:1:143: ignore-address = "" is not an IPv4 or IPv6 address or network, nor "own"`},
	{"protocols of expect-sync", "expect-sync = ['ftp', 1, 'FTP', 'ftp', 'pptp']\n" + tables,
		`f:1:23: expect-sync wants the name of a protocol in quotes, not the integer 1
f:1:26: expect-sync = "FTP" is none of all, ftp, h323, nfs, sip, sqlnet; did you mean "ftp"?
f:1:33: expect-sync has ftp twice
f:1:40: expect-sync = "pptp" is none of all, ftp, h323, nfs, sip, sqlnet`},
	{"all and more", "expect-sync = ['all', 'ftp']\n" + tables,
		`f:1:1: expect-sync has all and other protocols: all must be alone`},
	{"expect-sync without a list", "expect-sync = 'ftp'\n" + tables,
		`f:1:15: expect-sync wants a list of protocols, such as ["ftp", "sip"], or ["all"], not the string "ftp"`},

	// Keys of later versions.
	{"not yes", "disable-external-cache = 'yes'\n" + tables,
		`f:1:26: disable-external-cache wants true or false, not the string "yes"`},
	{"later", "mode = 'alarm'\n" + tables,
		`f:1:8: mode = "alarm" is not supported yet: this version supports only "ftfw"`},
	{"no mode", "mode = 'tcp'\n" + tables,
		`f:1:8: mode = "tcp" is not a mode: this version supports only "ftfw"`},
	{"mode of a wrong type", "mode = ['ftfw']\n" + tables,
		`f:1:1: mode wants "ftfw", not a list`},

	// All at once, in the order of the file.
	{"all at once", "[interface.eth0]\nport = 0\npear = '1.2.3.4'\n[failover-mechanism.vrrp]\nsync_group = 'g'\n[zzz]\n",
		`f:2:8: port = 0 is out of range: 1 to 65535
f:3:1: unknown key "pear"; did you mean "peer"?
f:4:2: [failover-mechanism.vrrp] has no sync-group: it names the vrrp_sync_group of keepalived.conf
f:5:1: unknown key "sync_group"; did you mean "sync-group"?
f:6:2: unknown key "zzz"`},
}
