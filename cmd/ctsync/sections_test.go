package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/control"
)

// capturedNumbers are those of vectors/cli/stats-all-sender-mcast.txt and, for the links, of links-failover.txt.
func capturedNumbers() control.Statistics {
	mcast := control.LinkStatistics{
		Transport: control.TransportMulticast, Device: "sync0", State: "RUNNING", Role: control.LinkActive,
		BytesSent: 1320, BytesReceived: 64, PacketsSent: 13, PacketsReceived: 4,
	}
	return control.Statistics{
		Internal: control.CacheStats{Active: 4, Created: 4, Updated: 10, Objects: 4, Total: 4, Limit: 2147483647},
		Links:    []control.LinkStatistics{mcast},
		Expect:   &control.ExpectStatistics{Internal: control.CacheStats{Active: 2, Created: 3, Destroyed: 1}},
		Kernel:   control.KernelStatistics{Events: 18, BufferBytes: 2097152},
		Session: control.SessionStatistics{
			Unacknowledged: 2, UnacknowledgedControl: 1, ResendLimit: 131072, WaitingLimit: 2147483647,
		},
	}
}

// failedOver are two links after sync0 went down (links-failover.txt, "a: sync0 admin down").
func failedOver() control.Statistics {
	return control.Statistics{Links: []control.LinkStatistics{
		{
			Transport: "multicast", Device: "sync0", State: "DOWN", Role: control.LinkBackup,
			BytesSent: 128, BytesReceived: 32, PacketsSent: 4, PacketsReceived: 2,
		},
		{
			Transport: "multicast", Device: "sync1", State: "RUNNING", Role: control.LinkActive,
			BytesSent: 84, BytesReceived: 48, PacketsSent: 3, PacketsReceived: 3,
		},
	}}
}

// The golden files of the captured numbers are conntrackd's own output with one exception: ctsyncd has no queue of
// datagrams that could not be sent, so its size is 0 instead of 128.
func TestSectionsLikeConntrackd(t *testing.T) {
	for _, s := range sections() {
		if s.text != nil {
			golden(t, "conntrackd-"+s.name, s.text(nil, capturedNumbers()))
		}
	}
	golden(t, "conntrackd-links", appendLinks(nil, failedOver()))
	golden(t, "conntrackd-ct-failover", appendTable(nil, control.CacheStats{}, control.CacheStats{}, nil, failedOver()))
	if got := appendExpect(nil, control.Statistics{}); len(got) != 0 {
		t.Errorf("expectations that are not replicated: %q", got)
	}
}

// Every counter is printed in its place: all of these numbers are different.
func TestSectionCounters(t *testing.T) {
	s := control.Statistics{
		Internal: control.CacheStats{
			Objects: 1, Active: 2, Total: 3, Created: 4, CreateFailed: 5, Full: 6, Updated: 7, UpdateFailed: 8,
			Destroyed: 9, DestroyFailed: 10,
		},
		Tracking: control.Tracking{
			Malformed: control.Malformed{
				BadVersion: 11, BadHeader: 12, BadPayload: 13, BadType: 14, Truncated: 15, BadSize: 16,
			},
			Lost: 17, Before: 18,
		},
		Kernel: control.KernelStatistics{
			Events: 21, Filtered: 22, Unknown: 23, Malformed: 24, DumpMalformed: 25, Overruns: 26, Purges: 27,
			Repairs: 28, BufferBytes: 29,
		},
		Requests: control.RequestStatistics{Unknown: 31, ReadFailed: 32},
		Session: control.SessionStatistics{
			Unacknowledged: 41, UnacknowledgedControl: 42, ResendLimit: 43, Waiting: 44, WaitingLimit: 45,
		},
		Links: []control.LinkStatistics{{
			Transport: "UDP", Device: "eth9", State: "NO-CARRIER", Role: control.LinkActive, BytesSent: 51,
			BytesReceived: 52, PacketsSent: 53, PacketsReceived: 54, ErrorsSent: 55, ErrorsReceived: 56,
		}},
		Uptime: control.Duration(26*time.Hour + 3*time.Minute),
	}
	golden(t, "counters-cache", appendCacheDetail(nil, "internal", s.Internal))
	golden(t, "counters-network", appendNetwork(nil, s))
	golden(t, "counters-runtime", appendRuntime(nil, s))
	golden(t, "counters-queue", appendQueues(nil, s))
	golden(t, "counters-link", appendLinks(nil, s))
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		59 * time.Second:              "0 min",
		61 * time.Minute:              "1 h 1 min",
		2 * time.Hour:                 "2 h 0 min",
		24 * time.Hour:                "1 day(s) 0 min",
		49*time.Hour + 30*time.Minute: "2 day(s) 1 h 30 min",
		24*time.Hour*400 + 23*time.Hour + 59*time.Second: "400 day(s) 23 h 0 min",
	} {
		if got := uptime(d); got != want {
			t.Errorf("uptime of %v is %q, want %q", d, got, want)
		}
	}
}

// conntrackd -s accepts any beginning of a word, and compares in its own order.
func TestSectionWords(t *testing.T) {
	for word, want := range map[string]string{
		"n": "network", "c": "cache", "r": "runtime", "ru": "runtime", "rs": "rsqueue", "m": "multicast", "l": "link",
		"p": "process", "q": "queue", "ct": "ct", "e": "expect", "expect": "expect", "ca": "cache",
	} {
		if s, err := findSection(word); err != nil || s.name != want {
			t.Errorf("%q is %q, %v; want %s", word, s.name, err, want)
		}
	}
	for _, word := range []string{"", "x", "networks", "Network", "rx"} {
		if s, err := findSection(word); err == nil {
			t.Errorf("%q is %q", word, s.name)
		}
	}
}

// Each section has its own JSON, which is valid and not empty.
func TestSectionJSON(t *testing.T) {
	socket := serveFake(t, fakeDaemon("plain"))
	for _, word := range strings.Split(sectionWords, "|") {
		var out, errs bytes.Buffer
		args := []string{"--socket", socket, "show", "statistics", word, "--json"}
		code := run(context.Background(), args, time.Now(), &out, &errs)
		if code != 0 || errs.Len() > 0 {
			t.Errorf("%s: exit status %d: %s", word, code, errs.String())
		}
		lines := 0
		for d := json.NewDecoder(&out); d.More(); lines++ {
			var v any
			if err := d.Decode(&v); err != nil {
				t.Fatalf("%s: %v", word, err)
			}
		}
		if want := map[bool]int{true: 3, false: 1}[word == "rsqueue"]; lines != want {
			t.Errorf("%s: %d JSON values, want %d", word, lines, want)
		}
	}
}
