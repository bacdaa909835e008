package metrics

import "ctsync/daemon/control"

var linkLabels = []string{"device"}

func perLink(v func(*control.LinkStatistics) uint64) values {
	return func(s *control.Snapshot, add func(float64, ...string)) {
		for i := range s.Statistics.Links {
			l := &s.Statistics.Links[i]
			add(float64(v(l)), l.Device)
		}
	}
}

var linkFamilies = []family{
	gauge("link_info", "Always 1; the labels tell the state of a dedicated link (RUNNING, NO-CARRIER, DOWN) and its role: ACTIVE sends, all receive.",
		[]string{"device", "transport", "state", "role"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			for _, l := range s.Statistics.Links {
				add(1, l.Device, l.Transport, l.State, l.Role)
			}
		}),
	gauge("link_running", "1 while a dedicated link can carry datagrams.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return uint64(truth(l.State == "RUNNING")) })),
	counter("link_changes_total", "Times that another dedicated link began to send.", nil,
		one(func(s *control.Statistics) uint64 { return s.LinkChanges })),
	counter("link_sent_bytes_total", "Bytes sent on a dedicated link.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return l.BytesSent })),
	counter("link_received_bytes_total", "Bytes received on a dedicated link.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return l.BytesReceived })),
	counter("link_sent_datagrams_total", "Datagrams sent on a dedicated link.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return l.PacketsSent })),
	counter("link_received_datagrams_total", "Datagrams received on a dedicated link.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return l.PacketsReceived })),
	counter("link_send_errors_total", "Datagrams that could not be sent. The protocol sends their messages again.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return l.ErrorsSent })),
	counter("link_receive_errors_total", "Errors of receiving, among them datagrams that the kernel dropped for want of buffer: raise sync-queue-size.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return l.ErrorsReceived })),
	counter("link_dropped_datagrams_total", "Datagrams dropped on a dedicated link in either direction, by reason.", []string{"device", "reason"},
		func(s *control.Snapshot, add func(float64, ...string)) {
			for _, l := range s.Statistics.Links {
				for reason, n := range l.Dropped {
					add(float64(n), l.Device, reason)
				}
			}
		}),
	gauge("link_send_buffer_asked_bytes", "Send buffer of a dedicated link as configured (sync-queue-size).", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return uint64(l.SendBuffer.Asked) })),
	gauge("link_send_buffer_granted_bytes", "Send buffer of a dedicated link as the kernel accounts it.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return uint64(l.SendBuffer.Granted) })),
	gauge("link_receive_buffer_asked_bytes", "Receive buffer of a dedicated link as configured (sync-queue-size).", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return uint64(l.ReceiveBuffer.Asked) })),
	gauge("link_receive_buffer_granted_bytes", "Receive buffer of a dedicated link as the kernel accounts it.", linkLabels,
		perLink(func(l *control.LinkStatistics) uint64 { return uint64(l.ReceiveBuffer.Granted) })),
}
