package metrics

import "ctsync/daemon/control"

// perInject makes values of a number of disable-external-cache, 0 while that is off.
func perInject(v func(*control.InjectStatistics) uint64) values {
	return one(func(s *control.Statistics) uint64 { return v(injected(s)) })
}

func injected(s *control.Statistics) *control.InjectStatistics {
	if s.Inject == nil {
		return &control.InjectStatistics{}
	}
	return s.Inject
}

// requests makes values of what was asked of the kernel and what that refused.
func requests(v func(*control.Statistics) *control.InjectCounts) values {
	return func(s *control.Snapshot, add func(float64, ...string)) {
		c := v(&s.Statistics)
		if c == nil {
			c = &control.InjectCounts{}
		}
		add(float64(c.Created), "created")
		add(float64(c.CreateFailed), "create failed")
		add(float64(c.Updated), "updated")
		add(float64(c.UpdateFailed), "update failed")
		add(float64(c.Destroyed), "destroyed")
		add(float64(c.DestroyFailed), "destroy failed")
	}
}

// injectFamilies are of disable-external-cache, where the peer's flows go straight into the kernel.
var injectFamilies = []family{
	counter("inject_flows_total", "Flows of the peer put into the kernel at once, by what became of each change: created, updated, destroyed, or why not.", []string{"outcome"},
		requests(func(s *control.Statistics) *control.InjectCounts { return s.Inject.Counts() })),
	counter("inject_expectations_total", "Expectations of the peer put into the kernel at once, as inject_flows_total.", []string{"outcome"},
		requests(func(s *control.Statistics) *control.InjectCounts {
			if s.Expect == nil {
				return nil
			}
			return s.Expect.Inject
		})),
	gauge("inject_entries", "Flows that the peer has now and that belong into the kernel.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Flows })),
	gauge("inject_waiting_entries", "Flows and expectations of which the kernel is still to be told.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Waiting })),
	gauge("inject_refused_entries", "Flows of the peer that the kernel refuses; they are offered again every 30 s.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Missing })),
	counter("inject_replaced_total", "Flows for which another entry of the kernel was deleted first.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Replaced })),
	counter("inject_expired_total", "Flows not put into the kernel because their time was up.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Expired })),
	counter("inject_filtered_total", "Flows not put into the kernel because the filter does not let them pass.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Filtered })),
	counter("inject_refreshed_total", "Timers set again because the peer keeps the flow alive.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Refreshed })),
	counter("inject_lost_total", "Flows that the kernel ended by itself while the peer still had them.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Lost })),
	counter("inject_kept_total", "Flows that the peer ended and that were not deleted: this router has them too, or packets of them pass here.", []string{"reason"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			i := injected(&s.Statistics)
			add(float64(i.KeptOwn), "own")
			add(float64(i.KeptBusy), "busy")
		}),
	counter("inject_disowned_total", "Flows of this router that became the peer's.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Disowned })),
	counter("inject_failures_total", "Why the kernel does not have flows of the peer, by errno or by what protocol v1 does not carry.", []string{"reason"},
		each(func(s *control.Statistics) map[string]uint64 { return injected(s).Errors })),
	counter("inject_degraded_total", "Flows put into the kernel without something, by what.", []string{"without"},
		each(func(s *control.Statistics) map[string]uint64 { return injected(s).Degraded })),
	gauge("inject_memory_bytes", "Memory of what is known of the peer's flows.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Bytes })),
	gauge("inject_limit_entries", "Flows of the peer that may be known.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Limit })),
	counter("inject_full_total", "Flows of the peer refused because that many were known.", nil,
		perInject(func(i *control.InjectStatistics) uint64 { return i.Full })),
}
