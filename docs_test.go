package ctsync_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const comparison = "docs/conntrack-sync.md"

// TestComparison holds the table of VyOS's nodes against the tree: every test that it names exists, and it has every
// key of the configuration file.
func TestComparison(t *testing.T) {
	b, err := os.ReadFile(comparison)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	named := regexp.MustCompile("`([a-z/]+): (Test\\w+)`").FindAllStringSubmatch(text, -1)
	for _, m := range named {
		if !tests(t, m[1])[m[2]] {
			t.Errorf("%s: there is no %s in %s", comparison, m[2], m[1])
		}
	}
	if len(named) < 30 {
		t.Errorf("%s names %d tests: are they still named by folder and function, in backquotes?", comparison, len(named))
	}
	keys := configKeys(t)
	for _, key := range keys {
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("%s does not have the key %q", comparison, key)
		}
	}
	if len(keys) < 20 {
		t.Errorf("%d keys were found in daemon/config/schema.go: are they still lists of key?", len(keys))
	}
}

// TestPackageTable holds README's table of packages against the package comments: the same packages, in the same words.
func TestPackageTable(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, p := range list(t) {
		if p.rel() == "" || strings.HasPrefix(p.rel(), "scripts/") {
			continue
		}
		row := fmt.Sprintf("| `%s` | %s |", p.rel(), rowText(p.Doc))
		if !strings.Contains(text, "\n"+row+"\n") {
			t.Errorf("README.md, How it is built: the package comment wants the row\n%s", row)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `((?:cmd/|daemon|notify|tui)[a-z/]*)` \\|")
	for _, m := range rows.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("README.md, How it is built: there is no package %s", m[1])
		}
	}
}

// rowText makes the row of a package out of the first sentence of its comment: "Package x is what y" becomes "What y".
func rowText(doc string) string {
	words := strings.SplitN(doc, " ", 3)
	if len(words) < 3 {
		return doc
	}
	s := strings.TrimPrefix(words[2], "is ")
	return strings.ToUpper(s[:1]) + s[1:]
}

// tests returns the tests of a folder.
func tests(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		for _, decl := range parse(t, path).Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				found[fn.Name.Name] = true
			}
		}
	}
	return found
}

// configKeys returns the names in daemon/config's lists of keys.
func configKeys(t *testing.T) (keys []string) {
	t.Helper()
	ast.Inspect(parse(t, "daemon/config/schema.go"), func(n ast.Node) bool {
		list, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		array, ok := list.Type.(*ast.ArrayType)
		if !ok {
			return true
		}
		if of, ok := array.Elt.(*ast.Ident); !ok || of.Name != "key" {
			return true
		}
		for _, e := range list.Elts {
			name, err := strconv.Unquote(e.(*ast.CompositeLit).Elts[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, name)
		}
		return false
	})
	return keys
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
