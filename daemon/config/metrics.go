package config

import (
	"net/netip"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// metricsListen reads where to serve metrics over TCP: a port, which means loopback, or an address with its port. It
// refuses ":9780", which elsewhere means every address and is easily mistaken for loopback.
func (p *parser) metricsListen(n *node) {
	p.given[n.key] = n // for metricsRelations, also when it is refused here
	const wants = `a port, or an address with a port such as "192.0.2.1:9780"`
	if n.kind == unstable.Integer {
		var port int
		if p.number(n, &port, 1, 65535, "") {
			p.cfg.MetricsListen = loopback(uint16(port))
		}
		return
	}
	text, ok := p.str(n, wants)
	if !ok {
		return
	}
	if port, err := strconv.ParseUint(text, 10, 16); err == nil && port > 0 {
		p.cfg.MetricsListen = loopback(uint16(port))
		return
	}
	at, err := netip.ParseAddrPort(text)
	switch {
	case err != nil && len(text) > 1 && text[0] == ':':
		p.problem(n.valueAt,
			`metrics-listen = %s has no address: write "0.0.0.0%s" for every address, or the port alone for loopback`,
			quote(text), text)
	case err != nil || at.Port() == 0:
		p.problem(n.valueAt, "metrics-listen = %s is not %s", quote(text), wants)
	case at.Addr().IsMulticast():
		p.problem(n.valueAt, "metrics-listen = %s is a multicast address", quote(text))
	default:
		p.cfg.MetricsListen = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// metricsRelations checks what concerns both keys of the metrics.
func (p *parser) metricsRelations() {
	if n := p.given["metrics-web-config"]; n != nil && p.given["metrics-listen"] == nil {
		p.problem(n.at, "metrics-web-config has no effect without metrics-listen")
	}
}

func addrPort(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
