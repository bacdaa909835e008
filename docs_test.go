package ctsync_test

import (
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

// TestComparison holds the table of VyOS's nodes against the tree: every test that it names exists, and every key of the
// configuration file stands in it.
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
		t.Errorf("%s names %d tests: are they still written by folder and function, in backquotes?", comparison, len(named))
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
