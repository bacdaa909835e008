package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// A socket that another user has put into the runtime directory is not spoken to: not one byte arrives there.
func TestClientChecksTheServer(t *testing.T) {
	for _, tt := range []struct {
		name        string
		owner       int // of the directory
		server, you int // users
		trusted     bool
	}{
		{"a member of the group", 0, somebody, 0, false},
		{"a member of the group, asked by another", 0, somebody, somebody + 1, false},
		{"the owner of the directory", somebody, somebody, 0, true},
		{"root", somebody, 0, somebody + 1, true},
		{"you", 0, somebody, somebody, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := runtimeDirectory(t)
			path := filepath.Join(dir, "s")
			if err := os.Chown(dir, tt.owner, readers); err != nil {
				t.Fatal(err)
			}
			var l net.Listener
			nstest.As(t, tt.server, ofReaders, func() {
				var err error
				if l, err = net.Listen("unix", path); err != nil {
					t.Error(err)
				}
			})
			defer l.Close()
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
			heard := make(chan int, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				n, _ := c.Read(make([]byte, 1000))
				heard <- n
			}()
			var err error
			nstest.As(t, tt.you, ofReaders, func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				c, derr := dialServer(ctx, path)
				if err = derr; err == nil {
					c.Write([]byte("x"))
					c.Close()
				}
			})
			if n := <-heard; (n > 0) != tt.trusted {
				t.Errorf("the server heard %d bytes", n)
			}
			says := fmt.Sprintf("of uid %d serves it", tt.server)
			if (err == nil) != tt.trusted || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("trusted: %v, want %v", err, tt.trusted)
			}
			if tt.trusted || tt.you != 0 {
				return
			}
			if _, err := New(path).Status(t.Context()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), says) {
				t.Errorf("status: %v", err)
			}
		})
	}
}
