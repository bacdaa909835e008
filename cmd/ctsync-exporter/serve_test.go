package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// sample is the page of a daemon.
const sample = "# HELP ctsync_in_step x\n# TYPE ctsync_in_step gauge\nctsync_in_step 1\n"

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

func answered(context.Context) ([]byte, error) { return []byte(sample), nil }

// start serves the sample until the test ends and returns the address.
func start(t *testing.T, webConfig string) string {
	t.Helper()
	return startAs(t, newHandler(newSource(answered, quiet)), webConfig)
}

func startAs(t *testing.T, h http.Handler, webConfig string) string {
	t.Helper()
	ln, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, ln, h, webConfig, quiet) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("server does not end")
		}
	})
	return ln.Addr().String()
}

// get makes a request and returns status and body, or the error.
func get(t *testing.T, c *http.Client, method, url string, header ...string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.SetBasicAuth(header[0], header[1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func client(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// TestTwoPages: strangers find nothing else, least of all the control API.
func TestTwoPages(t *testing.T) {
	at, c := "http://"+start(t, ""), client(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"GET", "/metrics?x=1", 200},
		{"POST", "/metrics", 405}, {"DELETE", "/metrics", 405},
		{"GET", "/", 200}, {"HEAD", "/", 200}, {"POST", "/", 405},
		{"GET", "/metrics/", 404}, {"GET", "/v1/status", 404}, {"POST", "/v1/actions", 404}, {"GET", "/debug/pprof/", 404}, {"GET", "/debug/requests", 404},
	} {
		status, body, err := get(t, c, tt.method, at+tt.path)
		shown := strings.HasPrefix(body, sample+"# HELP ctsync_up ") && strings.Contains(body, "\nctsync_up 1\n")
		page := tt.method == "GET" && status == 200 && tt.path != "/"
		if err != nil || status != tt.status || page != shown {
			t.Errorf("%s %s: %d, %v, %d bytes; want %d", tt.method, tt.path, status, err, len(body), tt.status)
		}
	}
}

// TestSilentStrangers: those who connect and say nothing, or not everything, lose their place soon.
func TestSilentStrangers(t *testing.T) {
	at := start(t, "")
	var silent []net.Conn
	for i := range 2 * maxConnections {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 1 {
			io.WriteString(conn, "GET /metrics HTTP/1.1\r\nX-A")
		}
		silent = append(silent, conn)
	}
	c := client(t, nil)
	if status, _, err := get(t, c, "GET", "http://"+at+"/metrics"); status != 200 {
		t.Errorf("beside silent strangers: %d, %v", status, err)
	}
	for _, conn := range silent {
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("a silent connection is still open: %v", err)
		}
	}
}

// A header without end is refused, not gathered.
func TestEndlessHeader(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	filler := strings.Repeat("X-Filler: aaaaaaaaaaaaaaaaaaaaaaa\r\n", 8192)
	go io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n"+filler)
	b, _ := io.ReadAll(conn)
	if len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 431 ") {
		t.Errorf("%.100q", b)
	}
}

// TestWebConfig serves with TLS and a user, from the very file format of Prometheus' exporters.
func TestWebConfig(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(dir, "web.yml")
	write(t, web, "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"+
		"basic_auth_users:\n  prometheus: "+string(hash)+"\n")
	if err := checkWebConfig(web); err != nil {
		t.Fatal(err)
	}
	at := start(t, web)
	c := client(t, &tls.Config{RootCAs: pool, ServerName: "router"})
	status, body, err := get(t, c, "GET", "https://"+at+"/metrics", "prometheus", "secret")
	if status != 200 || !strings.Contains(body, "ctsync_in_step 1\n") {
		t.Errorf("with the password: %d, %v", status, err)
	}
	for _, bad := range [][]string{{}, {"prometheus", "guess"}, {"nobody", "secret"}} {
		status, body, err := get(t, c, "GET", "https://"+at+"/metrics", bad...)
		if status != 401 || strings.Contains(body, "ctsync_") {
			t.Errorf("as %v: %d, %v", bad, status, err)
		}
	}
	status, body, _ = get(t, client(t, nil), "GET", "http://"+at+"/metrics", "prometheus", "secret")
	if status == 200 || strings.Contains(body, "ctsync_") {
		t.Errorf("without TLS: %d", status)
	}
}

// TestBadWebConfig: with a file that cannot be used nothing is served, least of all without TLS.
func TestBadWebConfig(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unknown.yml": "tls_sever_config: {}\n", "nokey.yml": "tls_server_config:\n  cert_file: missing.pem\n  key_file: missing.pem\n",
		"hash.yml": "basic_auth_users:\n  prometheus: secret\n", "missing.yml": "",
	} {
		path := filepath.Join(dir, name)
		if text != "" {
			write(t, path, text)
		}
		if err := checkWebConfig(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: checked: %v", name, err)
		}
		ln, err := listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := serve(t.Context(), ln, http.NotFoundHandler(), path, quiet); err == nil {
			t.Errorf("%s: served", name)
		}
		if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%s: the port is still open", name)
		}
	}
}

// certificate writes cert.pem and key.pem for "router" and returns what trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"router"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(cert))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
