package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// unit returns the values of a key of the shipped unit, as words.
func unit(t *testing.T, key string) (words []string) {
	t.Helper()
	text, err := os.ReadFile("../../scripts/systemd/ctsyncd.service")
	must(t, err)
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		words = append(words, strings.Fields(m[1])...)
	}
	return words
}

// Go ends a program that panics, or that systemd's watchdog aborts, with a status of its own. The unit must not take
// that for a wrong command line, after which it does not restart the daemon.
func TestUnitRestartsAfterAbort(t *testing.T) {
	prevent := unit(t, "RestartPreventExitStatus")
	if status, _, _ := command(t, "--no-such-flag"); !slices.Equal(prevent, []string{strconv.Itoa(status)}) {
		t.Errorf("the unit does not restart after %v, a usage error is %d", prevent, status)
	}
	p := startProcess(t, syncNamespace(t), onSync0)
	p.hears("READY=1")
	p.signal(syscall.SIGABRT)
	if status := p.exits(); status == exitDone || slices.Contains(prevent, strconv.Itoa(status)) {
		t.Errorf("exit status %d after SIGABRT: the unit would not restart it", status)
	}
}
