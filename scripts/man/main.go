// Command man writes the manual pages ctsync(8), ctsyncd(8) and ctsync.toml(5) into a folder. It has no text of its own
// but headings: the commands and flags are what --help says, the daemon's page is its package comment, and the
// configuration is what scripts/ctsync.toml says. `make man` runs it in the module's root; a test there says when it has
// to run again.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
)

// Where the texts are, from the module's root.
const (
	daemonSource  = "cmd/ctsyncd/main.go"
	configExample = "scripts/ctsync.toml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: man FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "man: %v\n", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	pages, err := generate()
	if err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
	}
	return nil
}

// generate makes the pages, by file name.
func generate() (map[string][]byte, error) {
	tree, err := output("./cmd/ctsync", "__tree")
	if err != nil {
		return nil, err
	}
	var root command
	if err := json.Unmarshal(tree, &root); err != nil {
		return nil, fmt.Errorf("read commands: %w", err)
	}
	usage, err := output("./cmd/ctsyncd", "--help")
	if err != nil {
		return nil, err
	}
	source, err := parser.ParseFile(token.NewFileSet(), daemonSource, nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		return nil, fmt.Errorf("read package comment: %w", err)
	}
	example, err := os.ReadFile(configExample)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return map[string][]byte{
		"ctsync.8":      commandPage(root),
		"ctsyncd.8":     daemonPage(source.Doc.Text(), string(usage)),
		"ctsync.toml.5": configPage(string(example)),
	}, nil
}

// output runs a program of this module, without the environment that would change its help, and returns what it prints.
func output(pkg string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"run", pkg}, args...)...)
	cmd.Env = append(os.Environ(), "CTSYNC_SOCKET=")
	out, err := cmd.Output()
	if x, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("run %s: %w: %s", pkg, err, x.Stderr)
	} else if err != nil {
		return nil, fmt.Errorf("run %s: %w", pkg, err)
	}
	return out, nil
}
