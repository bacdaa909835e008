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
	b = appendTable(b, s.Internal, s.External, s.Inject.Counts(), s)
	if s.Expect != nil {
		b = append(b, "Expect Table Statistics:\n\n"...)
		b = appendTable(b, s.Expect.Internal, s.Expect.External, s.Expect.Inject, s)
	}
	return b
}

// appendTable appends the counters of the two caches of a table, or of what was injected where there is no external one.
// What follows them is common to both tables.
func appendTable(b []byte, internal, external control.CacheStats, inject *control.InjectCounts, s control.Statistics) []byte {
	b = appendCache(b, "internal", internal)
	if inject == nil {
		b = appendCache(b, "external", external)
	} else {
		b = appendInjected(b, inject)
	}
	b = fmt.Appendf(b, "traffic processed:\n%20d Bytes      %20d Pckts\n\n", s.Traffic.Bytes, s.Traffic.Packets)
	b = appendActiveLink(b, &s)
	return fmt.Appendf(b, "message tracking:\n%20d Malformed msgs %20d Lost msgs\n\n", s.Tracking.Malformed.Total(), s.Tracking.Lost)
}

// appendInjected appends conntrackd's block of what it puts into the kernel without an external cache.
func appendInjected(b []byte, i *control.InjectCounts) []byte {
	b = append(b, "external inject:\n"...)
	b = fmt.Appendf(b, "connections created:\t\t%12d\tfailed:\t%12d\n", i.Created, i.CreateFailed)
	b = fmt.Appendf(b, "connections updated:\t\t%12d\tfailed:\t%12d\n", i.Updated, i.UpdateFailed)
	return fmt.Appendf(b, "connections destroyed:\t\t%12d\tfailed:\t%12d\n\n", i.Destroyed, i.DestroyFailed)
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
	b = appendMemory(b, "internal", s.Internal)
	if s.Inject == nil {
		b = appendMemory(b, "external", s.External)
	} else {
		b = appendInject(b, s.Inject)
	}
	if s.Expect != nil {
		b = appendMemory(b, "internal expect", s.Expect.Internal)
		if s.Inject == nil {
			b = appendMemory(b, "external expect", s.Expect.External)
		}
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
		{"control in flight", p.UnacknowledgedControl}, {"in flight at most", p.ResendLimit}, {"waiting at most", p.WaitingLimit},
		{"changes of the active link", s.LinkChanges},
	}, append(named("sent ", p.Sent), named("received ", p.Received)...)...))
	for _, l := range s.Links {
		b = appendBlock(b, "link "+l.Device, append([]row{
			{"state", l.State}, {"role", l.Role}, {"bytes sent", l.BytesSent}, {"bytes received", l.BytesReceived},
			{"datagrams sent", l.PacketsSent}, {"datagrams received", l.PacketsReceived}, {"errors sent", l.ErrorsSent},
			{"errors received", l.ErrorsReceived}, {"send buffer asked", l.SendBuffer.Asked}, {"send buffer granted", l.SendBuffer.Granted},
			{"receive buffer asked", l.ReceiveBuffer.Asked}, {"receive buffer granted", l.ReceiveBuffer.Granted},
		}, named("dropped: ", l.Dropped)...))
	}
	b = appendUnsupported(b, s.Unsupported)
	b = appendKernel(b, &s.Kernel)
	b = appendBlock(b, "daemon", []row{
		{"uptime", s.Uptime}, {"unknown requests", s.Requests.Unknown}, {"requests not read", s.Requests.ReadFailed},
	})
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

func appendKernel(b []byte, k *control.KernelStatistics) []byte {
	return appendBlock(b, "kernel", []row{
		{"table entries", k.TableEntries}, {"table limit", k.TableMax}, {"nf_conntrack_events", k.EventsSetting},
		{"events", k.Events}, {"events filtered", k.Filtered}, {"filter in the kernel", k.FilterInKernel},
		{"evicted by a new filter", k.Evicted}, {"events unknown", k.Unknown}, {"events malformed", k.Malformed},
		{"overruns", k.Overruns}, {"buffer bytes", k.BufferBytes}, {"buffer limit", k.BufferLimit}, {"buffer grown", k.BufferGrown}, {"coalesce", k.Coalesce},
		{"comparisons", k.Repairs}, {"differences repaired", k.Repaired}, {"with unreadable records", k.DumpMalformed},
		{"purges", k.Purges}, {"swept", k.Swept},
	})
}

func appendMemory(b []byte, name string, c control.CacheStats) []byte {
	return appendBlock(b, "cache "+name+" memory", []row{
		{"records", c.Objects}, {"limit", c.Limit}, {"refused because full", c.Full}, {"bytes", c.Bytes},
	})
}

// appendInject appends what became of the peer's flows where they go straight into the kernel, and the last that it lacks.
func appendInject(b []byte, i *control.InjectStatistics) []byte {
	rows := []row{
		{"flows of the peer", i.Flows}, {"waiting for the kernel", i.Waiting}, {"refused by the kernel", i.Missing},
		{"replaced another entry", i.Replaced}, {"expired", i.Expired}, {"filtered", i.Filtered}, {"timers set again", i.Refreshed},
		{"lost by the kernel", i.Lost}, {"not deleted, ours too", i.KeptOwn}, {"not deleted, packets pass", i.KeptBusy},
		{"given up to the peer", i.Disowned}, {"limit", i.Limit}, {"refused because full", i.Full}, {"bytes", i.Bytes},
	}
	b = appendBlock(b, "external inject", slices.Concat(rows, named("failed: ", i.Errors), named("without ", i.Degraded)))
	for _, name := range i.Named {
		b = fmt.Appendf(b, "  %s\n", oneLine(name))
	}
	if len(i.Named) > 0 {
		b = append(b, '\n')
	}
	return b
}

// appendUnsupported appends what the peer cannot be told of: a line says "17 flows: ..." and why.
func appendUnsupported(b []byte, m map[string]uint64) []byte {
	if len(m) == 0 {
		return b
	}
	b = append(b, "not replicated:\n"...)
	for _, what := range slices.Sorted(maps.Keys(m)) {
		b = fmt.Appendf(b, "%12d %s\n", m[what], what)
	}
	return append(b, '\n')
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
