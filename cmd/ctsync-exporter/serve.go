package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"ctsync/daemon/control"
)

// Limits of the server, which strangers may reach.
const (
	maxConnections = 128 // of an address
	maxStreams     = 4   // of a connection with HTTP/2
	maxScrapes     = 16  // that may wait for a page at a time; more are refused with 503
	headerTimeout  = 2 * time.Second
	requestTimeout = 5 * time.Second
	answerTimeout  = 15 * time.Second
	idleTimeout    = 2 * time.Minute // Prometheus keeps its connection from one scrape to the next
	maxHeader      = 16 << 10
)

// checkWebConfig returns nil if there is no file, or if the file and what it names can be used.
func checkWebConfig(path string) error {
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("read web configuration %s: %w", path, err)
	}
	return nil
}

// listen opens a TCP address, which does not have to exist: a virtual address may be on the other router.
func listen(ctx context.Context, at string) (net.Listener, error) {
	freebind := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
		level, option := unix.IPPROTO_IP, unix.IP_FREEBIND
		if network == "tcp6" {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
		}
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); cerr != nil {
			return cerr
		}
		return err
	}}
	ln, err := freebind.Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	return netutil.LimitListener(ln, maxConnections), nil
}

// serve answers on ln until ctx ends and then returns nil, or an error when serving fails for another reason.
func serve(ctx context.Context, ln net.Listener, h http.Handler, webConfig string, log *slog.Logger) error {
	defer ln.Close()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // strangers write no log

		DisableGeneralOptionsHandler: true,
	}
	flags := &web.FlagConfig{WebConfigFile: &webConfig}
	if err := control.ServeUntil(ctx, srv, func() error { return web.Serve(ln, srv, flags, log) }); err != nil {
		return fmt.Errorf("serve metrics at %s: %w", ln.Addr(), err)
	}
	return nil
}

// landing is the page of /.
const landing = `<!DOCTYPE html><title>ctsync-exporter</title><p>Metrics of ctsyncd: <a href="/metrics">/metrics</a>
`

// handler answers the two pages and refuses everything else.
type handler struct {
	source  *source
	places  chan struct{} // one token per scrape
	refused atomic.Uint64
}

func newHandler(s *source) *handler {
	return &handler{source: s, places: make(chan struct{}, maxScrapes)}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/metrics" && r.URL.Path != "/":
		http.Error(w, "the metrics are at /metrics, and there is nothing else", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
	case r.URL.Path == "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, landing)
	default:
		h.scrape(w, r)
	}
}

func (h *handler) scrape(w http.ResponseWriter, r *http.Request) {
	select {
	case h.places <- struct{}{}:
	default:
		h.refused.Add(1)
		http.Error(w, "too many scrapes are under way: try again", http.StatusServiceUnavailable)
		return
	}
	p, err := h.source.page(r.Context())
	<-h.places
	if err != nil {
		return // who asked has left
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(p.text) // an error means that who asked has left
	_, _ = w.Write(p.appendOwn(nil, h.refused.Load()))
}
