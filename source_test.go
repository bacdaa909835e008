package ctsync_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Limits of hand-written code outside tests.
const (
	maxFile    = 500  // lines
	maxFunc    = 60   // lines
	maxPackage = 2000 // lines of a package of the daemon
	maxStruct  = 30   // fields
	maxDaemon  = 1100 // lines of package daemon, which only puts the parts together
	maxColumn  = 120  // of code and prose, a tab being one; in tests too
)

// large packages of the daemon may have more than maxPackage lines: each is one thing that does not come apart.
var large = []string{"daemon/flow", "daemon/cache", "daemon/ctnetlink", "daemon/control"}

// pure packages get the time from their caller: they never ask.
var pure = []string{
	"daemon/flow", "daemon/expr", "daemon/lifetime", "daemon/wire", "daemon/path", "daemon/session", "daemon/cache", "daemon/core",
}

// notPure are the files of package link that may ask the time: the keeper acts, the rest is the set, which decides.
var notPure = []string{"keeper.go", "listen.go"}

// clock lists the functions of package time that ask or wait.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

func TestSource(t *testing.T) {
	looked := 0
	for _, p := range list(t) {
		size := 0
		for _, name := range p.GoFiles {
			looked++
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.rel(), name), src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if ast.IsGenerated(file) {
				continue
			}
			lines := bytes.Count(src, []byte("\n"))
			if size += lines; lines > maxFile {
				t.Errorf("%s has %d lines, more than %d", fset.Position(file.Pos()).Filename, lines, maxFile)
			}
			longFunctions(t, fset, file)
			wideStructs(t, fset, file)
			if slices.Contains(pure, p.rel()) || p.rel() == "daemon/link" && !slices.Contains(notPure, name) {
				asksClock(t, fset, file)
			}
		}
		limit := maxPackage
		if p.rel() == "daemon" {
			limit = maxDaemon
		}
		if strings.HasPrefix(p.rel(), "daemon") && size > limit && !slices.Contains(large, p.rel()) {
			t.Errorf("%s has %d lines, more than %d", p.rel(), size, limit)
		}
	}
	if looked == 0 {
		t.Error("no source file to look at")
	}
}

func wideStructs(t *testing.T, fset *token.FileSet, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.StructType); ok && s.Fields.NumFields() > maxStruct {
			t.Errorf("%s: a struct has %d fields, more than %d", fset.Position(n.Pos()), s.Fields.NumFields(), maxStruct)
		}
		return true
	})
}

// TestColumns holds code and prose to a width that can be read. Tables and literals are excepted: a line of Go that
// ends within a literal of several lines or holds a long string, and in documents a line of a table or of code.
func TestColumns(t *testing.T) {
	for _, p := range list(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.rel(), name), src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			excepted := literals(fset, file)
			for i, line := range strings.Split(string(src), "\n") {
				if n := utf8.RuneCountInString(line); n > maxColumn && !excepted[i+1] && !ast.IsGenerated(file) {
					t.Errorf("%s:%d: %d columns, more than %d", filepath.Join(p.rel(), name), i+1, n, maxColumn)
				}
			}
		}
	}
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(documents, "README.md") {
		proseColumns(t, name)
	}
}

// literals returns the lines of a file that hold a string of some length, or an element of a literal of several lines.
func literals(fset *token.FileSet, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	line := func(p token.Pos) int { return fset.Position(p).Line }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING && len(n.Value) > 40 {
				for l := line(n.Pos()); l <= line(n.End()); l++ {
					lines[l] = true
				}
			}
		case *ast.CompositeLit:
			if line(n.Lbrace) == line(n.Rbrace) {
				break
			}
			for _, e := range n.Elts {
				lines[line(e.Pos())] = true
			}
		}
		return true
	})
	return lines
}

func proseColumns(t *testing.T, name string) {
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	code := false
	for i, line := range strings.Split(string(src), "\n") {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		table := strings.HasPrefix(line, "|")
		if n := utf8.RuneCountInString(line); n > maxColumn && !code && !table && !strings.HasPrefix(line, "    ") {
			t.Errorf("%s:%d: %d columns, more than %d", name, i+1, n, maxColumn)
		}
	}
}

func asksClock(t *testing.T, fset *token.FileSet, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, sel.Sel.Name) {
			t.Errorf("%s: time.%s: time is an argument here", fset.Position(n.Pos()), sel.Sel.Name)
		}
		return true
	})
}

func longFunctions(t *testing.T, fset *token.FileSet, file *ast.File) {
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start, end := fset.Position(fn.Pos()), fset.Position(fn.End())
		if lines := end.Line - start.Line + 1; lines > maxFunc {
			t.Errorf("%s: %s has %d lines, more than %d", start, fn.Name.Name, lines, maxFunc)
		}
	}
}
