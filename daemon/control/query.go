package control

import (
	"fmt"
	"net/url"
	"strconv"

	"ctsync/daemon/flow"
)

// Table names a set of flows.
type Table string

// Tables.
const (
	TableKernel   Table = "kernel"
	TableInternal Table = "internal"
	TableExternal Table = "external"
)

// What a table holds, in VyOS's words.
const (
	EntriesMain   = "main"   // flows
	EntriesExpect = "expect" // expectations
)

// FlowQuery selects flows or expectations. In the URL its fields are table, entries, family (ipv4, ipv6), sort, desc (true), skip and
// limit.
type FlowQuery struct {
	Table   Table
	Entries string      // "" or EntriesMain; EntriesExpect for expectations (caches only, not sorted)
	Family  flow.Family // 0 = both
	Sort    string      // "" = order of storage; or a name of Orders (caches only)
	Desc    bool
	Skip    int
	Limit   int // 0 = all
}

// Orders are the values of FlowQuery.Sort.
var Orders = []string{"source", "destination", "protocol", "state", "age", "idle", "timeout", "mark", "zone"}

// Ordered reads keep skip+limit entries in memory, therefore both are bounded.
const (
	maxSkip  = 4 << 20
	maxLimit = 10000  // of an ordered read
	maxDepth = 100000 // skip of an ordered read: the daemon sorts so many in one go
)

// values encodes q for a URL.
func (q FlowQuery) values() url.Values {
	v := url.Values{"table": {string(q.Table)}}
	if q.Entries != "" {
		v.Set("entries", q.Entries)
	}
	switch q.Family {
	case flow.IPv4:
		v.Set("family", "ipv4")
	case flow.IPv6:
		v.Set("family", "ipv6")
	}
	if q.Sort != "" {
		v.Set("sort", q.Sort)
	}
	if q.Desc {
		v.Set("desc", "true")
	}
	if q.Skip > 0 {
		v.Set("skip", strconv.Itoa(q.Skip))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// parseFlowQuery reads the URL form of a FlowQuery and refuses what makes no sense.
func parseFlowQuery(v url.Values) (q FlowQuery, err error) {
	q.Table = Table(v.Get("table"))
	switch q.Table {
	case TableKernel, TableInternal, TableExternal:
	default:
		return q, badQuery("table", v, "kernel, internal or external")
	}
	switch q.Entries = v.Get("entries"); q.Entries {
	case "", EntriesMain:
	case EntriesExpect:
		if q.Table == TableKernel {
			return q, &Error{Code: CodeBadRequest, Message: "the kernel's expectations are not listed", Hint: "read a cache"}
		}
	default:
		return q, badQuery("entries", v, "main or expect")
	}
	switch v.Get("family") {
	case "":
	case "ipv4":
		q.Family = flow.IPv4
	case "ipv6":
		q.Family = flow.IPv6
	default:
		return q, badQuery("family", v, "ipv4 or ipv6")
	}
	if q.Skip, err = number(v, "skip", maxSkip); err != nil {
		return q, err
	}
	if q.Limit, err = number(v, "limit", 1<<31-1); err != nil {
		return q, err
	}
	return q, q.parseOrder(v)
}

func (q *FlowQuery) parseOrder(v url.Values) (err error) {
	if s := v.Get("desc"); s != "" {
		if q.Desc, err = strconv.ParseBool(s); err != nil {
			return badQuery("desc", v, "true or false")
		}
	}
	q.Sort = v.Get("sort")
	if q.Sort == "" {
		return nil
	}
	if q.Table == TableKernel || q.Entries == EntriesExpect {
		return &Error{Code: CodeBadRequest, Message: "the kernel's table and expectations cannot be sorted", Hint: "read the flows of a cache"}
	}
	if q.Limit == 0 || q.Limit > maxLimit {
		return badQuery("limit", v, fmt.Sprintf("1 to %d for a sorted list", maxLimit))
	}
	if q.Skip > maxDepth {
		return badQuery("skip", v, fmt.Sprintf("at most %d for a sorted list", maxDepth))
	}
	for _, o := range Orders {
		if q.Sort == o {
			return nil
		}
	}
	return badQuery("sort", v, fmt.Sprint(Orders))
}

func number(v url.Values, key string, most int) (int, error) {
	s := v.Get(key)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most {
		return 0, badQuery(key, v, fmt.Sprintf("a number up to %d", most))
	}
	return n, nil
}

func badQuery(key string, v url.Values, want string) error {
	return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("query %s=%q", key, v.Get(key)), Hint: "want " + want}
}
