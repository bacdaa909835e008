package tui

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/flow"
)

// servicesFile has the names of ports: services(5).
const servicesFile = "/etc/services"

// service is a port of a protocol.
type service struct {
	proto flow.Proto
	port  uint16
}

// services are the names of ports. With nil, ports are written as numbers.
type services map[service]string

// servicesMsg brings the names of ports.
type servicesMsg struct {
	names services
	err   error
}

// toggleNames switches between names and numbers of ports. It reads the names the first time.
func (m *model) toggleNames() tea.Cmd {
	switch {
	case m.names != nil:
		m.names = nil
		return nil
	case m.known != nil:
		m.names = m.known
		return nil
	}
	return func() tea.Msg {
		f, err := os.Open(servicesFile)
		if err != nil {
			return servicesMsg{err: err}
		}
		defer f.Close()
		names, err := readServices(f)
		return servicesMsg{names: names, err: err}
	}
}

func (m *model) takeServices(msg servicesMsg) {
	switch {
	case msg.err != nil:
		m.complain(fmt.Sprintf("ports stay numbers: %v", msg.err))
	case len(msg.names) == 0:
		m.complain("ports stay numbers: " + servicesFile + " has no names")
	default:
		m.known, m.names = msg.names, msg.names
	}
}

// readServices reads services(5): name, port/protocol, aliases, # comment. Lines that are something else are skipped.
func readServices(r io.Reader) (services, error) {
	names := services{}
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return names, lines.Err()
		}
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) < 2 {
			continue
		}
		number, protocol, _ := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		proto, perr := flow.ParseProto(protocol)
		if err != nil || perr != nil {
			continue
		}
		k := service{proto, uint16(port)}
		if _, known := names[k]; !known {
			names[k] = fields[0]
		}
	}
}
