package main

import (
	"bytes"
	"context"
	_ "embed" // the scripts
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// The scripts of the shells. They hand the line to "ctsync __line" and show what it offers.
var (
	//go:embed completion/ctsync.bash
	bashScript string
	//go:embed completion/_ctsync
	zshScript string
	//go:embed completion/ctsync.fish
	fishScript string
)

// completion prints the script of a shell.
func (a *app) completion() *cobra.Command {
	scripts := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print the completion script of a shell",
		Long: `Prints a script that completes commands, flags, words, and the keys and values of a filter; of addresses, ports, marks
and the like those are offered that the daemon's caches have at the moment. "make install" puts the scripts where the
shells look. By hand:

    bash   source <(ctsync completion bash)
    zsh    source <(ctsync completion zsh)
    fish   ctsync completion fish | source`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || scripts[args[0]] == "" {
				return usageError{fmt.Errorf("want: completion bash|zsh|fish")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.print([]byte(scripts[args[0]])) },
	}
}

// line is what the scripts call: __line SHELL LINE [BREAKS], where LINE ends at the cursor and BREAKS are the characters
// at which bash begins a new word. It prints a line that says what stands behind an offer (space, nospace, or files for
// the shell's own offers of files) and then the offers, one a line; but for bash each with a tab and what it means.
func (a *app) line() *cobra.Command {
	return &cobra.Command{
		Use: "__line SHELL LINE [BREAKS]", Hidden: true, DisableFlagParsing: true, Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := splitLine(args[1])
			offers, directive := a.offers(cmd.Context(), l)
			if args[0] == "bash" {
				breaks := ""
				if len(args) == 3 && l.quote == 0 {
					breaks = args[2]
				}
				offers = bashOffers(offers, l.word(), breaks)
			}
			behind := "space"
			switch {
			case directive&cobra.ShellCompDirectiveError != 0:
				offers = nil
			case directive&cobra.ShellCompDirectiveNoFileComp == 0:
				behind, offers = "files", nil
			case directive&cobra.ShellCompDirectiveNoSpace != 0:
				behind = "nospace"
			}
			return a.print([]byte(strings.Join(append([]string{behind}, offers...), "\n") + "\n"))
		},
	}
}

// offers asks the tree of commands what can stand at the end of a line: whole words, each with a tab and what it means.
func (a *app) offers(ctx context.Context, l line) (offers []string, directive cobra.ShellCompDirective) {
	if len(l.words) < 2 { // the program's own name
		return nil, cobra.ShellCompDirectiveError
	}
	var out bytes.Buffer
	b := &app{started: a.started, stdout: &out, stderr: io.Discard}
	root := b.root()
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{cobra.ShellCompRequestCmd}, l.words[1:]...))
	if root.ExecuteContext(ctx) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	offers = strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	last := len(offers) - 1
	n, err := strconv.Atoi(strings.TrimPrefix(offers[last], ":"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	flag, value := "", l.word()
	if before, after, given := strings.Cut(value, "="); given && strings.HasPrefix(before, "--") { // the value is offered, the word wanted
		flag, value = before+"=", after
	}
	all := offers[:last]
	offers = nil
	for _, o := range all {
		if strings.HasPrefix(o, value) {
			offers = append(offers, flag+o)
		}
	}
	return offers, cobra.ShellCompDirective(n)
}

// bashOffers leaves out what offers mean, and of each what bash does not take for the word that it completes: all up to
// the last of breaks in it.
func bashOffers(offers []string, word, breaks string) []string {
	at := strings.LastIndexAny(word, breaks) + 1
	for i, o := range offers {
		o, _, _ = strings.Cut(o, "\t")
		offers[i] = o[min(at, len(o)):]
	}
	return offers
}
