// Package owned opens files at places that somebody else may have prepared, and says whom to trust there.
//
// A FIFO, a device, a directory, a symbolic or a hard link in the place of a file: nothing here waits for it, reads it
// or changes it. What a file is and whose, fstat(2) says of the open file, before the first byte.
package owned

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrForeign is wrapped by errors that mean: what is there is no regular file, or not one of ours.
var ErrForeign = errors.New("not a file of ours")

// Owners say whose files are taken.
type Owners uint8

// Owners.
const (
	// Ours are files of whom Trusts trusts.
	Ours Owners = iota
	// Group are also files of the directory's group, unless others may write them.
	Group
)

// Trusts reports whether uid may own a file, or serve a socket, in a directory: root, this process's user, and the
// owner of the directory, who can replace everything in it.
func Trusts(uid uint32, dir string) bool {
	if uid == 0 || uid == uint32(os.Geteuid()) {
		return true
	}
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && uid == st.Uid
}

// OpenRegular opens a regular file for reading, whoever owns it. It follows symbolic links: a configuration file may be
// one. The error wraps ErrForeign if something else is there.
func OpenRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, explain(path, unix.Stat, err)
	}
	if _, err := regular(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Open opens a file of owners, with the flags and the mode of os.OpenFile. The error wraps ErrForeign if something else
// is there: it follows no link at the end of path, and takes no file that has another name.
//
// It asks the kernel to make a file only where nothing is. So fs.protected_regular, which refuses O_CREAT for what
// another has made in a directory with the sticky bit, does not come into it (proc_sys_fs(5)).
func Open(path string, flag int, mode fs.FileMode, owners Owners) (*os.File, error) {
	create := flag&os.O_CREATE != 0
	flag = flag&^os.O_CREATE | unix.O_NONBLOCK | unix.O_NOFOLLOW
	for tries := 0; ; tries++ {
		f, err := os.OpenFile(path, flag, 0)
		if create && errors.Is(err, fs.ErrNotExist) {
			f, err = os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, mode)
			if errors.Is(err, fs.ErrExist) && tries < 100 { // somebody was faster
				continue
			}
		}
		if err != nil {
			return nil, explain(path, unix.Lstat, err)
		}
		if err := belongs(f, owners); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// Claim is Open for a place that is ours: what somebody else has put there is put aside first. moved then says what it
// was and where it is now, for the log.
func Claim(path string, flag int, mode fs.FileMode, owners Owners) (f *os.File, moved, err error) {
	f, err = Open(path, flag, mode, owners)
	if !errors.Is(err, ErrForeign) && !errors.Is(err, fs.ErrPermission) {
		return f, nil, err
	}
	if moved, err = PutAside(path, err); err != nil {
		return nil, nil, err
	}
	f, err = Open(path, flag, mode, owners)
	return f, moved, err
}

// PutAside renames what is at path, which only its owner, the directory's owner and root may do where the directory has
// the sticky bit. moved is why, with the new name.
func PutAside(path string, why error) (moved, err error) {
	aside := fmt.Sprintf("%s.aside-%d", path, time.Now().UnixNano())
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("%w; remove it: it cannot be put aside: %w", why, err)
	}
	return fmt.Errorf("%w; it was put aside as %s", why, aside), nil
}

// Read reads a file that Open opens for Ours. More than limit bytes are an error.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0, Ours)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("read %s: more than %d bytes", path, limit)
	}
	return b, err
}

// belongs returns nil, or why f is not taken.
func belongs(f *os.File, owners Owners) error {
	st, err := regular(f)
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.Name())
	switch {
	case st.Nlink > 1:
		return foreign(f.Name(), fmt.Sprintf("it has %d names (hard links)", st.Nlink))
	case Trusts(st.Uid, dir) || owners == Group && sharedIn(dir, &st):
		return nil
	}
	return foreign(f.Name(), fmt.Sprintf("it belongs to uid %d", st.Uid))
}

// sharedIn reports whether a file belongs to the group of its directory and to nobody else.
func sharedIn(dir string, file *unix.Stat_t) bool {
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && st.Gid == file.Gid && file.Mode&0o002 == 0
}

// regular returns what f is, and an error unless that is a regular file.
func regular(f *os.File) (st unix.Stat_t, err error) {
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return st, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return st, foreign(f.Name(), "it is "+kind(st.Mode))
	}
	return st, nil
}

// explain returns what is at path, if that is why it could not be opened, and otherwise err.
func explain(path string, look func(string, *unix.Stat_t) error, err error) error {
	var st unix.Stat_t
	if look(path, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return foreign(path, "it is "+kind(st.Mode))
	}
	return err
}

func foreign(path, why string) error { return fmt.Errorf("open %s: %w: %s", path, ErrForeign, why) }

// kind names a type of files, as stat(2) has it.
func kind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return "a device"
}
