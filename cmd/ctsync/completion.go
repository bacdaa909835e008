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

// The completion scripts. They pass the command line to "ctsync __line" and show what that offers.
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
		Long: `The script completes commands, flags and arguments, and the keys and values of a filter. For
addresses, ports, marks and the like it offers those that the daemon's caches have now.
"make install" installs the scripts for all three shells. To use one without that:

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

// line is the command that the scripts call: __line SHELL LINE [BREAKS]. LINE ends at the cursor, and BREAKS are the
// characters at which bash begins a new word. The first line that it prints says what follows an offer: space, nospace,
// or files when the shell shall offer files. The others are offers, one per line, each with a tab and its meaning
// except for bash.
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

// offers asks the tree of commands for the words that can stand at the end of a line, each with a tab and its meaning.
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
	if before, after, given := strings.Cut(value, "="); given && strings.HasPrefix(before, "--") {
		flag, value = before+"=", after // cobra offers the value alone, the shell wants the word
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

// bashOffers removes the meanings, and the part of each offer that bash does not count as the word that it completes:
// everything up to the last character of breaks in it.
func bashOffers(offers []string, word, breaks string) []string {
	at := strings.LastIndexAny(word, breaks) + 1
	for i, o := range offers {
		o, _, _ = strings.Cut(o, "\t")
		offers[i] = o[min(at, len(o)):]
	}
	return offers
}
