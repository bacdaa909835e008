// Package notify makes a notification of the arguments of a keepalived script and delivers it to the daemon, or parks
// it in a file that the daemon watches.
//
// The arguments of a script depend on keepalived's release and on the configuration. All of these mean the same; the
// type, name, state and priority are what keepalived itself appends to the generic "notify" script, and to no other:
//
//	notify_master "ctsync notify master"             master
//	notify_master "ctsync notify master syncgrp"     master syncgrp
//	notify        "ctsync notify"                    GROUP syncgrp MASTER 0
//	notify        "ctsync notify master"             master GROUP syncgrp MASTER 0
//	notify        "ctsync notify master syncgrp"     master syncgrp GROUP syncgrp MASTER 0
//
// Where the configured and the appended words disagree, the appended ones count: they are keepalived's own.
package notify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ctsync/daemon/control"
)

// errUsage is wrapped by every error of Parse.
var errUsage = errors.New("want STATE [GROUP], or keepalived's GROUP|INSTANCE NAME STATE [PRIORITY]")

// words are keepalived's states: the four roles, and the events that only a generic script gets.
var words = map[string]control.State{
	"MASTER":              control.StateMaster,
	"BACKUP":              control.StateBackup,
	"FAULT":               control.StateFault,
	"STOP":                control.StateStop,
	"DELETED":             "DELETED",
	"MASTER_RX_LOWER_PRI": "MASTER_RX_LOWER_PRI",
	"MASTER_PRIORITY":     "MASTER_PRIORITY",
	"BACKUP_PRIORITY":     "BACKUP_PRIORITY",
}

// Parse reads the arguments of a notify script. keepalived's words may be in upper or lower case. Names keep their case
// and lose the quotes that keepalived puts around them in its FIFO. The result has no times and no source yet; an error
// wraps errUsage.
func Parse(args []string) (control.Notification, error) {
	if typ(args, 0) != "" && len(args) >= 3 {
		return parseAppended(args)
	}
	if len(args) == 0 {
		return control.Notification{}, errUsage
	}
	state, err := parseState(args[0])
	if err != nil {
		return control.Notification{}, err
	}
	rest := args[1:]
	switch {
	case isAppended(rest): // STATE, then what keepalived appended
		return parseAppended(rest)
	case len(rest) > 1 && isAppended(rest[1:]): // STATE NAME, then the same
		return parseAppended(rest[1:])
	case typ(rest, 0) != "" && len(rest) == 2: // STATE TYPE NAME
		return valid(control.Notification{Type: typ(rest, 0), Name: unquote(rest[1]), State: state})
	case len(rest) == 0:
		return control.Notification{Type: control.TypeGroup, State: state}, nil
	case len(rest) == 1:
		return valid(control.Notification{Type: control.TypeGroup, Name: unquote(rest[0]), State: state})
	}
	return control.Notification{}, fmt.Errorf("%d words after %s: %w", len(rest), args[0], errUsage)
}

// isAppended reports whether args are TYPE NAME STATE and perhaps more. It also looks at the state, because a group may
// be named GROUP.
func isAppended(args []string) bool {
	if typ(args, 0) == "" || len(args) < 3 {
		return false
	}
	_, err := parseState(args[2])
	return err == nil
}

// parseAppended reads TYPE NAME STATE [PRIORITY]. keepalived before 2.0 appends no priority.
func parseAppended(args []string) (n control.Notification, err error) {
	n.Type, n.Name = typ(args, 0), unquote(args[1])
	if n.State, err = parseState(args[2]); err != nil {
		return control.Notification{}, err
	}
	switch len(args) {
	case 3:
	case 4:
		if n.Priority, err = strconv.Atoi(args[3]); err != nil || n.Priority < 0 || n.Priority > 255 {
			return control.Notification{}, fmt.Errorf("priority %q is not between 0 and 255: %w", args[3], errUsage)
		}
	default:
		return control.Notification{}, fmt.Errorf("unexpected word %q: %w", args[4], errUsage)
	}
	return valid(n)
}

// typ returns the type that args[i] is, or "".
func typ(args []string, i int) string {
	if i >= len(args) {
		return ""
	}
	switch t := strings.ToUpper(args[i]); t {
	case control.TypeGroup, control.TypeInstance:
		return t
	}
	return ""
}

func parseState(word string) (control.State, error) {
	s, ok := words[strings.ToUpper(word)]
	if !ok {
		return "", fmt.Errorf("%q is not a state (master, backup, fault, stop): %w", word, errUsage)
	}
	return s, nil
}

// unquote removes one pair of double quotes: a FIFO line that went through a shell script keeps them.
func unquote(name string) string {
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		return name[1 : len(name)-1]
	}
	return name
}

// valid refuses an empty name: keepalived always gives one.
func valid(n control.Notification) (control.Notification, error) {
	if n.Name == "" {
		return control.Notification{}, fmt.Errorf("name of the %s is empty: %w", strings.ToLower(n.Type), errUsage)
	}
	return n, nil
}
