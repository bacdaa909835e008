// Command man writes the manual pages ctsync(8), ctsyncd(8), ctsync-exporter(8) and ctsync.toml(5) into a folder. It
// adds only the headings: commands and flags come from --help, the pages of the other programs from their package
// comments, and the configuration from scripts/ctsync.toml. `make man` runs it in the root of the module; a test fails
// when it has to run again.
//
// cobra's generator (cobra/doc) was tried for ctsync(8) and is worse. It writes 23 pages of one command each, names
// some flags "--limit=0" and "--help[=false]", fills indented examples like prose, leaves out the filter language, and
// gives mandoc 118 warnings. It would replace two files of ours, because the other two pages need the rest, and it adds
// three modules and 0.7 MB to the program.
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

// Where the texts are, seen from the module's root.
const configExample = "scripts/ctsync.toml"

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

// generate returns the pages by file name.
func generate() (map[string][]byte, error) {
	tree, err := output("./cmd/ctsync", "__tree")
	if err != nil {
		return nil, err
	}
	var root command
	if err := json.Unmarshal(tree, &root); err != nil {
		return nil, fmt.Errorf("read commands: %w", err)
	}
	daemon, err := program("ctsyncd",
		"ctsync(8)", "ctsync-exporter(8)", "ctsync.toml(5)", "conntrackd(8)", "keepalived(8)")
	if err != nil {
		return nil, err
	}
	exporter, err := program("ctsync-exporter", "ctsyncd(8)", "ctsync(8)")
	if err != nil {
		return nil, err
	}
	example, err := os.ReadFile(configExample)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return map[string][]byte{
		"ctsync.8":          commandPage(root),
		"ctsyncd.8":         daemon,
		"ctsync-exporter.8": exporter,
		"ctsync.toml.5":     configPage(string(example)),
	}, nil
}

// program makes the page of a program that has only flags.
func program(name string, references ...string) ([]byte, error) {
	usage, err := output("./cmd/"+name, "--help")
	if err != nil {
		return nil, err
	}
	const mode = parser.ParseComments | parser.PackageClauseOnly
	source, err := parser.ParseFile(token.NewFileSet(), filepath.Join("cmd", name, "main.go"), nil, mode)
	if err != nil {
		return nil, fmt.Errorf("read package comment: %w", err)
	}
	return programPage(name, source.Doc.Text(), string(usage), references...), nil
}

// output runs a program of this module and returns what it prints. CTSYNC_SOCKET is unset, because it would change the
// help.
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
