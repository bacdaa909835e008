package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ctsync/daemon/flow"
)

// DefaultKeepalived is where keepalived looks for its configuration file.
const DefaultKeepalived = "/etc/keepalived/keepalived.conf"

// Keepalived is what a keepalived configuration says of its sync groups (keepalived.conf(5)).
type Keepalived struct {
	Path   string
	Groups []SyncGroup // in the order of the file
	// Elsewhere says that transitions are also told in a way that no group shows: to a FIFO, or over D-Bus.
	Elsewhere bool
	// Doubt says why there may be more groups than these, or is empty.
	Doubt string
}

// SyncGroup is one vrrp_sync_group.
type SyncGroup struct {
	Name   string
	Notify []string // its keywords that name a script: "notify", "notify_master", ...
	Doubt  bool     // a condition decides what belongs to it
}

// ReadKeepalived reads the keepalived configuration at path with all that it includes. The error is that of opening path;
// trouble with an included file becomes a Doubt.
func ReadKeepalived(path string) (*Keepalived, error) {
	text, err := readKeepalived(path)
	if err != nil {
		return nil, err
	}
	return parseKeepalived(path, text, readKeepalived, filepath.Glob), nil
}

// maxKeepalived bounds one file, in bytes. Large configurations of real servers have some hundred KB.
const maxKeepalived = 4 << 20

func readKeepalived(path string) (string, error) {
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
	b, err := io.ReadAll(io.LimitReader(f, maxKeepalived+1))
	if err == nil && len(b) > maxKeepalived {
		err = fmt.Errorf("read %s: larger than %d bytes", path, maxKeepalived)
	}
	return string(b), err
}

// told are the transitions that a group tells by a script of their own.
var told = [...]string{"notify_master", "notify_backup", "notify_fault", "notify_stop"}

// Complaints says, in plain words, what is certainly wrong about the sync group called name: that there is none, or that
// it tells nobody of some transition. What cannot be said with certainty is not said.
func (k *Keepalived) Complaints(name string) []string {
	i := slices.IndexFunc(k.Groups, func(g SyncGroup) bool { return g.Name == name })
	if i < 0 {
		if k.Doubt != "" {
			return nil
		}
		return []string{k.missing(name)}
	}
	g := &k.Groups[i]
	if k.Elsewhere || k.Doubt != "" || g.Doubt || slices.Contains(g.Notify, "notify") {
		return nil
	}
	var silent []string
	for _, keyword := range told {
		if !slices.Contains(g.Notify, keyword) {
			silent = append(silent, keyword)
		}
	}
	switch len(silent) {
	case 0:
		return nil
	case len(told):
		return []string{fmt.Sprintf("vrrp_sync_group %s in %s runs no notify script: ctsync is not told of its transitions, see keepalived.conf.example", quote(name), k.Path)}
	}
	return []string{fmt.Sprintf("vrrp_sync_group %s in %s has no %s: ctsync is not told of these transitions", quote(name), k.Path, strings.Join(silent, ", "))}
}

// shownGroups bounds how many groups a message names.
const shownGroups = 8

func (k *Keepalived) missing(name string) string {
	text := fmt.Sprintf("%s has no vrrp_sync_group %s, the sync-group whose transitions count here", k.Path, quote(name))
	if len(k.Groups) == 0 {
		return text + ": it has none at all"
	}
	var all, shown []string
	for _, g := range k.Groups {
		all = append(all, g.Name)
	}
	for _, n := range all[:min(len(all), shownGroups)] {
		shown = append(shown, quote(n))
	}
	if len(all) > shownGroups {
		shown = append(shown, fmt.Sprintf("%d more", len(all)-shownGroups))
	}
	text += ": it has " + strings.Join(shown, ", ")
	if near := flow.Nearest(name, all); near != "" {
		text += "; did you mean " + quote(near) + "?"
	}
	return text
}
