package keepalived

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"ctsync/daemon/control"
	"ctsync/notify"
)

// call is what the daemon hears when keepalived runs a script for a state.
type call struct {
	keyword string
	place   string
	says    *control.Notification // nil if it hears nothing, or if that is not known
	ignored bool                  // keepalived drops the line as it reads it, and takes another one with the keyword
	why     string                // it hears nothing
	doubt   string                // it is not known what it hears
}

// user is whom keepalived runs a script as. It has this group and no other.
type user struct {
	name     string
	uid, gid uint32
}

// Access says who may use the control socket, besides root and the daemon's user.
type Access struct {
	Known      bool // the rest is
	UID        uint32
	ConnectGID uint32 // socket-group
	ActGID     uint32 // control-group
}

func (a Access) refuses(u user) bool {
	return a.Known && u.uid != 0 && u.uid != a.UID && (u.gid != a.ActGID || u.gid != a.ConnectGID)
}

// call evaluates the scripts of b with a keyword for a state; nil if there is none.
func (q *question) call(b *block, keyword string, state control.State) *call {
	var first *call
	for _, s := range b.notify {
		if s.keyword != keyword {
			continue
		}
		c := q.script(b, s, state)
		if c.keyword, c.place = keyword, s.line.place(); !c.ignored {
			return c
		}
		if first == nil {
			first = c
		}
	}
	return first
}

// script evaluates one line for a state.
func (q *question) script(b *block, s script, state control.State) *call {
	line, ok := arguments(s.line.text)
	if !ok {
		return &call{ignored: true, why: "a quote is not closed, or a backslash ends the line: keepalived ignores it"}
	}
	var args []string
	if len(line) > 1 {
		args, ok = arguments(line[1])
	}
	if !ok || len(args) == 0 {
		return &call{ignored: true, why: "it names no script"}
	}
	as, err := q.user(line[2:])
	if err != nil {
		return &call{ignored: !errors.Is(err, errUnknown), why: sure(err), doubt: unsure(err)}
	}
	file, err := q.runs(args[0], as)
	if err != nil {
		return &call{why: sure(err), doubt: unsure(err)}
	}
	said, direct := said(args)
	if !direct {
		return q.other(file, args)
	}
	if s.keyword == generic {
		said = append(slices.Clone(said), b.Type, b.Name, string(state), "0")
	}
	n, err := notify.Parse(said)
	switch {
	case err != nil && slices.ContainsFunc(said, func(w string) bool { return strings.ContainsAny(w, "<>|&;") }):
		return &call{why: fmt.Sprintf("keepalived runs no shell, so all of %s are arguments: %v", quote(strings.Join(said, " ")), err)}
	case err != nil:
		return &call{why: err.Error()}
	case n.State != state:
		return &call{why: fmt.Sprintf("it says %s", n.State)}
	case q.access.refuses(as):
		return &call{why: fmt.Sprintf("keepalived runs it as user %s with group %s alone, who may not act on ctsyncd: "+
			"write script_user root, or script_user %s %s", as.name, q.sys.groupName(as.gid), as.name,
			q.sys.groupName(q.access.ActGID))}
	}
	return &call{says: &n}
}

// errUnknown is wrapped by errors that say why something cannot be known here. Others are certain.
var errUnknown = errors.New("cannot be judged")

func sure(err error) string {
	if errors.Is(err, errUnknown) {
		return ""
	}
	return err.Error()
}

func unsure(err error) string {
	if errors.Is(err, errUnknown) {
		return err.Error()
	}
	return ""
}

// user returns whom keepalived runs a script as, after whose command the line has these words. The error says that
// keepalived ignores the line.
func (q *question) user(words []string) (user, error) {
	if len(words) > 0 {
		u, err := q.sys.as(words)
		if err != nil && !errors.Is(err, errUnknown) {
			err = fmt.Errorf("keepalived takes %s after the command for the user to run it as, and ignores it (%w): "+
				"put the command with all its arguments into double quotes", quote(strings.Join(words, " ")), err)
		}
		return u, err
	}
	if q.badUser != nil {
		_, err := q.sys.as(q.badUser)
		return user{}, fmt.Errorf("keepalived ignores it, because of script_user: %w", err)
	}
	if q.scriptUser != nil {
		return q.sys.as(q.scriptUser)
	}
	u, err := q.sys.as([]string{defaultUser})
	switch {
	case err == nil || errors.Is(err, errUnknown):
		return u, err
	case q.security:
		return user{}, fmt.Errorf("keepalived ignores it: enable_script_security is set, but neither script_user nor a user %s: "+
			"write script_user root into global_defs", defaultUser)
	}
	return user{name: "root"}, nil
}

// defaultUser runs the scripts where no user is named, if he exists.
const defaultUser = "keepalived_script"

// runs returns the file that keepalived runs for a command. The error says that it runs none.
func (q *question) runs(command string, as user) (file string, err error) {
	if !filepath.IsAbs(command) {
		return "", fmt.Errorf("which file %s is, depends on where keepalived was started: write its whole path (%w)",
			quote(command), errUnknown)
	}
	file, err = q.sys.realpath(command)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s does not exist", command)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnknown, err)
	}
	s, err := q.sys.stat(file)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnknown, err)
	}
	if !s.runnable(as) {
		return "", fmt.Errorf("%s is not executable for user %s: keepalived disables it", command, as.name)
	}
	for at := filepath.Dir(file); as.uid != 0; at = filepath.Dir(at) {
		if s, err := q.sys.stat(at); err == nil && !s.runnable(as) {
			return "", fmt.Errorf("user %s cannot reach %s, because of the mode of %s", as.name, command, at)
		}
		if at == "/" {
			break
		}
	}
	if q.security && (as.uid == 0 || as.gid == 0 || s.setsRoot()) {
		if open := q.insecure(command, file); open != "" {
			return "", fmt.Errorf("keepalived does not run %s as root, because %s can be changed by others "+
				"(enable_script_security)", command, open)
		}
	}
	return file, nil
}

// insecure returns the part of the path of a script that users other than root may change, as keepalived looks for it;
// "" if there is none.
func (q *question) insecure(command, file string) string {
	paths := []string{file}
	if named := filepath.Join(filepath.Dir(file), filepath.Base(command)); named != file {
		if same, err := q.sys.realpath(named); err == nil && same == file {
			paths = append(paths, named)
		}
	}
	for _, path := range paths {
		for at := path; ; at = filepath.Dir(at) {
			if s, err := q.sys.lstat(at); err == nil && s.open() {
				return at
			}
			if at == "/" {
				break
			}
		}
	}
	return ""
}

// said returns the arguments of `ctsync notify` in a command, and whether it is one.
func said(args []string) (words []string, direct bool) {
	switch filepath.Base(args[0]) {
	case "ctsync-notify":
		return args[1:], true
	case "ctsync":
		for i := 1; i < len(args); i++ {
			switch {
			case args[i] == "notify":
				return args[i+1:], true
			case args[i] == "--socket":
				i++
			case !strings.HasPrefix(args[i], "--socket="):
				return nil, false
			}
		}
	}
	return nil, false
}

// other evaluates a script that is not ours.
func (q *question) other(file string, args []string) *call {
	name := args[0]
	if strings.Contains(strings.Join(args[1:], " "), "ctsync") {
		return &call{doubt: fmt.Sprintf("what %s makes of its arguments is not known", name)}
	}
	text, err := q.sys.script(file)
	switch {
	case err != nil:
		return &call{doubt: err.Error()}
	case strings.Contains(text, "ctsync"):
		return &call{doubt: fmt.Sprintf("it runs %s, which mentions ctsync: what that says is not known", name)}
	case strings.Contains(text, "conntrackd"):
		return &call{why: fmt.Sprintf("it runs %s, which tells conntrackd and not ctsync", name)}
	}
	return &call{doubt: fmt.Sprintf("it runs %s, in which the word ctsync does not occur", name)}
}
