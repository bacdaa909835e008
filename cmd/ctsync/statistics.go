package main

import (
	"fmt"

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

// appendTable appends the counters of the two caches of a table, or of what was injected where there is no external
// cache. What follows them is common to both tables.
func appendTable(
	b []byte, internal, external control.CacheStats, inject *control.InjectCounts, s control.Statistics,
) []byte {
	b = appendCache(b, "internal", internal)
	if inject == nil {
		b = appendCache(b, "external", external)
	} else {
		b = appendInjected(b, inject)
	}
	b = fmt.Appendf(b, "traffic processed:\n%20d Bytes      %20d Pckts\n\n", s.Traffic.Bytes, s.Traffic.Packets)
	b = appendActiveLink(b, &s)
	return fmt.Appendf(b, "message tracking:\n%20d Malformed msgs %20d Lost msgs\n\n",
		s.Tracking.Malformed.Total(), s.Tracking.Lost)
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

// appendDetail appends the numbers for which conntrackd has no line.
func appendDetail(b []byte, s control.Statistics) []byte {
	for _, block := range s.Blocks() {
		if block.Title != "" {
			b = appendBlock(b, block)
		}
	}
	return b
}

// titleWidth is the width of the column of titles.
const titleWidth = 32

// appendBlock appends a heading, its numbers, its examples and an empty line. A title that is too long for its column
// follows its number.
func appendBlock(b []byte, block control.Block) []byte {
	b = fmt.Appendf(b, "%s:\n", block.Title)
	for _, n := range block.Numbers {
		switch {
		case n.Title == "":
		case len(n.Title) >= titleWidth:
			b = fmt.Appendf(b, "%12v %s\n", n.Value, n.Title)
		default:
			b = fmt.Appendf(b, "%-*s%12v\n", titleWidth, n.Title+":", n.Value)
		}
	}
	for _, example := range block.Examples {
		b = fmt.Appendf(b, "  %s\n", oneLine(example))
	}
	return append(b, '\n')
}
