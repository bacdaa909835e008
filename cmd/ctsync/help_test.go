package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Each example at the beginning of the help works as it is printed there.
func TestHelpExamples(t *testing.T) {
	var help bytes.Buffer
	if code := run(context.Background(), []string{"--help"}, time.Now(), &help, io.Discard); code != exitDone {
		t.Fatalf("exit status %d", code)
	}
	socket := serveFake(t, fakeDaemon("plain"))
	examples := regexp.MustCompile(`(?m)^  ctsync (show .+?)  +\S.*$`).FindAllStringSubmatch(help.String(), -1)
	for _, x := range examples {
		var out, errs bytes.Buffer
		line := append([]string{"--socket", socket}, strings.Fields(x[1])...)
		code := run(context.Background(), line, time.Now(), &out, &errs)
		if code != exitDone || out.Len() == 0 || errs.Len() > 0 {
			t.Errorf("ctsync %s: exit status %d: %s", x[1], code, errs.String())
		}
		if len(x[0]) > 121 {
			t.Errorf("%d characters: %s", len(x[0]), x[0])
		}
	}
	if len(examples) != 5 {
		t.Errorf("%d examples in\n%s", len(examples), help.String())
	}
}
