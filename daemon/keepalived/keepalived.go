// Package keepalived says what keepalived's configuration says of our sync-group, and what is wrong with it.
package keepalived

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ctsync/daemon/flow"
)

// Config is what a keepalived configuration says of its sync groups (keepalived.conf(5)).
type Config struct {
	Path   string
	Groups []Group // in the order of the file
	// Virtual are the addresses that keepalived adds and removes, of all instances.
	Virtual []netip.Addr
	// MoreVirtual says that there may be others, which a definition or a condition names.
	MoreVirtual bool
	// Elsewhere says that keepalived also announces transitions where no group shows it: in a FIFO, or over D-Bus.
	Elsewhere bool
	// Doubt says why there may be more groups than these; "" if there are not.
	Doubt string
}

// Group is one vrrp_sync_group.
type Group struct {
	Name   string
	Notify []string // its keywords that name a script: "notify", "notify_master", ...
	Doubt  bool     // a condition decides what belongs to it
}

// Read reads the keepalived configuration at path with everything that it includes. The error is that of reading path
// itself; a file that it includes and that cannot be read is a Doubt.
func Read(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, readFile, filepath.Glob), nil
}

// maxFile bounds one file, in bytes. Large configurations of real servers have a few hundred KB.
const maxFile = 4 << 20

func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return "", fmt.Errorf("read %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("read %s: larger than %d bytes", path, maxFile)
	}
	return string(b), err
}

// scripts are the keywords that name the script of one transition.
var scripts = [...]string{"notify_master", "notify_backup", "notify_fault", "notify_stop"}

// Complaints says what is certainly wrong with the sync group called name, one line each: that it does not exist, or
// that it runs no script on some transition. It leaves out what is not certain.
func (c *Config) Complaints(name string) []string {
	i := slices.IndexFunc(c.Groups, func(g Group) bool { return g.Name == name })
	if i < 0 {
		if c.Doubt != "" {
			return nil
		}
		return []string{c.missing(name)}
	}
	g := &c.Groups[i]
	if c.Elsewhere || c.Doubt != "" || g.Doubt || slices.Contains(g.Notify, "notify") {
		return nil
	}
	var silent []string
	for _, keyword := range scripts {
		if !slices.Contains(g.Notify, keyword) {
			silent = append(silent, keyword)
		}
	}
	switch len(silent) {
	case 0:
		return nil
	case len(scripts):
		return []string{fmt.Sprintf("vrrp_sync_group %.255q in %s runs no notify script: "+
			"ctsync does not hear of its transitions, see keepalived.conf.example", name, c.Path)}
	}
	return []string{fmt.Sprintf("vrrp_sync_group %.255q in %s has no %s: ctsync does not hear of these transitions",
		name, c.Path, strings.Join(silent, ", "))}
}

// shownGroups bounds how many groups a message names. Each is cut to the longest name that sync-group can have.
const shownGroups = 8

// missing says that there is no group called name, and which groups there are.
func (c *Config) missing(name string) string {
	text := fmt.Sprintf("%s has no vrrp_sync_group %.255q, which sync-group names: ", c.Path, name)
	if len(c.Groups) == 0 {
		return text + "it has no sync group"
	}
	var all, shown []string
	for i, g := range c.Groups {
		all = append(all, g.Name)
		if i < shownGroups {
			shown = append(shown, fmt.Sprintf("%.255q", g.Name))
		}
	}
	if len(all) > shownGroups {
		shown = append(shown, fmt.Sprintf("%d more", len(all)-shownGroups))
	}
	text += "it has " + strings.Join(shown, ", ")
	if near := flow.Nearest(name, all); near != "" {
		text += fmt.Sprintf("; did you mean %.255q?", near)
	}
	return text
}
