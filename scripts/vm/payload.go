package main

import (
	"context"
	"os"
	"path/filepath"
)

// tested are the packages whose tests run on the machine's kernel, because they speak to it or to Debian's programs.
var tested = []string{
	"daemon/ctnetlink", "daemon/transport", "daemon/rtnetlink", "daemon/keepalived", "daemon/lastrun", "cmd/ctsyncd",
}

// makePayload makes the second disk of the machines from the module in the current folder: what `make install` needs
// after a build, this program, and the tests.
func makePayload(ctx context.Context, dir string) (string, error) {
	root := filepath.Join(dir, "payload")
	if err := os.MkdirAll(filepath.Join(root, "ctsync"), 0o755); err != nil {
		return "", err
	}
	steps := [][]string{
		{"make", "build"},
		{"go", "build", "-o", root + "/", "./scripts/vm"},
		{"sh", "-c", `cp -a --parents Makefile bin/ctsync* scripts docs cmd/*/completion "$0"`, root + "/ctsync"},
	}
	for _, p := range tested {
		to := filepath.Join(root, "ctsync", p) // where they find the files of the module that they read
		steps = append(steps, []string{"mkdir", "-p", to}, []string{"go", "test", "-c", "-o", to + "/test", "./" + p},
			[]string{"sh", "-c", `[ ! -d "$0/testdata" ] || cp -a "$0/testdata" "$1/"`, p, to})
	}
	image := filepath.Join(dir, "payload.ext4")
	steps = append(steps, []string{"mke2fs", "-q", "-t", "ext4", "-d", root, image, "600M"})
	for _, step := range steps {
		if err := execute(ctx, step...); err != nil {
			return "", err
		}
	}
	return image, nil
}
