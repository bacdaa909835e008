package control

import (
	"context"
	"net/http"
	"time"

	"ctsync/daemon/flow"
)

// Backend is what the server asks. All fields but Metrics are required. Functions are called from many goroutines; an
// *Error that one returns reaches the client as it is, any other error as CodeInternal.
type Backend struct {
	Status      func(ctx context.Context) (Status, error)
	Statistics  func(ctx context.Context) (Statistics, error)
	Snapshot    func(ctx context.Context) (Snapshot, error)
	Transitions func(ctx context.Context) ([]Transition, error) // oldest first

	// Resend returns the messages in flight in the order of their numbers; how many there can be is bounded.
	Resend func(ctx context.Context) ([]Resend, error)

	// Notify accepts a transition and returns its record at once, without waiting for the work that it starts.
	Notify func(ctx context.Context, n Notification) (Transition, error)

	// Action carries out a valid Action and returns when it is done. It may call progress as often as it likes, from
	// the calling goroutine. ctx ends with the server, not with the client: what was started is finished.
	Action func(ctx context.Context, a Action, progress func(done, total int)) (Result, error)

	// Flows calls fn for each flow that q asks for, in its order, until fn returns an error, which Flows returns.
	// fn may block while the client reads slowly: Flows must then hold nothing that others wait for. *Flow is valid
	// during the call only.
	Flows func(ctx context.Context, q FlowQuery, fn func(f *flow.Flow, m Meta) error) error

	// Expectations is Flows for a query with EntriesExpect.
	Expectations func(ctx context.Context, q FlowQuery, fn func(e *flow.Expectation, m Meta) error) error

	// Groups counts the flows that q asks for by q.Group.
	Groups func(ctx context.Context, q FlowQuery) (Groups, error)

	// Differences is Flows for the differences between q.Table, a cache, and the kernel's table; see Difference. After
	// q.Limit of them it goes on counting.
	Differences func(
		ctx context.Context, q FlowQuery, fn func(d *Difference, m Meta) error,
	) (DifferenceCounts, error)

	// Events calls fn with what happens to the flows that q asks for, of both caches when q.Table is "", until ctx ends
	// or fn returns an error, which Events returns. While fn blocks, events are kept up to a bound; beyond it they are
	// lost and counted. The batch is valid during the call only. The first one is empty: it says that Events has begun.
	Events func(ctx context.Context, q FlowQuery, fn func(b *EventBatch) error) error

	// Log returns the lines of the log that are kept, after the one with the given ID.
	Log func(after uint64) LogPage

	// Metrics answers GET /metrics in Prometheus' format. If it is nil, there is no such path.
	Metrics http.Handler
}

// Meta is what a cache knows of an entry besides the flow. It is zero for flows from the kernel.
type Meta struct {
	Created time.Time // first seen
	Updated time.Time // last seen to change
	Place   uint32    // in the order of storage: ascending in a list that is not sorted, never 0
}
