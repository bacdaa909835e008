package keepalived

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	account "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system is what of this machine a reading depends on. It is the thin edge: what it returns are facts.
type system struct {
	host    string    // the config-id that keepalived takes by default
	changed time.Time // when the files were last changed that were read
	users   string    // why users may exist that we do not find, "" if they may not
}

func newSystem() *system {
	host, _ := os.Hostname()
	host, _, _ = strings.Cut(host, ".")
	return &system{host: host, users: otherUsers("/etc/nsswitch.conf")}
}

// maxFile bounds one file, in bytes. Large configurations of real servers have a few hundred KB.
const maxFile = 4 << 20

// errSkipped is wrapped by the error of a file that keepalived skips as well.
var errSkipped = errors.New("not a regular file without execute permission, keepalived skips it")

func (s *system) skipped(err error) bool {
	return errors.Is(err, errSkipped) || errors.Is(err, fs.ErrNotExist)
}

// read returns the text of one file of the configuration. keepalived takes regular files that nobody may execute.
func (s *system) read(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	if info.ModTime().After(s.changed) {
		s.changed = info.ModTime()
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 != 0 {
		return "", fmt.Errorf("%s: %w", path, errSkipped)
	}
	return readBounded(path)
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	if err != nil {
		return "", unreadable(path, err)
	}
	return string(b), nil
}

// unreadable says that a file cannot be read, and by whom.
func unreadable(path string, err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err
	}
	name := strconv.Itoa(os.Geteuid())
	if u, e := account.LookupId(name); e == nil {
		name = u.Username
	}
	return fmt.Errorf("%s cannot be read by user %s (%w)", path, name, err)
}

// glob returns the files that match a pattern of glob(3) with braces.
func (s *system) glob(pattern string) (paths []string, err error) {
	for _, p := range braces(pattern, maxFiles) {
		found, e := filepath.Glob(strings.ReplaceAll(p, "[!", "[^"))
		if e != nil {
			err = e
		}
		if len(found) == 0 { // Glob does not say that it may not look into a directory
			if _, e := os.ReadDir(filepath.Dir(p)); errors.Is(e, fs.ErrPermission) {
				err = unreadable(filepath.Dir(p), e)
			}
		}
		paths = append(paths, found...)
	}
	return paths, err
}

// braces expands {a,b{c,d}} as csh does, to at most about most texts.
func braces(pattern string, most int) []string {
	start := strings.IndexByte(pattern, '{')
	if start < 0 {
		return []string{pattern}
	}
	depth, from := 0, start+1
	var parts []string
	for i := start; i < len(pattern); i++ {
		switch {
		case pattern[i] == '{':
			depth++
		case pattern[i] == ',' && depth == 1:
			parts, from = append(parts, pattern[from:i]), i+1
		case pattern[i] == '}':
			if depth--; depth > 0 {
				continue
			}
			var all []string
			for _, part := range append(parts, pattern[from:i]) {
				if len(all) >= most {
					break
				}
				all = append(all, braces(pattern[:start]+part+pattern[i+1:], most-len(all))...)
			}
			return all
		}
	}
	return []string{pattern} // not closed
}

func (s *system) realpath(path string) (string, error) { return filepath.EvalSymlinks(path) }

// status is what of a file decides who may run and change it.
type status struct {
	mode     uint32 // as in stat(2)
	uid, gid uint32
}

func (s *system) stat(path string) (status, error)  { return statusOf(os.Stat(path)) }
func (s *system) lstat(path string) (status, error) { return statusOf(os.Lstat(path)) }

func statusOf(info os.FileInfo, err error) (status, error) {
	if err != nil {
		return status{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return status{st.Mode, st.Uid, st.Gid}, nil
}

// runnable reports whether keepalived takes the file for executable by u.
func (s status) runnable(u user) bool {
	switch {
	case u.uid == 0:
		return s.mode&0o111 != 0
	case u.uid == s.uid:
		return s.mode&0o100 != 0
	case u.gid == s.gid:
		return s.mode&0o010 != 0
	}
	return s.mode&0o001 != 0
}

// setsRoot reports whether the file runs as root whoever runs it.
func (s status) setsRoot() bool {
	const uid, gid = syscall.S_ISUID | syscall.S_IXUSR, syscall.S_ISGID | syscall.S_IXGRP
	return s.uid == 0 && s.mode&uid == uid || s.gid == 0 && s.mode&gid == gid
}

// open reports whether somebody besides root may change the file, or what is in the directory.
func (s status) open() bool {
	if s.uid != 0 {
		return true
	}
	kind := s.mode & syscall.S_IFMT
	if kind != syscall.S_IFREG && (kind != syscall.S_IFDIR || s.mode&syscall.S_ISVTX != 0) {
		return false
	}
	return s.mode&syscall.S_IWOTH != 0 || s.gid != 0 && s.mode&syscall.S_IWGRP != 0
}

// as returns the user that a configuration names, with the group behind it or else his own. The error says that there
// is no such user, or that he may be one that we do not find.
func (s *system) as(words []string) (user, error) {
	if len(words) == 0 {
		return user{}, errors.New("no user is named")
	}
	u, err := account.Lookup(words[0])
	if err != nil {
		return user{}, s.noSuch("user", words[0])
	}
	gid := u.Gid
	if len(words) > 1 {
		g, err := account.LookupGroup(words[1])
		if err != nil {
			return user{}, s.noSuch("group", words[1])
		}
		gid = g.Gid
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	group, err2 := strconv.ParseUint(gid, 10, 32)
	return user{words[0], uint32(uid), uint32(group)}, errors.Join(err1, err2)
}

func (s *system) noSuch(kind, name string) error {
	if s.users != "" {
		return fmt.Errorf("%s %s may come from %s: %w", kind, quote(name), s.users, errUnknown)
	}
	return fmt.Errorf("there is no %s %s", kind, quote(name))
}

// groupName returns the name of a group, or its number where it has none.
func (s *system) groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	if g, err := account.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}

// script returns the text of a script; "" for a program.
func (s *system) script(path string) (string, error) {
	text, err := readBounded(path)
	if err == nil && !strings.HasPrefix(text, "#!") {
		text = ""
	}
	return text, err
}

// otherUsers says whether users may come from elsewhere than /etc/passwd, which is all that os/user reads.
func otherUsers(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(text)) {
		l, _, _ = strings.Cut(l, "#")
		key, sources, _ := strings.Cut(l, ":")
		for _, source := range strings.Fields(sources) {
			if strings.TrimSpace(key) == "passwd" && !slices.Contains([]string{"files", "compat", "systemd"}, source) {
				return source
			}
		}
	}
	return ""
}

// AccessBy returns the access that a running daemon gives by its control socket. The socket belongs to the daemon's
// user and to the group that may connect. act is the group that may act; if it is -1, that is the daemon's own group,
// and not known from outside where the socket has another (socket-group).
func AccessBy(socket string, connect, act int) Access {
	s, err := statusOf(os.Stat(socket))
	a := Access{Known: err == nil, UID: s.uid, ConnectGID: s.gid, ActGID: s.gid}
	if act >= 0 {
		a.ActGID = uint32(act)
	} else if connect >= 0 {
		a.Known = false
	}
	return a
}
