package control

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ctsync/daemon/expr"
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

// FlowQuery selects flows or expectations. In the URL its fields are table, entries, family (ipv4, ipv6), filter, sort,
// desc (true), skip, limit, from and group.
type FlowQuery struct {
	Table   Table
	Entries string      // "" or EntriesMain; EntriesExpect for expectations (caches only, neither sorted nor filtered)
	Family  flow.Family // 0 = both
	Filter  *expr.Expr  // nil = all
	Sort    string      // "" = order of storage; or a name of Orders, or of GroupOrders with Group
	Desc    bool
	Skip    int
	Limit   int    // 0 = all
	From    uint32 // of a list of a cache in the order of storage: where the page before it ended (Page.Next)
	Group   string // "" or a name of GroupKeys: see Groups
}

// Orders are the values of FlowQuery.Sort for a list. The kernel's table has no idle, a cache neither packets nor
// bytes.
var Orders = []string{
	"source", "destination", "protocol", "state", "age", "idle", "timeout", "mark", "zone", "sport", "dport", "id",
	"nat", "helper", "packets", "bytes",
}

// MaxSorted is the greatest limit of a sorted list and of groups, and maxDepth the greatest skip of a sorted list of a
// cache. The daemon keeps that many references in memory, and of the kernel's table up to 2*MaxSorted whole flows.
const (
	MaxSorted = 10000
	maxSkip   = 4 << 20
	maxDepth  = 100000
)

// Passes reports whether q selects a flow with the times a by its family and filter.
func (q *FlowQuery) Passes(f *flow.Flow, a flow.Ages) bool {
	return (q.Family == 0 || f.Orig.Family == q.Family) && (q.Filter == nil || q.Filter.Match(f, a))
}

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
	if q.Filter != nil {
		v.Set("filter", q.Filter.String())
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
	if q.From > 0 {
		v.Set("from", strconv.FormatUint(uint64(q.From), 10))
	}
	if q.Group != "" {
		v.Set("group", q.Group)
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
			return q, badTable("the kernel's expectations are not listed", "read a cache")
		}
	default:
		return q, badQuery("entries", v, "main or expect")
	}
	if err = q.parseScope(v); err != nil {
		return q, err
	}
	if err = q.answerable(); err != nil {
		return q, err
	}
	if q.Skip, err = number(v, "skip", maxSkip); err != nil {
		return q, err
	}
	if q.Limit, err = number(v, "limit", 1<<31-1); err != nil {
		return q, err
	}
	from, err := number(v, "from", 1<<31-1)
	if err != nil {
		return q, err
	}
	ordered := q.Skip > 0 || v.Get("sort") != ""
	if q.From = uint32(from); q.From > 0 && (q.Table == TableKernel || q.Entries == EntriesExpect || ordered) {
		return q, &Error{
			Code: CodeBadRequest, Message: "from continues a list of the flows of a cache in the order of storage",
			Hint: "leave out from, or sort and skip",
		}
	}
	return q, q.parseOrder(v)
}

// parseScope reads family and filter.
func (q *FlowQuery) parseScope(v url.Values) (err error) {
	switch v.Get("family") {
	case "":
	case "ipv4":
		q.Family = flow.IPv4
	case "ipv6":
		q.Family = flow.IPv6
	default:
		return badQuery("family", v, "ipv4 or ipv6")
	}
	text := v.Get("filter")
	if text == "" {
		return nil
	}
	if q.Entries == EntriesExpect {
		return badTable("expectations are not filtered", "leave out filter")
	}
	q.Filter, err = expr.Parse(text)
	if x := (*expr.Error)(nil); errors.As(err, &x) {
		return &Error{
			Code: CodeBadRequest, Message: fmt.Sprintf("filter column %d: %s", x.Column, x.Message),
			Hint: x.Hint, Column: x.Column,
		}
	}
	return err
}

// answerable refuses a filter that looks at what the table does not have: it would match nothing, which looks like an
// answer.
func (q *FlowQuery) answerable() error {
	if q.Filter == nil {
		return nil
	}
	need := q.Filter.Needs()
	switch {
	case q.Table == TableKernel && need&expr.NeedIdle != 0:
		return badTable(noIdle, "filter by timeout, or read a cache")
	case (q.Table == TableInternal || q.Table == TableExternal) && need&expr.NeedCounters != 0:
		return badTable(noCounters, "read the kernel's table")
	}
	return nil
}

func (q *FlowQuery) parseOrder(v url.Values) (err error) {
	if s := v.Get("desc"); s != "" {
		if q.Desc, err = strconv.ParseBool(s); err != nil {
			return badQuery("desc", v, "true or false")
		}
	}
	q.Sort, q.Group = v.Get("sort"), v.Get("group")
	if q.Group != "" {
		return q.checkGroup(v)
	}
	if q.Sort == "" {
		return nil
	}
	counted := q.Sort == "packets" || q.Sort == "bytes"
	switch {
	case q.Entries == EntriesExpect:
		return badTable("expectations cannot be sorted", "leave out sort")
	case !slices.Contains(Orders, q.Sort):
		return badQuery("sort", v, "one of "+strings.Join(Orders, ", "))
	case q.Table == TableKernel && q.Sort == "idle":
		return badTable(noIdle, "sort by timeout, or read a cache")
	case q.Table != TableKernel && counted:
		return badTable(noCounters, "read the kernel's table")
	case q.Limit == 0 || q.Limit > MaxSorted:
		return badQuery("limit", v, fmt.Sprintf("1 to %d for a sorted list", MaxSorted))
	case q.Skip > maxDepth, q.Table == TableKernel && q.Skip > MaxSorted:
		most := fmt.Sprintf("at most %d for a sorted list, %d of the kernel's table", maxDepth, MaxSorted)
		return badQuery("skip", v, most)
	}
	return nil
}

// parseDifferenceQuery reads a query of /v1/differences: table (internal, external), family, filter, limit.
func parseDifferenceQuery(v url.Values) (q FlowQuery, err error) {
	q.Table = Table(v.Get("table"))
	if q.Table != TableInternal && q.Table != TableExternal {
		return q, badQuery("table", v, "internal or external")
	}
	if err = q.parseScope(v); err != nil {
		return q, err
	}
	if err = q.answerable(); err != nil {
		return q, err
	}
	q.Limit, err = number(v, "limit", 1<<31-1)
	return q, err
}

// parseEventQuery reads a query of /v1/events: table (internal, external, none for both), family, filter. An event of
// the kernel has the counters of a flow that ends, which the internal cache does not keep.
func parseEventQuery(v url.Values) (q FlowQuery, err error) {
	q.Table = Table(v.Get("table"))
	if q.Table != "" && q.Table != TableInternal && q.Table != TableExternal {
		return q, badQuery("table", v, "internal, external or nothing")
	}
	if err = q.parseScope(v); err == nil && q.Table == TableExternal {
		err = q.answerable()
	}
	return q, err
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

// What a query asks for in vain.
const (
	noIdle     = "the kernel's table does not tell how long a flow is idle"
	noCounters = "the caches keep no packets and bytes"
)

// badTable refuses a query of what a table does not have.
func badTable(message, hint string) error {
	return &Error{Code: CodeBadRequest, Message: message, Hint: hint}
}
