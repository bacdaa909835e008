package control

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// GroupKeys are the values of FlowQuery.Group. A network is a /24 of IPv4 or a /64 of IPv6, a port the original
// destination port with its protocol.
var GroupKeys = []string{
	"source", "source-network", "destination", "destination-network", "port", "protocol", "state", "zone", "mark",
	"helper", "family",
}

// GroupOrders are the values of FlowQuery.Sort with Group; without one the groups with most flows come first.
var GroupOrders = []string{"flows", "packets", "bytes", "key"}

// Groups is the answer to /v1/flows with group: the flows of a table counted by a key. Packets and bytes are those of
// both directions, where the kernel counts them.
type Groups struct {
	By string `json:"by"`
	Count
	Groups []Group `json:"groups"`
	// Other are the flows of groups beyond the limit. Unnamed are flows whose keys the daemon did not keep: there are
	// more keys than it counts one by one, and it keeps those that it met first.
	Other      Count  `json:"other,omitzero"`
	OtherCount uint64 `json:"other_groups,omitzero"` // groups in Other
	Unnamed    Count  `json:"unnamed,omitzero"`
}

// Group is the flows with one key.
type Group struct {
	Key string `json:"key"`
	Count
}

// Count is how many flows there are and what they carried.
type Count struct {
	Flows   uint64 `json:"flows"`
	Packets uint64 `json:"packets,omitzero"`
	Bytes   uint64 `json:"bytes,omitzero"`
}

// checkGroup refuses what makes no sense for groups.
func (q *FlowQuery) checkGroup(v url.Values) error {
	counted := q.Sort == "packets" || q.Sort == "bytes"
	switch {
	case q.Entries == EntriesExpect:
		return badTable("expectations are not grouped", "leave out group")
	case !slices.Contains(GroupKeys, q.Group):
		return badQuery("group", v, "one of "+strings.Join(GroupKeys, ", "))
	case q.Sort != "" && !slices.Contains(GroupOrders, q.Sort):
		return badQuery("sort", v, "one of "+strings.Join(GroupOrders, ", ")+" for groups")
	case q.Table != TableKernel && counted:
		return badTable(noCounters, "read the kernel's table")
	case q.Skip > 0 || q.From > 0:
		return badTable("groups have no pages", "leave out skip and from, or raise limit")
	case q.Limit > MaxSorted:
		return badQuery("limit", v, fmt.Sprintf("at most %d groups", MaxSorted))
	}
	return nil
}
