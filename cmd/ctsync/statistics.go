package main

import (
	"fmt"
	"maps"
	"slices"

	"ctsync/daemon/control"
)

// appendStatistics appends the layout of VyOS's "show conntrack-sync statistics": a heading over what conntrackd -s
// prints, tabs included, and while expectations are replicated another over conntrackd -s expect.
func appendStatistics(b []byte, s control.Statistics) []byte {
	b = append(b, "Main Table Statistics:\n\n"...)
	b = appendTable(b, s.Internal, s.External, s)
	if s.Expect != nil {
		b = append(b, "Expect Table Statistics:\n\n"...)
		b = appendTable(b, s.Expect.Internal, s.Expect.External, s)
	}
	return b
}

// appendTable appends the counters of the two caches of a table. What follows them is common to both tables.
func appendTable(b []byte, internal, external control.CacheStats, s control.Statistics) []byte {
	b = appendCache(b, "internal", internal)
	b = appendCache(b, "external", external)
	b = fmt.Appendf(b, "traffic processed:\n%20d Bytes      %20d Pckts\n\n", s.Traffic.Bytes, s.Traffic.Packets)
	l := s.ActiveLink()
	b = fmt.Appendf(b, "%s traffic (active device=%s):\n", l.Transport, l.Device)
	b = fmt.Appendf(b, "%20d Bytes sent %20d Bytes recv\n", l.BytesSent, l.BytesReceived)
	b = fmt.Appendf(b, "%20d Pckts sent %20d Pckts recv\n", l.PacketsSent, l.PacketsReceived)
	b = fmt.Appendf(b, "%20d Error send %20d Error recv\n\n", l.ErrorsSent, l.ErrorsReceived)
	return fmt.Appendf(b, "message tracking:\n%20d Malformed msgs %20d Lost msgs\n\n", s.Tracking.Malformed.Total(), s.Tracking.Lost)
}

func appendCache(b []byte, name string, c control.CacheStats) []byte {
	b = fmt.Appendf(b, "cache %s:\n", name)
	b = fmt.Appendf(b, "current active connections:\t%12d\n", c.Active)
	b = fmt.Appendf(b, "connections created:\t\t%12d\tfailed:\t%12d\n", c.Created, c.CreateFailed)
	b = fmt.Appendf(b, "connections updated:\t\t%12d\tfailed:\t%12d\n", c.Updated, c.UpdateFailed)
	return fmt.Appendf(b, "connections destroyed:\t\t%12d\tfailed:\t%12d\n\n", c.Destroyed, c.DestroyFailed)
}

// row is one counter of the detail blocks.
type row struct {
	name  string
	value any
}

// appendDetail appends what conntrackd has no line for, in blocks of the same kind.
func appendDetail(b []byte, s control.Statistics) []byte {
	var expect control.ExpectStatistics
	caches := 2
	if s.Expect != nil {
		expect, caches = *s.Expect, 4
	}
	for _, c := range []struct {
		name string
		control.CacheStats
	}{{"internal", s.Internal}, {"external", s.External}, {"internal expect", expect.Internal}, {"external expect", expect.External}}[:caches] {
		b = appendBlock(b, "cache "+c.name+" memory", []row{
			{"records", c.Objects}, {"limit", c.Limit}, {"refused because full", c.Full}, {"bytes", c.Bytes},
		})
	}
	m := s.Tracking.Malformed
	b = appendBlock(b, "messages received", []row{
		{"wrong protocol version", m.BadVersion}, {"malformed header", m.BadHeader}, {"malformed payload", m.BadPayload},
		{"bad message type", m.BadType}, {"truncated message", m.Truncated}, {"bad message size", m.BadSize},
		{"lost", s.Tracking.Lost}, {"late or repeated", s.Tracking.Before},
		{"unknown attributes", s.Tracking.UnknownAttributes}, {"impossible flows", s.Tracking.Invalid},
		{"payloads given up", s.Tracking.PayloadsLost}, {"refused, answers pile up", s.Tracking.Refused}, {"about numbers never sent", s.Tracking.Stray},
		{"expectations ignored", s.ExpectationsIgnored},
	})
	p := s.Session
	b = appendBlock(b, "session", append([]row{
		{"state", p.State}, {"sequence", p.Sequence}, {"peer sequence", p.PeerSequence}, {"retransmitted", p.Retransmitted},
		{"unacknowledged", p.Unacknowledged}, {"window", p.Window}, {"nacks outstanding", p.NacksOutstanding},
		{"sent in fragments", p.Oversized}, {"peer restarts", p.PeerRestarts}, {"waiting to be sent", p.Waiting}, {"from a second sender", p.Foreign},
	}, append(named("sent ", p.Sent), named("received ", p.Received)...)...))
	for _, l := range s.Links {
		b = appendBlock(b, "link "+l.Device, append([]row{
			{"state", l.State}, {"role", l.Role}, {"send buffer asked", l.SendBuffer.Asked}, {"send buffer granted", l.SendBuffer.Granted},
			{"receive buffer asked", l.ReceiveBuffer.Asked}, {"receive buffer granted", l.ReceiveBuffer.Granted},
		}, named("dropped: ", l.Dropped)...))
	}
	k := s.Kernel
	b = appendBlock(b, "kernel", append([]row{
		{"table entries", k.TableEntries}, {"table limit", k.TableMax}, {"nf_conntrack_events", k.EventsSetting},
		{"events", k.Events}, {"events filtered", k.Filtered}, {"filter in the kernel", k.FilterInKernel},
		{"evicted by a new filter", k.Evicted}, {"events unknown", k.Unknown}, {"events malformed", k.Malformed},
		{"overruns", k.Overruns}, {"buffer bytes", k.BufferBytes}, {"buffer limit", k.BufferLimit}, {"buffer grown", k.BufferGrown},
		{"comparisons", k.Repairs}, {"differences repaired", k.Repaired}, {"swept", k.Swept},
	}, named("unsupported: ", s.Unsupported)...))
	b = appendTimes(b, s.Times)
	c := s.Commit
	if x := c.Expect; x != nil {
		b = appendBlock(b, "commit of expectations", append([]row{
			{"created", x.Created}, {"updated", x.Updated}, {"replaced", x.Replaced}, {"expired", x.Expired},
			{"filtered", x.Filtered}, {"failed", x.Failed},
		}, named("failed: ", x.Errors)...))
	}
	return appendBlock(b, "commit", append([]row{
		{"commits", c.Commits}, {"created", c.Created}, {"updated", c.Updated}, {"replaced", c.Replaced},
		{"expired", c.Expired}, {"filtered", c.Filtered}, {"failed", c.Failed},
	}, named("failed: ", c.Errors)...))
}

// appendBlock appends a heading, its rows and an empty line.
func appendBlock(b []byte, name string, rows []row) []byte {
	b = fmt.Appendf(b, "%s:\n", name)
	for _, r := range rows {
		b = fmt.Appendf(b, "%-32s%12v\n", r.name+":", r.value)
	}
	return append(b, '\n')
}

// named makes rows of a map, sorted by name.
func named(prefix string, m map[string]uint64) []row {
	rows := make([]row, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, row{prefix + k, m[k]})
	}
	return rows
}
