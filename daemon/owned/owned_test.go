package owned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	somebody = 54321 // a user whom nobody here trusts
	members  = 54322 // a group
)

// prepare puts something at path, as another user may do.
var prepare = map[string]func(path string) error{
	"a FIFO":          func(path string) error { return unix.Mkfifo(path, 0o666) },
	"a directory":     func(path string) error { return os.Mkdir(path, 0o777) },
	"a symbolic link": func(path string) error { return os.Symlink("elsewhere", path) },
	"a socket":        func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) },
	"hard links": func(path string) error {
		other := filepath.Join(filepath.Dir(path), "elsewhere")
		return errors.Join(os.WriteFile(other, nil, 0o600), os.Link(other, path))
	},
	"a device": func(path string) error { // /dev/zero
		if os.Getuid() != 0 {
			return fs.ErrPermission
		}
		return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))
	},
	"uid": func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o666), os.Chown(path, somebody, 0))
	},
}

// each calls f with a path at which there is something else than a file of ours.
func each(t *testing.T, f func(t *testing.T, what, path string)) {
	for what, put := range prepare {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := put(path); errors.Is(err, fs.ErrPermission) {
				t.Skip("only root can prepare that")
			} else if err != nil {
				t.Fatal(err)
			}
			f(t, what, path)
		})
	}
}

// Whatever somebody put there, opening it returns at once and says what it is.
func TestOpenRefuses(t *testing.T) {
	each(t, func(t *testing.T, what, path string) {
		for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_APPEND} {
			f, err := Open(path, flag, 0o600, Ours)
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), what) {
				t.Errorf("flag %x: %v, %v", flag, f, err)
			}
		}
		if _, err := Read(path, 10); !errors.Is(err, ErrForeign) {
			t.Errorf("read: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(path), "elsewhere")); err == nil && what != "hard links" {
			t.Error("the link was followed")
		}
	})
}

func TestClaimPutsAside(t *testing.T) {
	each(t, func(t *testing.T, what, path string) {
		f, moved, err := Claim(path, os.O_RDWR|os.O_CREATE, 0o600, Ours)
		if err != nil || !errors.Is(moved, ErrForeign) || !strings.Contains(moved.Error(), what) {
			t.Fatalf("%v, %v", moved, err)
		}
		f.Close()
		found, err := filepath.Glob(path + "*")
		if err != nil || len(found) != 2 || !strings.Contains(moved.Error(), found[1]) {
			t.Errorf("there are %v, %v: %v", found, err, moved)
		}
	})
}

func TestOpenRegular(t *testing.T) {
	each(t, func(t *testing.T, what, path string) {
		f, err := OpenRegular(path)
		switch what {
		case "uid", "hard links": // a configuration file may be so
			if err != nil {
				t.Error(err)
			}
		case "a symbolic link":
			if !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		default:
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), what) {
				t.Error(err)
			}
		}
		f.Close()
	})
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/f", []byte("x"), 0o600), os.Symlink("f", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	f, err := OpenRegular(dir + "/link")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// Files of a group are taken only where the group is the directory's, and only if nobody else can write them.
func TestOpenOfGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can prepare that")
	}
	for _, tt := range []struct {
		uid, gid int
		mode     fs.FileMode
		dirUID   int
		owners   Owners
		taken    bool
	}{
		{somebody, members, 0o660, 0, Group, true},
		{somebody, members, 0o660, 0, Ours, false},
		{somebody, members, 0o666, 0, Group, false},
		{somebody, members + 1, 0o660, 0, Group, false},
		{somebody, members + 1, 0o660, somebody, Ours, true},
		{0, members + 1, 0o600, somebody, Ours, true},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			dir := t.TempDir()
			path := dir + "/f"
			if err := errors.Join(os.Chown(dir, tt.dirUID, members), os.WriteFile(path, nil, 0o600),
				os.Chown(path, tt.uid, tt.gid), os.Chmod(path, tt.mode)); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path, os.O_RDWR, 0, tt.owners)
			if (err == nil) != tt.taken {
				t.Errorf("taken: %v", err)
			}
			f.Close()
		})
	}
}

func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(path, 5); string(b) != "12345" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Read(path, 4); err == nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Errorf("error %v", err)
	}
}
