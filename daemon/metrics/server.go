package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"

	"ctsync/daemon/control"
)

// Limits of the TCP server, which strangers may reach.
const (
	maxConnections = 128
	headerTimeout  = 2 * time.Second
	requestTimeout = 5 * time.Second
	answerTimeout  = 15 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeader      = 16 << 10
)

// Server serves /metrics, and nothing else, over TCP.
type Server struct {
	Page http.Handler // see Handler
	Log  *slog.Logger

	// WebConfig is the path of a web configuration of Prometheus' exporter-toolkit, with TLS and users, or empty. It is
	// read for every connection, so that a renewed certificate is taken up.
	WebConfig string
}

// CheckWebConfig returns nil if the file and what it names can be used.
func CheckWebConfig(path string) error {
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("read metrics-web-config %s: %w", path, err)
	}
	return nil
}

// Serve answers on ln until ctx ends and then returns nil, or an error when serving fails for another reason. It closes
// ln. If WebConfig cannot be used, it serves nothing and returns an error.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	if s.WebConfig != "" {
		if err := CheckWebConfig(s.WebConfig); err != nil {
			return err
		}
	}
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true,
	}
	return control.ServeUntil(ctx, srv, func() error { return s.serve(srv, netutil.LimitListener(ln, maxConnections)) })
}

func (s *Server) serve(srv *http.Server, ln net.Listener) error {
	if s.WebConfig == "" {
		return srv.Serve(ln)
	}
	return web.Serve(ln, srv, &web.FlagConfig{WebConfigFile: &s.WebConfig}, s.Log)
}

// handle answers /metrics and refuses everything else.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/metrics":
		http.Error(w, "there is nothing but /metrics here", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
	default:
		s.Page.ServeHTTP(w, r)
	}
}
