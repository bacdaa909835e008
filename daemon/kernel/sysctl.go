package kernel

import (
	"os"
	"strconv"
	"strings"
)

// Sysctl reads net.netfilter.NAME of this network namespace; -1 when it cannot be read.
func Sysctl(name string) int {
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

const (
	usualTable   = 2 << 18 // flows in a cache where there is no conntrack table yet: twice its usual size
	expectFactor = 2       // records per expectation of the kernel: some have ended and wait to be sent
	usualExpect  = 2 << 12 // records where the kernel does not say how many expectations it may have
)

// FlowLimit returns how many flows a cache may hold: as configured, or, for 0, twice what the kernel may hold.
func FlowLimit(configured int) int {
	if configured > 0 {
		return configured
	}
	if n := Sysctl("nf_conntrack_max"); n > 0 {
		return 2 * n
	}
	return usualTable
}

// ExpectLimit returns how many expectations a cache may hold.
func ExpectLimit() int {
	if n := Sysctl("nf_conntrack_expect_max"); n > 0 {
		return expectFactor * n
	}
	return usualExpect
}
