// Package control is the control API of ctsyncd: its types once, its server and its client.
//
// HTTP with JSON over a unix socket (mode 0660), so that
//
//	curl --unix-socket /run/ctsync/ctsync.sock http://ctsync/v1/status
//
// works. docs/api.md describes the whole. Everything but the metrics lies under /v1:
//
//	GET  /v1/status                      Status
//	GET  /v1/statistics                  Statistics
//	GET  /v1/snapshot                    Snapshot: both, of one moment
//	GET  /v1/transitions                 []Transition, oldest first
//	GET  /v1/flows?table=&entries=&...   flows or expectations as text or NDJSON, streamed; see FlowQuery
//	GET  /v1/resend?format=              messages in flight to the peer, as text or NDJSON of Resend
//	GET  /v1/flows?group=...             Groups
//	GET  /v1/differences?table=&...      between a cache and the kernel's table, as text or NDJSON; see Difference
//	GET  /v1/events?table=&filter=       changes of flows, as text or NDJSON, until the client leaves; see Event
//	GET  /v1/log?after=                  LogPage: the last lines of the log, or those after one
//	POST /v1/notify       Notification   Transition, answered as soon as it is accepted
//	POST /v1/actions      Action         NDJSON of ActionLine: progress, then one result or error
//	GET  /metrics                        the numbers of Status and Statistics for Prometheus; see package metrics
//
// The mode of the socket decides who may connect and read. The POST calls are for root, the daemon's user and the
// members of one group (Server.ActBy); the kernel says who the caller is.
//
// A refusal is a JSON object {"error", "code", "hint", "column"} (type Error) with a fitting HTTP status. Times are
// RFC 3339, durations are seconds with a fraction, counters are unsigned and start at 0 with the daemon, except those
// of the kernel (ConntrackCounters).
//
// A list that is not complete ends with the trailer Ctsync-Error. One with Ctsync-Next may have more entries beyond its
// limit: the value is the from of the next query. filter= is in the language of expr.Expr.
//
// No client can harm another or the daemon: request sizes, header times, idle times, the number of connections and the
// time that a reader may leave a stream unread are all limited.
package control
