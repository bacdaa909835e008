package main

import (
	"context"
	"fmt"
	"strings"

	"ctsync/daemon/control"
)

// groups prints how many flows there are for each value of a key.
func (a *app) groups(ctx context.Context, q control.FlowQuery) error {
	ask := func(c *control.Client, ctx context.Context) (control.Groups, error) { return c.Groups(ctx, q) }
	return shown(a, ctx, ask, appendGroups)
}

// appendGroups appends a table. It has packets and bytes only where the kernel counts them.
func appendGroups(b []byte, g control.Groups) []byte {
	counted := g.Packets > 0
	row := func(c control.Count, key string) {
		b = fmt.Appendf(b, "%10d  ", c.Flows)
		if counted {
			b = fmt.Appendf(b, "%14d %16d  ", c.Packets, c.Bytes)
		}
		b = append(append(b, key...), '\n')
	}
	b = fmt.Appendf(b, "%10s  ", "FLOWS")
	if counted {
		b = fmt.Appendf(b, "%14s %16s  ", "PACKETS", "BYTES")
	}
	b = append(append(b, strings.ToUpper(g.By)...), '\n')
	for _, x := range g.Groups {
		row(x.Count, x.Key)
	}
	if g.OtherCount > 0 {
		row(g.Other, fmt.Sprintf("other (%d groups)", g.OtherCount))
	}
	if g.Unnamed.Flows > 0 {
		row(g.Unnamed, "other (more groups than the daemon counts)")
	}
	row(g.Count, "all")
	return b
}
