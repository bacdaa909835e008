package config

import "strings"

// moved are the keys of earlier versions that are now flags of ctsync-exporter, and their flags. The daemon does not
// start with such a key: without that the metrics would silently be gone from where Prometheus looks for them.
var moved = map[string]string{
	"metrics-listen":     "--web.listen-address",
	"metrics-web-config": "--web.config.file",
}

// movedKey says what to do about a key of moved, with the value that it has.
func (p *parser) movedKey(n *node) {
	value := n.text
	if n.key == "metrics-listen" && !strings.Contains(value, ":") { // a port alone
		value = "127.0.0.1:" + value
	}
	p.problem(n.at, "%s is now a flag of ctsync-exporter, which serves the metrics over TCP: remove this line, write "+
		"%s=%s into ARGS in /etc/default/ctsync-exporter, and run systemctl enable --now ctsync-exporter",
		n.key, moved[n.key], value)
}
