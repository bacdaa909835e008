package metrics

import "ctsync/daemon/control"

func perKernel(v func(*control.KernelStatistics) uint64) values {
	return one(func(s *control.Statistics) uint64 { return v(&s.Kernel) })
}

var kernelFamilies = []family{
	gauge("kernel_table_entries", "Flows in the kernel's conntrack table (nf_conntrack_count).", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.TableEntries })),
	gauge("kernel_table_limit_entries", "How many flows the kernel's conntrack table may hold (nf_conntrack_max). A full table drops new connections.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.TableMax })),
	gauge("kernel_events_setting", "net.netfilter.nf_conntrack_events: 0 off, 1 on, 2 for flows made while somebody listens, -1 without conntrack.", nil,
		func(s *control.Snapshot, add func(float64, ...string)) {
			add(float64(s.Statistics.Kernel.EventsSetting))
		}),
	gauge("kernel_filter_info", "Always 1; the label tells how much of the filter of flows the kernel applies to events: whole, protocols or none.", []string{"applied"},
		func(s *control.Snapshot, add func(float64, ...string)) { add(1, s.Statistics.Kernel.FilterInKernel) }),
	counter("kernel_events_total", "Conntrack events read from the kernel.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Events })),
	counter("kernel_events_filtered_total", "Conntrack events of flows that the filter does not let pass, as far as the kernel did not drop them already.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Filtered })),
	counter("kernel_events_unknown_total", "Conntrack messages of an unknown type.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Unknown })),
	counter("kernel_events_malformed_total", "Conntrack messages that could not be read.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Malformed })),
	counter("kernel_event_overruns_total", "Times that the kernel dropped events for want of buffer (ENOBUFS). What got lost is repaired from the table: raise event-listen-queue-size.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Overruns })),
	gauge("kernel_event_buffer_bytes", "Buffer for conntrack events.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.BufferBytes })),
	gauge("kernel_event_buffer_limit_bytes", "How far the buffer for conntrack events may grow (event-listen-queue-size).", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.BufferLimit })),
	counter("kernel_event_buffer_growths_total", "Times that the buffer for conntrack events grew.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.BufferGrown })),
	counter("kernel_comparisons_total", "Comparisons of the internal cache with the kernel's table.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Repairs })),
	counter("kernel_differences_repaired_total", "Differences that such comparisons found and mended.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Repaired })),
	counter("kernel_comparisons_unreadable_total", "Comparisons with the kernel's table that met a record which could not be read.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.DumpMalformed })),
	counter("kernel_purges_total", "Times that timers of flows of the other router were shortened.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Purges })),
	gauge("kernel_event_coalesce_seconds", "How long events that come fast gather at most (coalesce).", nil,
		func(s *control.Snapshot, add func(float64, ...string)) { add(seconds(s.Statistics.Kernel.Coalesce)) }),
	counter("filter_evicted_flows_total", "Flows that left the internal cache because the filter changed.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Evicted })),
	counter("peer_swept_entries_total", "Entries of the external cache that the peer no longer had when it sent its whole table.", nil,
		perKernel(func(k *control.KernelStatistics) uint64 { return k.Swept })),
}
