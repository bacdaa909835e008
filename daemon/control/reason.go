package control

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// maxReasons bounds the reasons that are counted one by one: some hold the name of a helper, which the peer chooses.
const maxReasons = 64

// otherReasons counts what came after maxReasons reasons.
const otherReasons = "for other reasons"

// Reasons counts by reason, such as "EEXIST" or "helper ftp". It holds at most maxReasons reasons and otherReasons, and
// is not safe for concurrent use.
type Reasons map[string]uint64

// Count adds n to the count of a reason. *r may be nil.
func (r *Reasons) Count(why string, n uint64) {
	if *r == nil {
		*r = Reasons{}
	}
	if _, known := (*r)[why]; !known && len(*r) >= maxReasons {
		why = otherReasons
	}
	(*r)[why] += n
}

// Add adds the counts of more. *r may be nil, and stays nil when there is nothing to add.
func (r *Reasons) Add(more Reasons) {
	for why, n := range more {
		r.Count(why, n)
	}
}

// String returns the counts for people, in the order of the reasons: "3 EEXIST, 1 helper ftp".
func (r Reasons) String() string {
	parts := make([]string, 0, len(r))
	for _, why := range slices.Sorted(maps.Keys(r)) {
		parts = append(parts, fmt.Sprintf("%d %s", r[why], why))
	}
	return strings.Join(parts, ", ")
}

// LogValue implements slog.LogValuer: a log line shows the counts as String does.
func (r Reasons) LogValue() slog.Value { return slog.StringValue(r.String()) }
