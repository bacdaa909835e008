package control

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"ctsync/daemon/flow"
)

// Kinds of a Difference. The first three are of the internal cache. The others are of the external one: they say what a
// commit would do.
const (
	KernelOnly = "kernel-only" // the kernel has a flow that is not replicated
	CacheOnly  = "cache-only"  // the cache has a flow that ended
	Differs    = "differs"     // both have it, with different attributes

	WouldCreate  = "create"
	WouldUpdate  = "update"  // the kernel has the flow with different attributes
	WouldReplace = "replace" // another flow has the tuple and is deleted
	WouldExpire  = "expired" // not restored: its timeout has passed
	WouldLose    = "lost"    // not restored: protocol v1 does not carry its key

	// WouldStray is a flow that would be restored, or with restore-foreign-nat = false left out, and cannot work here:
	// it is translated to an address of the other router.
	WouldStray = "foreign"
)

// Difference is a flow that only one of the kernel and a cache has, or that differs in them. A flow that is missing is
// nil.
type Difference struct {
	What          string
	Attributes    flow.Attr // of the two flows that differ
	Kernel, Cache *flow.Flow
}

// DifferenceJSON is a line of /v1/differences: a difference, or at the end the counts.
type DifferenceJSON struct {
	What       string            `json:"what,omitzero"`
	Attributes []string          `json:"attributes,omitzero"`
	Kernel     *flow.JSON        `json:"kernel,omitzero"`
	Cache      *flow.JSON        `json:"cache,omitzero"`
	Counts     *DifferenceCounts `json:"counts,omitzero"`
}

// DifferenceCounts is the outcome of a comparison.
type DifferenceCounts struct {
	Compared  uint64            `json:"compared"`           // flows that were looked at
	Filtered  uint64            `json:"filtered,omitzero"`  // of them, not replicated by configuration
	Unsettled uint64            `json:"unsettled,omitzero"` // of them, changing too fast to be compared
	Found     map[string]uint64 `json:"found"`              // differences by What
	// ForeignNAT counts the foreign flows by where they are translated to; see CommitResult.
	ForeignNAT Reasons `json:"foreign_nat,omitempty"`
}

// Total returns the number of differences.
func (c *DifferenceCounts) Total() (n uint64) {
	for _, v := range c.Found {
		n += v
	}
	return n
}

// differenceOrder is the order in which counts are printed.
var differenceOrder = []string{
	KernelOnly, CacheOnly, Differs, WouldCreate, WouldUpdate, WouldReplace, WouldStray, WouldExpire, WouldLose,
}

func (o *stream) addDifference(d *Difference, _ Meta) error {
	if o.format == FormatText {
		o.buf = appendDifference(o.buf, d)
		return o.added(nil)
	}
	line := DifferenceJSON{What: d.What, Attributes: attributeNames(d.Attributes)}
	for _, f := range []struct {
		from *flow.Flow
		to   **flow.JSON
	}{{d.Kernel, &line.Kernel}, {d.Cache, &line.Cache}} {
		if f.from != nil {
			j := f.from.JSON()
			*f.to = &j
		}
	}
	return o.addJSON(line)
}

func (o *stream) addCounts(c DifferenceCounts) error {
	if o.format != FormatText {
		return o.addJSON(DifferenceJSON{Counts: &c})
	}
	o.buf = fmt.Appendf(o.buf, "%d differences", c.Total())
	if c.Total() == 1 {
		o.buf = o.buf[:len(o.buf)-1]
	}
	separator := ": "
	for _, what := range differenceOrder {
		if n := c.Found[what]; n > 0 {
			o.buf = fmt.Appendf(o.buf, "%s%d %s", separator, n, what)
			separator = ", "
		}
	}
	o.buf = fmt.Appendf(o.buf, "; %d flows compared", c.Compared)
	if c.Filtered > 0 {
		o.buf = fmt.Appendf(o.buf, ", %d not replicated by configuration", c.Filtered)
	}
	if c.Unsettled > 0 {
		o.buf = fmt.Appendf(o.buf, ", %d changing too fast to tell", c.Unsettled)
	}
	o.buf = append(o.buf, '\n')
	for _, to := range slices.Sorted(maps.Keys(c.ForeignNAT)) {
		o.buf = fmt.Appendf(o.buf, "%d flows are translated to %s\n", c.ForeignNAT[to], to)
	}
	return o.added(nil)
}

// addJSON adds a line.
func (o *stream) addJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	o.buf = append(append(o.buf, b...), '\n')
	return o.added(nil)
}

// attributeNames splits what flow.Attr prints.
func attributeNames(a flow.Attr) (names []string) {
	for bit := flow.Attr(1); bit != 0 && bit <= a; bit <<= 1 {
		if a.Is(bit) {
			names = append(names, bit.String())
		}
	}
	return names
}

// appendDifference writes one line: the kind, the flow, and the values that differ, those of the kernel first.
func appendDifference(b []byte, d *Difference) []byte {
	f := d.Kernel
	if f == nil {
		f = d.Cache
	}
	b = fmt.Appendf(b, "%-11s  %-7s ", d.What, f.Orig.Proto)
	b = f.Orig.AppendSource(b)
	b = append(b, " > "...)
	b = f.Orig.AppendDestination(b)
	if name := f.StateName(); name != "" {
		b = append(append(b, ' '), name...)
	}
	for i, name := range attributeNames(d.Attributes) {
		b = append(b, [...]string{";", ","}[min(i, 1)]...)
		b = append(append(b, ' '), name...)
		if kernel, cached := attributeText(d.Kernel, name), attributeText(d.Cache, name); kernel+cached != "" {
			b = append(append(append(append(b, ' '), kernel...), " / "...), cached...)
		}
	}
	return append(b, '\n')
}

// attributeText is the value of an attribute whose value is one word, else "".
func attributeText(f *flow.Flow, name string) string {
	switch {
	case f == nil:
	case name == "mark":
		return strconv.FormatUint(uint64(f.Mark), 10)
	case name == "status":
		return fmt.Sprintf("%#x", f.Status)
	case name == "tcp-state", name == "sctp", name == "dccp":
		return f.StateName()
	case name == "id":
		return strconv.FormatUint(uint64(f.ID), 10)
	case name == "helper":
		return fmt.Sprintf("%q", flow.CString(f.Helper[:]))
	case name == "reply":
		return string(f.Reply.AppendDestination(append(f.Reply.AppendSource(nil), '>')))
	}
	return ""
}
