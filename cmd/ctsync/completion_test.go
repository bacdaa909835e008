package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

func TestSplitLine(t *testing.T) {
	for text, want := range map[string]line{
		"":                         {words: []string{""}},
		"ctsync  show ":            {words: []string{"ctsync", "show", ""}},
		`ctsync --filter "tcp d`:   {words: []string{"ctsync", "--filter", "tcp d"}, quote: '"'},
		`ctsync 'a"b\' x`:          {words: []string{"ctsync", `a"b\`, "x"}},
		`ctsync a\ b "\$c\d" "`:    {words: []string{"ctsync", "a b", `$c\d`, ""}, quote: '"'},
		`ctsync "" $(reboot) \`:    {words: []string{"ctsync", "", "$(reboot)", `\`}},
		"ctsync --filter=\"nat:\"": {words: []string{"ctsync", "--filter=nat:"}},
	} {
		if got := splitLine(text); got.quote != want.quote || !slices.Equal(got.words, want.words) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// offered returns what __line prints for bash.
func offered(t *testing.T, socket, line string) []string {
	t.Helper()
	t.Setenv("CTSYNC_SOCKET", socket)
	var out, errs bytes.Buffer
	args := []string{"__line", "bash", "ctsync " + line, " \t\n\"'><=;|&(:"}
	if code := run(context.Background(), args, time.Now(), &out, &errs); code != exitDone || errs.Len() > 0 {
		t.Fatalf("%s: exit status %d: %s", line, code, errs.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestOffers(t *testing.T) {
	socket := serveFake(t, fakeDaemon("plain"))
	for _, c := range []struct {
		line string
		want []string
	}{
		{"sho", []string{"space", "show"}},
		{"show cache i", []string{"space", "internal"}},
		{"show cache internal -o ", []string{"space", "xml", "json"}},
		{"show cache internal ", []string{"space", "main", "expect"}},
		{"show diff e", []string{"space", "external"}},
		{"show diff external ", []string{"space", "ipv4", "ipv6"}},
		{"show diff external ipv4 ", []string{"space"}},
		{"show status ", []string{"space"}},
		{"reset e", []string{"space", "external-cache"}},
		{"completion z", []string{"space", "zsh"}},
		{"show table --sort s", []string{"space", "source", "state", "sport"}},
		{"show table --sort=-id", []string{"space", "-id"}},
		{"show cache internal --sort=i", []string{"space", "idle", "id"}},
		{"show cache internal --group-by port --sort ", []string{"space", "flows", "key"}},
		{"show table --group-by=so", []string{"space", "source", "source-network"}},
		{"show table --filter nat:s", []string{"nospace", "snat"}},
		{`show table --filter "tcp dport:2`, []string{"nospace", "tcp dport:22"}},
		{"show table --filter=dport:", []string{"nospace", "22"}},
		{`events --filter "fam`, []string{"nospace", "family:", "family:ipv4", "family:ipv6"}},
		{"notify m", []string{"space", "master"}},
		{"notify master ", []string{"space", "GEFOEKOM"}},
		{"show table --socket /r", []string{"files"}},
		{"bogus ", []string{"space"}},
	} {
		if got := offered(t, socket, c.line); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
	got := offered(t, filepath.Join(t.TempDir(), "away"), "show table --filter dport:")
	if !slices.Equal(got, []string{"nospace"}) {
		t.Errorf("without a daemon: %q", got)
	}
}

// TestShells completes a line in each shell.
func TestShells(t *testing.T) {
	socket := serveFake(t, fakeDaemon("plain"))
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const typed = `ctsync show table --filter "tcp dport:2`
	for shell, script := range map[string]string{
		"bash": `source <(ctsync completion bash)
COMP_LINE=$1 COMP_POINT=${#1}; compopt() { printf '%s\n' "$*"; }; _ctsync ctsync; printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `ctsync completion fish | source; complete -C "$argv[1]"`,
		"zsh": `source =(ctsync completion zsh) 2>/dev/null
words=(ctsync show table --filter '"tcp dport:2'); CURRENT=5 QIPREFIX='"' PREFIX='tcp dport:2'
compadd() { print -l -- $offers; }; _ctsync`,
	} {
		t.Run(shell, func(t *testing.T) {
			nstest.RequireCommand(t, shell, shell)
			args := []string{"-c", script, shell, typed}
			if shell == "fish" {
				args = []string{"-c", script, typed}
			}
			cmd := exec.Command(shell, args...)
			cmd.Env = append(os.Environ(), "CTSYNC_SOCKET="+socket, "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir)
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "tcp dport:22") {
				t.Errorf("%v: %q", err, out)
			}
		})
	}
}
