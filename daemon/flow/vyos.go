package flow

import "strconv"

// What VyOS prints above the rows of `show conntrack table ipv4` and `ipv6`, without a newline at the end. The columns
// of VyOSHeaderIPv6 fit the longest address with brackets and port.
const (
	VyOSLegend = "TCP state codes: SS - SYN SENT, SR - SYN RECEIVED, ES - ESTABLISHED,\n" +
		"                 FW - FIN WAIT, CW - CLOSE WAIT, LA - LAST ACK,\n" +
		"                 TW - TIME WAIT, CL - CLOSE, LI - LISTEN"

	VyOSHeaderIPv4 = "CONN ID    Source                 Destination            Protocol         TIMEOUT"
	VyOSHeaderIPv6 = "CONN ID    Source                                          Destination" +
		"                                     Protocol         TIMEOUT"
)

// Column widths of a row, without the space between columns.
const (
	vyosIDWidth    = 10
	vyosIPv4Width  = 22
	vyosIPv6Width  = 47
	vyosProtoWidth = 16
)

// AppendVyOS appends one row of `show conntrack table ipv4` or, if f is of that family, `ipv6`, without a newline: id,
// source, destination, protocol with number and TCP state code, timeout in seconds. What f does not carry is "-".
func AppendVyOS(b []byte, f *Flow) []byte {
	width := vyosIPv4Width
	if f.Orig.Family == IPv6 {
		width = vyosIPv6Width
	}
	at := len(b)
	b = appendOptional(b, uint64(f.ID), f.Has.Is(HasID))
	b = appendColumn(b, at, vyosIDWidth)
	at = len(b)
	b = appendColumn(f.Orig.AppendSource(b), at, width)
	at = len(b)
	b = appendColumn(f.Orig.AppendDestination(b), at, width)
	at = len(b)
	b = append(append(b, f.Orig.Proto.String()...), " ["...)
	b = strconv.AppendUint(b, uint64(f.Orig.Proto), 10)
	b = append(b, ']')
	if f.Orig.Proto == TCP && f.Has.Is(HasTCPState) {
		if code := TCPStateCode(f.TCPState); code != "" {
			b = append(append(b, ' '), code...)
		}
	}
	b = appendColumn(b, at, vyosProtoWidth)
	return appendOptional(b, uint64(f.Timeout), f.Has.Is(HasTimeout))
}

func appendOptional(b []byte, v uint64, has bool) []byte {
	if !has {
		return append(b, '-')
	}
	return strconv.AppendUint(b, v, 10)
}

// appendColumn pads the column that began at b[at] to width and appends a space.
func appendColumn(b []byte, at, width int) []byte {
	for n := len(b) - at; n < width; n++ {
		b = append(b, ' ')
	}
	return append(b, ' ')
}

// AppendSource appends the source of t: "192.0.2.1:80", "[2001:db8::1]:80", or only the address if the protocol has no
// ports.
func (t *Tuple) AppendSource(b []byte) []byte { return t.appendEnd(b, t.Src, t.SrcPort) }

// AppendDestination appends the destination of t, as AppendSource does.
func (t *Tuple) AppendDestination(b []byte) []byte { return t.appendEnd(b, t.Dst, t.DstPort) }

func (t *Tuple) appendEnd(b []byte, a Addr, port uint16) []byte {
	if !t.Proto.HasPorts() {
		return a.IP(t.Family).AppendTo(b)
	}
	if t.Family == IPv4 {
		b = a.IP(IPv4).AppendTo(b)
	} else {
		b = append(a.IP(t.Family).AppendTo(append(b, '[')), ']')
	}
	return strconv.AppendUint(append(b, ':'), uint64(port), 10)
}
