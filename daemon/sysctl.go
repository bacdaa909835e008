package daemon

import (
	"os"
	"strconv"
	"strings"
)

// sysctl reads net.netfilter.NAME of this network namespace; -1 when it cannot be read.
func sysctl(name string) int {
	b, err := os.ReadFile("/proc/sys/net/netfilter/" + name)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}
