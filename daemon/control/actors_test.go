package control

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/nstest"
)

// Numbers of a user and groups that nobody here has.
const (
	somebody = 54321
	readers  = 54401
	doers    = 54402
)

// TestActors asks as other users, whom the kernel vouches for: everybody who may connect may read, few may act.
func TestActors(t *testing.T) {
	nstest.Require(t) // only root can become others
	nstest.RequireCommand(t, "curl", "curl")
	dir, err := os.MkdirTemp("", "ctsync-actors") // t.TempDir does not let others in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	many := make([]uint32, 200) // more groups than the first look at them expects
	for i := range many {
		many[i] = 60000 + uint32(i)
	}
	many[150], many[199] = readers, doers
	for _, tt := range []struct {
		name      string
		socket    int // its group
		actBy     int // control-group, -1 for none
		as        syscall.Credential
		connects  bool
		acts      bool
		mustSayIn string
	}{
		{"root", readers, doers, syscall.Credential{}, true, true, ""},
		{"stranger", readers, doers, syscall.Credential{Uid: somebody, Gid: somebody}, false, false, ""},
		{"reader", readers, doers, syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{readers}}, true, false, "member of group " + strconv.Itoa(doers)},
		{"reader by primary group", readers, doers, syscall.Credential{Uid: somebody, Gid: readers}, true, false, "control-group"},
		{"doer", readers, doers, syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{readers, doers}}, true, true, ""},
		{"doer by primary group", readers, doers, syscall.Credential{Uid: somebody, Gid: doers, Groups: []uint32{readers}}, true, true, ""},
		{"doer of many groups", readers, doers, syscall.Credential{Uid: somebody, Gid: somebody, Groups: many}, true, true, ""},
		{"doer who may not connect", readers, doers, syscall.Credential{Uid: somebody, Gid: doers}, false, false, ""},
		{"one group for both", doers, doers, syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{doers}}, true, true, ""},
		{"nothing configured", readers, -1, syscall.Credential{Uid: somebody, Gid: readers}, true, false, "member of group " + groupName(uint32(os.Getegid()))},
		{"nothing configured, the daemon's group", os.Getegid(), -1, syscall.Credential{Uid: somebody, Gid: uint32(os.Getegid())}, true, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
			ln, err := Listen(t.Context(), path, strconv.Itoa(tt.socket), quietLog)
			if err != nil {
				t.Fatal(err)
			}
			var log lockedBuffer
			serveOn(t, ln, fake(), func(s *Server) {
				s.log = slog.New(slog.NewTextHandler(&log, nil))
				if tt.actBy >= 0 {
					s.ActBy(tt.actBy)
				}
			})
			for _, call := range [][]string{
				{"/v1/status"}, {"/v1/flows?table=internal"},
				{"/v1/actions", "-d", `{"verb":"bulk"}`}, {"/v1/notify", "-d", `{"type":"GROUP","state":"MASTER"}`},
			} {
				status, body := curlAs(t, &tt.as, path, call...)
				want := 200
				switch {
				case !tt.connects:
					want = 0
				case len(call) > 1 && !tt.acts:
					want = http.StatusForbidden
				case call[0] == "/v1/notify":
					want = http.StatusAccepted
				}
				if status != want {
					t.Errorf("%s: status %d, want %d: %s", call[0], status, want, body)
				}
				says := strings.Contains(body, `"code":"forbidden"`) && strings.Contains(body, tt.mustSayIn)
				if want == http.StatusForbidden && !says {
					t.Errorf("%s: %s", call[0], body)
				}
			}
			if n := strings.Count(log.String(), "may read but not act"); (n > 0) != (tt.connects && !tt.acts) || n > 2 {
				t.Errorf("%d lines in the log: %s", n, log.String())
			}
		})
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// curlAs makes a request as somebody else and returns its status, 0 when there was no connection, and the body.
func curlAs(t *testing.T, as *syscall.Credential, socket string, call ...string) (status int, body string) {
	t.Helper()
	args := []string{"-sS", "--max-time", "20", "-w", "\n%{http_code}", "--unix-socket", socket, "http://ctsync" + call[0]}
	args = append(args, call[1:]...)
	cmd := exec.Command("curl", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	out, err := cmd.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(string(out), "\n")
	at := strings.LastIndexByte(text, '\n')
	status, err = strconv.Atoi(text[at+1:])
	if err != nil {
		t.Fatalf("curl says %q: %v", out, err)
	}
	return status, text[:max(at, 0)]
}

// What a server knows of who calls is what the process says of itself.
func TestCallerIsThisProcess(t *testing.T) {
	c := start(t, fake())
	conn := connect(t, c)
	got, ok := peerOf(conn) // on a connection of ours: the one that listens, which is this process too
	groups, err := os.Getgroups()
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	want := Caller{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Groups: []uint32{}}
	for _, g := range groups {
		want.Groups = append(want.Groups, uint32(g))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-process +socket):\n%s", d)
	}
}
