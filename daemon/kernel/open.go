package kernel

import (
	"fmt"

	"ctsync/daemon/ctnetlink"
)

// Sockets are the daemon's conntrack sockets.
type Sockets struct {
	Events *ctnetlink.Listener
	Commit Turn // what is changed through it raises no event on Events
	Dump   Turn // for reading
}

// Open opens the sockets. The kernel drops the events of what Commit changes, so whoever changes something there puts
// it into the internal cache as well.
func Open(cfg ctnetlink.ListenConfig) (*Sockets, error) {
	l, err := ctnetlink.Listen(cfg)
	if err != nil {
		return nil, fmt.Errorf("listen for conntrack events: %w", err)
	}
	commit, err := ctnetlink.Dial()
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("dial ctnetlink: %w", err)
	}
	s := &Sockets{Events: l, Commit: NewTurn(commit)}
	if err := l.Ignore(commit.PortID()); err != nil {
		l.Close()
		commit.Close()
		return nil, fmt.Errorf("filter own conntrack events: %w", err)
	}
	dump, err := ctnetlink.Dial()
	if err != nil {
		l.Close()
		commit.Close()
		return nil, fmt.Errorf("dial ctnetlink: %w", err)
	}
	s.Dump = NewTurn(dump)
	return s, nil
}

// Close closes the sockets when nobody uses them any more.
func (s *Sockets) Close() {
	s.Events.Close()
	s.Commit.Close()
	s.Dump.Close()
}
