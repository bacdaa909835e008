package notify

import (
	"fmt"
	"os"
	"strings"
)

// Sources of a Notification.
const (
	SourceKeepalived = "keepalived" // a script that keepalived runs
	SourceNotify     = "notify"     // somebody else, such as an operator
	SourceParked     = "parked"     // from the file; behind it SourceKeepalived, where that is so
)

// Source says on whose behalf this process speaks: it looks for keepalived among the processes that started it. One
// that keepalived.conf gives another name (vrrp_process_name) is not recognised.
func Source() string {
	for pid := os.Getppid(); pid > 0; {
		var name string
		if name, pid = parent(pid); strings.HasPrefix(name, "keepalived") {
			return SourceKeepalived
		}
	}
	return SourceNotify
}

// parent returns the name of a process and who started it, 0 if that cannot be read.
func parent(pid int) (name string, ppid int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(text), "(")
	end := strings.LastIndexByte(rest, ')') // a name may contain one
	if end < 0 {
		return "", 0
	}
	var state string
	if _, err := fmt.Sscan(rest[end+1:], &state, &ppid); err != nil {
		return "", 0
	}
	return rest[:end], ppid
}
