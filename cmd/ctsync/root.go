package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

// version is set by the build (-ldflags "-X main.version=...").
var version string

// app is one run of the program, with its streams and its global flags.
type app struct {
	started        time.Time
	stdout, stderr io.Writer

	socket string
	json   bool
}

// Exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUnreachable = 3
	exitUsage       = 64  // EX_USAGE of sysexits(3): Go ends a program that panics with 2
	exitInterrupted = 130 // what a shell reports of a program that SIGINT ended
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// root returns the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ctsync",
		Short: "Show and control ctsyncd, the conntrack synchronisation daemon",
		Long: `ctsync shows and controls ctsyncd, which keeps the conntrack tables of two routers in step.

Examples:

  ctsync show status                                       whether the pair is in step, and if not, why
  ctsync show diff internal                                on the master: flows that a failover would lose
  ctsync show diff external                                on the standby: what a takeover would do
  ctsync show cache internal --group-by source --limit 10  the hosts with the most flows
  ctsync show transitions                                  what the last failovers did

Exit status: 0 done, 1 refused or failed, 3 daemon not reachable, 64 usage error, 130 interrupted
before it was complete. When interrupted, events, --follow and --watch end with 0.`,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	socket := os.Getenv("CTSYNC_SOCKET")
	if socket == "" {
		socket = control.DefaultSocket
	}
	global := root.PersistentFlags()
	global.StringVar(&a.socket, "socket", socket, "`PATH` of the daemon's control socket (also CTSYNC_SOCKET)")
	global.BoolVar(&a.json, "json", false, "print JSON (of a list: one object per line)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	complete(root, "socket", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault // files
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.CompletionOptions.SetDefaultShellCompDirective(noFiles)
	root.SetVersionTemplate("ctsync {{.Version}}\n")
	group(root)
	root.AddCommand(a.show(), a.events(), a.notify(), a.reset(), a.restart(), a.monitor())
	root.AddCommand(a.completion(), a.line(), a.tree(), filterHelp())
	root.AddCommand(a.operations()...)
	return root
}

// group makes cmd a command that only groups others: without a word it prints its help, and an unknown word is an
// error.
func group(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		msg := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			msg += fmt.Sprintf(": did you mean %q?", near[0])
		} else {
			msg += fmt.Sprintf(": see %q", cmd.CommandPath()+" --help")
		}
		return usageError{errors.New(msg)}
	}
}

// words returns a cobra check: at most one argument, which is one of the allowed words.
func words(allowed ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if len(args) == 1 && slices.Contains(allowed, args[0]) {
			return nil
		}
		given := strings.Join(args, " ")
		return usageError{fmt.Errorf("unexpected %q: want %s or nothing", given, strings.Join(allowed, " or "))}
	}
}

// none is a cobra check: no arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("unexpected %q: %q takes no arguments", args[0], cmd.CommandPath())}
}

// exit prints err as one line on stderr and returns the exit status for it.
func (a *app) exit(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled): // the user has interrupted it, and knows
		return exitInterrupted
	}
	fmt.Fprintf(a.stderr, "ctsync: %s\n", oneLine(err.Error()))
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, control.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// ask calls f with a client and then closes the client. When ctx has ended, ask returns the error of ctx: an
// interrupted request may also fail as if the daemon had gone.
func (a *app) ask(ctx context.Context, f func(context.Context, *control.Client) error) error {
	c := control.New(a.socket)
	defer c.Close()
	err := f(ctx, c)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// buildVersion returns the version that the linker set, or the one that the Go tool knows.
func buildVersion() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "unknown"
}
