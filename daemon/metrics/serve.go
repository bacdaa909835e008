package metrics

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// retryInterval is how often serving metrics is tried while their address is missing or taken: a router is better off
// without its metrics than without its daemon.
const retryInterval = time.Second

// Run serves at an address until ctx ends, and tries again when that fails. trouble hears why metrics are not served,
// and "" when they are.
func (s *Server) Run(ctx context.Context, at netip.AddrPort, trouble func(string)) error {
	complained := ""
	serving := func() {
		trouble("")
		s.Log.Info("metrics are served", "address", at, "web-config", s.WebConfig)
	}
	for {
		var listen net.ListenConfig
		ln, err := listen.Listen(ctx, "tcp", at.String())
		if err == nil {
			err = s.Serve(ctx, &announced{Listener: ln, first: serving})
		}
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = net.ErrClosed // nobody but us closes it
		}
		text := fmt.Sprintf("metrics are not served at %s: %v", at, err)
		trouble(text)
		if text != complained {
			complained = text
			s.Log.Error("metrics are not served, trying again every second", "address", at, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryInterval):
		}
	}
}

// announced is a listener that calls first when it is first accepted from: all that could be wrong with the server has
// been found by then.
type announced struct {
	net.Listener
	first func()
}

// Accept implements net.Listener.
func (a *announced) Accept() (net.Conn, error) {
	if a.first != nil {
		a.first()
		a.first = nil
	}
	return a.Listener.Accept()
}
