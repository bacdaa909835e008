package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
)

var update = flag.Bool("update", false, "write the golden files")

// Local times are the same everywhere. Changing the zone later would race with servers that an earlier test is ending.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	testMain(m)
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// The page of reference/vyos-conntrack-sync.txt, with its runs of blanks collapsed as the page has them.
const (
	pageStatistics = `Main Table Statistics:

cache internal:
current active connections: 19606
connections created: 6298470 failed: 0
connections updated: 3786793 failed: 0
connections destroyed: 6278864 failed: 0

cache external:
current active connections: 15771
connections created: 1660193 failed: 0
connections updated: 77204 failed: 0
connections destroyed: 1644422 failed: 0

traffic processed:
0 Bytes 0 Pckts

multicast traffic (active device=eth0.5):
976826240 Bytes sent 212898000 Bytes recv
8302333 Pckts sent 2009929 Pckts recv
0 Error send 0 Error recv

message tracking:
0 Malformed msgs 263 Lost msgs
`
	pageStatus = `sync-interface : eth0.5
failover-mechanism : vrrp [sync-group GEFOEKOM]
last state transition : no transition yet!
ExpectationSync : disabled
`
	pageTable = `TCP state codes: SS - SYN SENT, SR - SYN RECEIVED, ES - ESTABLISHED,
FW - FIN WAIT, CW - CLOSE WAIT, LA - LAST ACK,
TW - TIME WAIT, CL - CLOSE, LI - LISTEN

CONN ID Source Destination Protocol TIMEOUT
1015736576 10.35.100.87:58172 172.31.20.12:22 tcp [6] ES 430279
1006235648 10.35.101.221:57483 172.31.120.21:22 tcp [6] ES 413310
1006237088 10.100.68.100 172.31.120.21 icmp [1] 29
1015734848 10.35.100.87:56282 172.31.20.12:22 tcp [6] ES 300
1015734272 172.31.20.12:60286 239.10.10.14:694 udp [17] 29
1006239392 10.35.101.221 172.31.120.21 icmp [1] 29
`
)

// collapse replaces every run of blanks by one, and removes those around lines.
func collapse(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

// page compares got, or the beginning of it, with what the page shows.
func page(t *testing.T, want string, got []byte) {
	t.Helper()
	text := collapse(string(got))
	if len(text) > len(want) {
		text = text[:len(want)]
	}
	if d := cmp.Diff(want, text); d != "" {
		t.Errorf("not the page's layout (-page +got):\n%s", d)
	}
}

func pageNumbers() control.Statistics {
	return control.Statistics{
		Internal: control.CacheStats{
			Active: 19606, Created: 6298470, Updated: 3786793, Destroyed: 6278864, Objects: 19700, Total: 19700,
			Limit: 524288, Bytes: 2097152,
		},
		External: control.CacheStats{
			Active: 15771, Created: 1660193, Updated: 77204, Destroyed: 1644422, Objects: 15771, Total: 15771,
			Limit: 524288, Bytes: 1835008,
		},
		Links: []control.LinkStatistics{{
			Transport: control.TransportMulticast, Device: "eth0.5", State: "RUNNING", Role: control.LinkActive,
			BytesSent: 976826240, BytesReceived: 212898000, PacketsSent: 8302333, PacketsReceived: 2009929,
			Dropped:       map[string]uint64{"wrong source": 3, "queue overflow": 1},
			SendBuffer:    control.Buffer{Asked: 1048576, Granted: 2097152},
			ReceiveBuffer: control.Buffer{Asked: 1048576, Granted: 2097152},
		}},
		Tracking: control.Tracking{Lost: 263, Before: 2, UnknownAttributes: 1},
		Session: control.SessionStatistics{
			State: "established", Sequence: 4000000001, PeerSequence: 77, Retransmitted: 300,
			Unacknowledged: 12, Window: 131072,
			Sent: map[string]uint64{"new": 6298470, "ack": 1000}, Received: map[string]uint64{"nack": 4},
		},
		Kernel: control.KernelStatistics{
			Events: 16363927, BufferBytes: 425984, BufferLimit: 8388608, TableEntries: 19606, TableMax: 262144,
			EventsSetting: 1, FilterInKernel: "whole",
			Conntrack: control.ConntrackCounters{Insert: new(uint64(99)), Drop: new(uint64(0))}, // no others
		},
		Unsupported: map[string]uint64{
			"flows: per-direction zone not carried by protocol v1": 17,
			"flows: GRE keys not carried by protocol v1":           3,
		},
		Commit: control.CommitStatistics{
			Commits: 1, Created: 99, Failed: 1, Errors: map[string]uint64{"EEXIST": 1},
		},
		Times: control.Times{
			EventAcknowledged: control.Histogram{
				Count: 200, Sum: control.Duration(11 * time.Second),
				Buckets: []control.Bucket{
					{UpTo: control.Duration(50 * time.Millisecond), Count: 90},
					{UpTo: control.Duration(100 * time.Millisecond), Count: 199},
					{UpTo: control.Duration(time.Minute), Count: 200},
				},
			},
			Takeover: control.Histogram{
				Count: 1, Sum: control.Duration(61 * time.Second),
				Buckets: []control.Bucket{{UpTo: control.Duration(time.Minute)}},
			},
		},
	}
}

func TestStatisticsLayout(t *testing.T) {
	got := appendStatistics(nil, pageNumbers())
	page(t, pageStatistics, got)
	golden(t, "statistics", got)
	golden(t, "statistics-detail", appendDetail(nil, pageNumbers()))
}

// The numbers of a real conntrackd -s (vectors/cli/stats-udp-transport.txt), byte for byte below the heading.
func TestStatisticsLikeConntrackd(t *testing.T) {
	s := control.Statistics{
		Internal: control.CacheStats{Active: 3, Created: 4, Updated: 12, Destroyed: 1},
		Links: []control.LinkStatistics{{
			Transport: control.TransportUDP, Device: "sync0", Role: control.LinkActive,
			BytesSent: 772, BytesReceived: 96, PacketsSent: 15, PacketsReceived: 6,
		}},
	}
	const want = "cache internal:\n" +
		"current active connections:\t           3\n" +
		"connections created:\t\t           4\tfailed:\t           0\n" +
		"connections updated:\t\t          12\tfailed:\t           0\n" +
		"connections destroyed:\t\t           1\tfailed:\t           0\n\n" +
		"cache external:\n" +
		"current active connections:\t           0\n" +
		"connections created:\t\t           0\tfailed:\t           0\n" +
		"connections updated:\t\t           0\tfailed:\t           0\n" +
		"connections destroyed:\t\t           0\tfailed:\t           0\n\n" +
		"traffic processed:\n" +
		"                   0 Bytes                         0 Pckts\n\n" +
		"UDP traffic (active device=sync0):\n" +
		"                 772 Bytes sent                   96 Bytes recv\n" +
		"                  15 Pckts sent                    6 Pckts recv\n" +
		"                   0 Error send                    0 Error recv\n\n" +
		"message tracking:\n" +
		"                   0 Malformed msgs                    0 Lost msgs\n\n"
	if d := cmp.Diff("Main Table Statistics:\n\n"+want, string(appendStatistics(nil, s))); d != "" {
		t.Errorf("(-conntrackd +got):\n%s", d)
	}
}

// The numbers of a real conntrackd -s with DisableExternalCache (vectors/cli/stats-and-dump-nocache.txt), byte for byte
// from its block on.
func TestInjectStatisticsLikeConntrackd(t *testing.T) {
	s := control.Statistics{
		Inject: &control.InjectStatistics{
			InjectCounts: control.InjectCounts{Created: 4, Updated: 12, Destroyed: 1},
			Flows:        3, Refreshed: 7, KeptOwn: 2, Missing: 1, Limit: 524288, Bytes: 4096,
			Errors: map[string]uint64{"ENOMEM": 1}, Degraded: map[string]uint64{"helper ftp": 1},
			Named: []string{"tcp 10.0.0.1:5 > 10.0.0.2:22: not restored: ENOMEM"},
		},
		Links: []control.LinkStatistics{{
			Transport: control.TransportUDP, Device: "sync0", Role: control.LinkActive,
			BytesSent: 48, BytesReceived: 1204, PacketsSent: 6, PacketsReceived: 6,
		}},
	}
	const want = "external inject:\n" +
		"connections created:\t\t           4\tfailed:\t           0\n" +
		"connections updated:\t\t          12\tfailed:\t           0\n" +
		"connections destroyed:\t\t           1\tfailed:\t           0\n\n" +
		"traffic processed:\n" +
		"                   0 Bytes                         0 Pckts\n\n" +
		"UDP traffic (active device=sync0):\n" +
		"                  48 Bytes sent                 1204 Bytes recv\n" +
		"                   6 Pckts sent                    6 Pckts recv\n" +
		"                   0 Error send                    0 Error recv\n\n" +
		"message tracking:\n" +
		"                   0 Malformed msgs                    0 Lost msgs\n\n"
	got := string(appendStatistics(nil, s))
	_, block, _ := strings.Cut(got, "external ")
	if diff := cmp.Diff(want, "external "+block); diff != "" || strings.Contains(got, "cache external") {
		t.Errorf("(-conntrackd +got):\n%s", diff)
	}
	s.Expect = &control.ExpectStatistics{Inject: &control.InjectCounts{Created: 2, CreateFailed: 1}}
	golden(t, "statistics-inject", appendDetail(appendStatistics(nil, s), s))
}

// TestExpectStatisticsLayout: VyOS prints conntrackd -s expect below the main table. Its last blocks are those of -s.
func TestExpectStatisticsLayout(t *testing.T) {
	s := pageNumbers()
	main := string(appendStatistics(nil, s))
	s.Expect = &control.ExpectStatistics{Internal: control.CacheStats{Active: 2, Created: 3, Destroyed: 1}}
	s.Commit.Expect = &control.ExpectResult{Created: 2, Failed: 1, Errors: map[string]uint64{"ENOENT, no master": 1}}
	got := appendStatistics(nil, s)
	const begin = "Expect Table Statistics:\n\ncache internal:\ncurrent active connections:\t           2\n"
	if expect, ok := strings.CutPrefix(string(got), main); !ok || !strings.HasPrefix(expect, begin) {
		t.Errorf("%s", got)
	}
	golden(t, "statistics-expect", appendDetail(got, s))
}

func TestStatusLayout(t *testing.T) {
	s := control.Status{
		Version: "0.1", PID: 4711, Mode: "ftfw", Started: at(0), Role: control.RoleUnknown, SyncGroup: "GEFOEKOM",
		Interface: "eth0.5", Transport: control.TransportMulticast,
		Why: []string{"no hello from the peer", "resync\nunder way"},
	}
	got := appendStatus(nil, s)
	page(t, pageStatus, got)
	golden(t, "status-fresh", got)

	s.Role, s.RoleSince, s.Established, s.InStep = control.RoleMaster, at(60), true, true
	s.Peer, s.PeerHeard = "198.51.100.2", at(100)
	s.LastTransition = &control.Transition{ID: 2, State: control.StateMaster, Sent: at(60)}
	s.Internal, s.External, s.ExpectationSync = 100000, 3, []string{"ftp", "sip"}
	s.Jobs = []control.Job{{Name: "commit", Started: at(61), Done: 1000, Total: 5000}, {Name: "purge"}}
	s.Warnings, s.NeedRestart = []string{"nf_conntrack_events is 0"}, []string{"interface", "mode"}
	s.Restarts = control.Restarts{Unasked: 2, Last: &control.Ended{
		Time: at(-60), Kind: control.EndedByPanic, What: "panic: no such flow, at core/turn.go:44", File: "/s/crash.last",
	}}
	golden(t, "status-master", appendStatus(nil, s))
	s.Restarts.Last = &control.Ended{Time: at(-60), Kind: control.EndedByKill, What: "no word was left"}

	s.Interface = "eth2, eth3"
	s.ActiveLink = &control.ActiveLink{Device: "eth3", Since: at(90), Reason: "eth2 is NO-CARRIER", Changes: 1}
	s.Warnings = []string{"the sync link on eth2 cannot stand in for the one on eth3: eth2 is NO-CARRIER"}
	golden(t, "status-two-links", appendStatus(nil, s))

	s.Senders = []control.Sender{
		{
			Address: "198.51.100.9", Device: "eth2", Seems: control.SeemsRouter, Why: "a pair has two members", Datagrams: 77,
			First: at(10), Last: at(99),
		},
	}
	s.Injecting, s.Injected, s.External = true, 4000, 0
	golden(t, "status-inject", appendStatus(nil, s))
}

func TestTransitionsLayout(t *testing.T) {
	golden(t, "transitions-none", appendTransitions(nil, nil))
	golden(t, "transitions", appendTransitions(nil, sampleTransitions()))
	for rows, first := range map[int]uint64{0: 98, 8: 98, 7: 99, 6: 100, 5: 101, 2: 101} { // all are 7 lines
		want := appendTransitions(nil, sampleTransitions()[first-98:])
		if got := appendLastTransitions(nil, sampleTransitions(), rows); !bytes.Equal(got, want) {
			t.Errorf("in %d rows: %s", rows, got)
		}
	}

	ts := sampleTransitions()[2:3]
	ts[0].Commit.Expect = &control.ExpectResult{
		Total: 2, Created: 1, Failed: 1, Errors: map[string]uint64{"ENOENT, no master": 1},
		Named: []string{"expectation tcp 10.0.0.1 > 10.0.0.2:50185: not restored: ENOENT, no master"},
	}
	golden(t, "transitions-expect", appendTransitions(nil, ts))

	ts[0].Commit, ts[0].Inject = nil, &control.InjectResult{
		Present: 100000, Late: 12, Failed: 1, Waited: control.Duration(3 * time.Millisecond),
		DumpDuration: control.Duration(610 * time.Millisecond),
	}
	golden(t, "transitions-inject", appendTransitions(nil, ts))
}

func sampleTransitions() []control.Transition {
	return []control.Transition{
		{
			ID: 98, Type: control.TypeGroup, Group: "syncgrp", State: control.StateBackup, Source: "notify pid=4 uid=0",
			Sent: at(1), Finished: at(1).Add(12 * time.Millisecond), Outcome: control.OutcomeDone,
		},
		{
			ID: 99, Type: control.TypeInstance, Group: "VI_1", State: control.StateMaster, Source: "notify pid=5 uid=0",
			Sent: at(2), Outcome: control.OutcomeIgnored + "instance VI_1 is not sync-group syncgrp",
		},
		{
			ID: 100, Type: control.TypeGroup, Group: "syncgrp", State: control.StateMaster, Source: "parked",
			Sent: at(3), Finished: at(3).Add(351 * time.Millisecond), Outcome: control.OutcomeDone,
			Commit: &control.CommitResult{
				Total: 100000, Created: 99990, Replaced: 2, Expired: 5, Failed: 3,
				Errors:   map[string]uint64{"EEXIST": 1, "EINVAL": 2},
				Named:    []string{"tcp 10.0.0.1:5 > 10.0.0.2:22: not restored: EEXIST"},
				Duration: control.Duration(340 * time.Millisecond),
			},
		},
		{
			ID: 101, Type: control.TypeGroup, Group: "syncgrp", State: control.StateFault, Source: "notify pid=6 uid=0",
			Sent: at(4), Outcome: control.OutcomeRunning,
		},
	}
}

// at is a fixed moment and n seconds.
func at(n int) time.Time {
	return time.Date(2026, 11, 23, 0, 31, 2, 0, time.UTC).Add(time.Duration(n) * time.Second)
}
