package daemon_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"ctsync/daemon/nstest"
)

// Numbers of the user and group of ctsync-exporter that nobody here has.
const exporterUID, exporterGID = 54321, 54403

// export runs ctsync-exporter beside r's daemon until the test ends. as nil is the user of the test.
func (r *router) export(as []string, flags ...string) *exec.Cmd {
	r.t.Helper()
	args := append(as, filepath.Join(binDir, "ctsync-exporter"), "--socket", r.socket())
	args = append(args, flags...)
	cmd := r.ns.Exec(context.Background(), args[0], args[1:]...)
	log := &logBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("ctsync-exporter: %v", err)
		}
		if r.t.Failed() {
			r.t.Logf("log of ctsync-exporter:\n%s", log)
		}
	})
	addresses := max(1, strings.Count(strings.Join(flags, " "), "--web.listen-address"))
	nstest.Eventually(r.t, 10*time.Second, func() bool { return strings.Count(log.String(), "TLS is ") == addresses },
		func() string { return "ctsync-exporter serves: " + log.String() })
	return cmd
}

// asExporter are the words that run a program as ctsync-exporter's user.
func asExporter() []string {
	uid, gid := strconv.Itoa(exporterUID), strconv.Itoa(exporterGID)
	return []string{"setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"}
}

// openDir gives r a directory that other users may enter, as /run/ctsync is.
func (r *router) openDir() {
	r.t.Helper()
	dir, err := os.MkdirTemp("", "ctsync-exporter") // t.TempDir does not let others in
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	r.dir = dir
}

const password = "correct horse"

// webConfig writes a web configuration with TLS and a user, and returns its path.
func (r *router) webConfig() string {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		r.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"web.yml": "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n" +
			"basic_auth_users: {prometheus: '" + string(hash) + "'}\n",
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	return filepath.Join(r.dir, "web.yml")
}

// scraper returns a client of servers in r's namespace.
func (r *router) scraper() *http.Client {
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64,
		DialContext: func(_ context.Context, network, at string) (c net.Conn, err error) {
			r.ns.Do(func() { c, err = net.DialTimeout(network, at, time.Second) })
			return c, err
		},
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// scrape returns the status and the page, or the error.
func scrape(c *http.Client, at, pass string) (status int, page string, err error) {
	req, err := http.NewRequest(http.MethodGet, "https://"+at+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if pass != "" {
		req.SetBasicAuth("prometheus", pass)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// TestExporter scrapes a daemon as Prometheus does, through the exporter as its own user: with TLS and a password, at
// an address that comes later, and while the daemon hangs, is away and is back.
func TestExporter(t *testing.T) {
	nstest.RequireCommand(t, "curl", "curl")
	nstest.RequireCommand(t, "promtool", "prometheus")
	t.Parallel()
	a, _ := newPair(t)
	a.openDir()
	o := options{extra: fmt.Sprintf("metrics-group = %d\n", exporterGID)}
	a.start(o)
	const here, later = "127.0.0.1:9780", "192.0.2.1:9780"
	a.export(asExporter(), "--web.config.file="+a.webConfig(), "--web.listen-address="+here, "--web.listen-address="+later)
	c := a.scraper()
	status, page, err := scrape(c, here, password)
	if err != nil || status != 200 || metric(t, page, "ctsync_up") != 1 {
		t.Fatalf("%d, %v: %.300s", status, err, page)
	}
	metric(t, page, "ctsync_in_step")
	if own, its := strings.Count(page, "# TYPE"), strings.Count(a.page(), "# TYPE"); own != its+3 {
		t.Errorf("%d metrics, the daemon has %d", own, its)
	}
	checkPage(t, page)
	for _, pass := range []string{"", "guess"} {
		if status, page, err := scrape(c, here, pass); status != 401 || strings.Contains(page, "ctsync_") {
			t.Errorf("password %q: %d, %v: %.300s", pass, status, err, page)
		}
	}
	as := append(asExporter(), filepath.Join(binDir, "ctsync"), "--socket", a.socket(), "show", "status")
	if out, err := a.ns.Exec(t.Context(), as[0], as[1:]...).CombinedOutput(); err == nil {
		t.Errorf("the exporter's user may read more than the metrics: %s", out)
	}
	a.ns.Run(t, "ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
	if status, _, err := scrape(c, later, password); status != 200 {
		t.Errorf("at the address that came later: %d, %v", status, err)
	}

	up := func(want float64) func() bool {
		return func() bool {
			status, page, err := scrape(c, here, password)
			return err == nil && status == 200 && metric(t, page, "ctsync_up") == want &&
				strings.Contains(page, "\nctsync_in_step ") == (want == 1)
		}
	}
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.eventually(15*time.Second, "is said to be away while it hangs", up(0))
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	a.eventually(15*time.Second, "is up", up(1))
	a.stop(syscall.SIGTERM)
	a.eventually(10*time.Second, "is said to be away", up(0))
	a.start(o)
	a.eventually(10*time.Second, "is up again", up(1))
}

// cpu returns the CPU time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // the third of proc(5) is the first here
	user, uerr := strconv.Atoi(fields[14-3])
	system, serr := strconv.Atoi(fields[15-3])
	if uerr != nil || serr != nil {
		t.Fatalf("%s: %v %v", b, uerr, serr)
	}
	return time.Duration(user+system) * (time.Second / 100)
}

// TestGuessedPasswords guesses passwords for three seconds: that costs the exporter, not the daemon.
func TestGuessedPasswords(t *testing.T) {
	t.Parallel()
	a, _ := newPair(t)
	a.openDir()
	a.start(options{extra: fmt.Sprintf("metrics-group = %d\n", exporterGID)})
	exporter := a.export(asExporter(), "--web.config.file", a.webConfig())
	c := a.scraper()
	const at, during = "127.0.0.1:9780", 3 * time.Second
	daemonBefore, exporterBefore := cpu(t, a.cmd.Process.Pid), cpu(t, exporter.Process.Pid)
	var guesses, scrapes atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(during)
	for range 8 {
		all.Go(func() {
			for time.Now().Before(end) {
				pass := fmt.Sprint("guess ", guesses.Add(1))
				if status, _, err := scrape(c, at, pass); err != nil || status != 401 {
					t.Errorf("%s: %d, %v", pass, status, err)
				}
			}
		})
	}
	all.Go(func() { // and somebody who knows the password scrapes as fast as he can
		for ; time.Now().Before(end); scrapes.Add(1) {
			if status, _, err := scrape(c, at, password); status != 200 {
				t.Errorf("scrape: %d, %v", status, err)
			}
		}
	})
	all.Wait()
	ofDaemon := cpu(t, a.cmd.Process.Pid) - daemonBefore
	ofExporter := cpu(t, exporter.Process.Pid) - exporterBefore
	t.Logf("%d guesses and %d scrapes in %v: CPU time %v of the exporter, %v of the daemon",
		guesses.Load(), scrapes.Load(), during, ofExporter, ofDaemon)
	if ofDaemon > during/10 || ofExporter < 2*ofDaemon || scrapes.Load() == 0 {
		t.Error("guessing costs the daemon CPU time")
	}
}
