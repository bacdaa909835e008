// Package ctsync_test holds the rules that the whole module keeps: who may import whom, and how large things may get.
package ctsync_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "ctsync/"

// table is the design: a package on each line, and the packages of the module that it imports. A package that is not
// here is a mistake. So is an import that is not here, and one that is here and that nobody uses.
const table = `
daemon/flow
daemon/expr         daemon/flow
daemon/lately
daemon/path
daemon/lifetime     daemon/flow
daemon/loglimit
daemon/loop
daemon/owned
daemon/rtnetlink
daemon/wire         daemon/flow
daemon/cache        daemon/flow
daemon/ctnetlink    daemon/flow
daemon/conntrackd
daemon/config       daemon/flow daemon/conntrackd daemon/owned
daemon/keepalived   daemon/flow daemon/control notify
daemon/transport    daemon/rtnetlink
daemon/session      daemon/flow daemon/wire daemon/lately daemon/path
daemon/control      daemon/flow daemon/expr daemon/owned
daemon/metrics      daemon/control
daemon/job          daemon/control
daemon/lastrun      daemon/control
daemon/kernel       daemon/flow daemon/ctnetlink
daemon/link         daemon/transport daemon/rtnetlink daemon/loop daemon/config daemon/control
daemon/link         daemon/lately daemon/path
daemon/core         daemon/flow daemon/lifetime daemon/loop daemon/wire daemon/cache daemon/ctnetlink daemon/config
daemon/core         daemon/lately daemon/transport daemon/session daemon/control daemon/link
daemon/role         daemon/control daemon/owned
daemon/restore      daemon/flow daemon/lifetime daemon/loop daemon/wire daemon/cache daemon/control daemon/job
daemon/restore      daemon/kernel daemon/core
daemon/outlook      daemon/flow daemon/loop daemon/rtnetlink daemon/cache daemon/kernel daemon/core
daemon/upkeep       daemon/flow daemon/lifetime daemon/loop daemon/cache daemon/job daemon/kernel daemon/core
daemon/takeover     daemon/flow daemon/loop daemon/rtnetlink daemon/cache daemon/control daemon/job daemon/kernel
daemon/takeover     daemon/core daemon/restore daemon/upkeep
daemon/query        daemon/flow daemon/expr daemon/lifetime daemon/loop daemon/wire daemon/cache daemon/control
daemon/query        daemon/kernel daemon/core
daemon              daemon/flow daemon/loop daemon/rtnetlink daemon/cache daemon/ctnetlink daemon/config daemon/keepalived
daemon              daemon/session daemon/control daemon/metrics daemon/job daemon/kernel daemon/link daemon/core
daemon              daemon/loglimit daemon/outlook daemon/role daemon/restore daemon/upkeep daemon/takeover daemon/query notify
notify              daemon/control daemon/owned
tui/printable
tui/quiet
tui                 daemon/flow daemon/expr daemon/control tui/printable tui/quiet
cmd/ctsyncd         daemon daemon/config daemon/control daemon/lastrun
cmd/ctsync-exporter daemon/control daemon/loglimit
cmd/ctsync          daemon/flow daemon/expr daemon/control notify tui tui/printable

daemon/nstest
daemon/controltest  daemon/control
daemon/coretest     daemon/flow daemon/loop daemon/wire daemon/cache daemon/ctnetlink daemon/config daemon/transport
daemon/coretest     daemon/session daemon/link daemon/core daemon/upkeep
`

// mayImport is table by package. A package may have several lines.
var mayImport = func() map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(table) {
		if words := strings.Fields(line); len(words) > 0 {
			m[words[0]] = append(m[words[0]], words[1:]...)
		}
	}
	return m
}()

// testHelpers are packages for tests alone: any test may use them, and nothing else may.
var testHelpers = []string{"daemon/nstest", "daemon/controltest", "daemon/coretest"}

// bare packages know no socket and no file: they need nothing but the standard library's data types.
var bare = []string{"daemon/flow", "daemon/expr", "daemon/lifetime", "daemon/wire", "daemon/path", "daemon/session",
	"daemon/cache",
}

// outside are the imports, by prefix, that a bare package must do without.
var outside = []string{"net", "os", "syscall", "golang.org/x/sys", "github.com/"}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	Name         string
	Doc          string // the first sentence of the package comment
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// rel returns the path inside the module, or "" for the module root.
func (p listed) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "ctsync"), "/")
}

func list(t *testing.T) []listed {
	t.Helper()
	// -e: a package that does not compile is the compiler's business, its imports are still looked at.
	const fields = "-json=ImportPath,Dir,Name,Doc,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports,Deps"
	out, err := exec.Command("go", "list", "-e", fields, "./...").Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, e.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		for _, helper := range testHelpers {
			if slices.Contains(p.Imports, module+helper) {
				t.Errorf("%s imports %s outside a test", p.rel(), helper)
			}
		}
		if p.rel() == "" || strings.HasPrefix(p.rel(), "scripts/") {
			continue // the labs may look at everything and nothing is built on them
		}
		seen[p.rel()] = true
		allowed, known := mayImport[p.rel()]
		if !known {
			t.Errorf("package %s is not in the design's table", p.rel())
			continue
		}
		for _, imp := range p.Imports {
			inside, ours := strings.CutPrefix(imp, module)
			if ours && !slices.Contains(allowed, inside) {
				t.Errorf("%s imports %s", p.rel(), inside)
			}
			if !ours && slices.Contains(bare, p.rel()) && isOutside(imp) {
				t.Errorf("%s imports %s, which it must do without", p.rel(), imp)
			}
		}
		for _, a := range allowed {
			if !slices.Contains(p.Imports, module+a) {
				t.Errorf("%s may import %s and does not: take it out of the table", p.rel(), a)
			}
		}
	}
	for p := range mayImport {
		if !seen[p] {
			t.Errorf("the table has package %s, which does not exist", p)
		}
	}
}

func isOutside(imp string) bool {
	return slices.ContainsFunc(outside, func(prefix string) bool {
		return imp == prefix || imp != "net/netip" && strings.HasPrefix(imp, strings.TrimSuffix(prefix, "/")+"/")
	})
}

// Tests may use the test helpers and what stands beside or below their package; the programs and the labs are nobody's
// library.
func TestTestImports(t *testing.T) {
	for _, p := range list(t) {
		lab := strings.HasPrefix(p.rel(), "scripts/")
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			inside, ours := strings.CutPrefix(imp, module)
			switch {
			case !ours || inside == p.rel():
			case strings.HasPrefix(inside, "cmd/"), strings.HasPrefix(inside, "scripts/") && !lab:
				t.Errorf("a test of %s imports %s", p.rel(), inside)
			case slices.Contains(testHelpers, inside):
			case slices.Contains(mayImport[inside], p.rel()):
				t.Errorf("a test of %s imports %s, which stands above it", p.rel(), inside)
			}
		}
	}
}

// The command line asks for numbers, it shows none to Prometheus.
func TestCommandLinksNoMetrics(t *testing.T) {
	prometheus := func(dep string) bool { return strings.HasPrefix(dep, "github.com/prometheus/") }
	for _, p := range list(t) {
		if p.rel() == "cmd/ctsync" && slices.ContainsFunc(p.Deps, prometheus) {
			t.Error("cmd/ctsync links Prometheus")
		}
	}
}

// The privileged daemon must not carry a terminal interface, nor what speaks to strangers: TLS, passwords and the
// tokens of exporter-toolkit are ctsync-exporter's.
func TestDaemonLinks(t *testing.T) {
	unwanted := []string{
		"github.com/charmbracelet/", module + "tui", "github.com/prometheus/exporter-toolkit/", "github.com/golang-jwt/",
		"golang.org/x/oauth2", "golang.org/x/crypto/", "github.com/mdlayher/vsock",
	}
	found := false
	for _, p := range list(t) {
		if p.rel() != "cmd/ctsyncd" {
			continue
		}
		found = true
		for _, dep := range p.Deps {
			if slices.ContainsFunc(unwanted, func(u string) bool { return strings.HasPrefix(dep, u) }) {
				t.Errorf("cmd/ctsyncd links %s", dep)
			}
		}
	}
	if !found {
		t.Error("no cmd/ctsyncd to look at")
	}
}

// A package is named after what it is about, not after being of use.
func TestPackageNames(t *testing.T) {
	for _, p := range list(t) {
		base := p.ImportPath[strings.LastIndexByte(p.ImportPath, '/')+1:]
		for _, name := range []string{base, p.Name} {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "models"}, name) {
				t.Errorf("package %s says nothing by its name", p.ImportPath)
			}
		}
		if strings.Count(p.ImportPath, "/") > 2 {
			t.Errorf("package %s is nested deeper than daemon/x", p.ImportPath)
		}
	}
}
