package ctsync_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Limits of hand-written code outside tests, in lines.
const (
	maxFile = 500
	maxFunc = 60
)

// pure packages are told what time it is: they never ask.
var pure = []string{
	"daemon/flow", "daemon/expr", "daemon/lifetime", "daemon/wire", "daemon/session", "daemon/cache", "daemon/core",
}

// notPure are the files of package link that may ask the time: the keeper acts, the rest is the set, which decides.
var notPure = []string{"keeper.go", "listen.go"}

// clock lists the functions of package time that ask or wait.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

func TestSource(t *testing.T) {
	looked := 0
	for _, p := range list(t) {
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
			if lines := bytes.Count(src, []byte("\n")); lines > maxFile {
				t.Errorf("%s has %d lines, more than %d", fset.Position(file.Pos()).Filename, lines, maxFile)
			}
			longFunctions(t, fset, file)
			if slices.Contains(pure, p.rel()) || p.rel() == "daemon/link" && !slices.Contains(notPure, name) {
				asksClock(t, fset, file)
			}
		}
	}
	if looked == 0 {
		t.Error("no source file to look at")
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
