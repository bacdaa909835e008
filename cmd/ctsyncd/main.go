// Command ctsyncd keeps the conntrack table of this router in step with its peer's.
//
// ctsyncd runs in the foreground, under systemd or by hand. Its configuration file says what it does; see ctsync.toml.
// It loads the file again when the file changes and on SIGHUP; when it refuses the new file, the old configuration
// stays in force. SIGTERM and SIGINT stop it within a second.
//
// Exit status: 0 done, 1 failure (stderr says what failed), 64 usage error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"ctsync/daemon"
	"ctsync/daemon/config"
)

// Exit statuses.
const (
	exitDone    = 0
	exitFailure = 1
	exitUsage   = 64 // EX_USAGE of sysexits(3): Go ends a program that panics with 2
)

// version is set by the linker: -ldflags '-X main.version=1.0'.
var version string

const usage = `usage: ctsyncd [--config FILE] [--log KIND] [--debug]
       ctsyncd --check [--config FILE]
       ctsyncd --version

  --config FILE  configuration file (default ` + config.DefaultPath + `)
  --check        check the configuration file and exit
  --log KIND     where the log goes: stderr, journal (stderr with priority prefixes), syslog, or auto (default):
                 journal when stderr is connected to the journal, syslog when stderr is /dev/null, else stderr
  --debug        log debug messages too
  --version      print the version and exit
`

// options are the values of the flags.
type options struct {
	config         string
	log            string
	check, version bool
	debug          bool
	program        string // path of this program, "" when unknown
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out a command line and returns the exit status.
func run(args []string, stdout io.Writer, stderr *os.File) int {
	opt, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitDone
	case err != nil:
		fmt.Fprintf(stderr, "ctsyncd: %v\n%s", err, usage)
		return exitUsage
	case opt.version:
		fmt.Fprintf(stdout, "ctsyncd %s\n", buildVersion())
		return exitDone
	case opt.check:
		return check(opt.config, stdout, stderr)
	}
	out, err := openOutput(opt.log, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "ctsyncd: %v\n", err)
		return exitFailure
	}
	if opt.program, err = program(); err != nil {
		out.print(severityError, "find this program: "+err.Error()+" (ctsync restart will not work)")
	}
	err = serve(opt, out)
	if errors.Is(err, errRestart) {
		err = execute(opt.program)
	}
	if err != nil {
		out.print(severityError, err.Error())
		return exitFailure
	}
	return exitDone
}

func parseFlags(args []string) (opt options, err error) {
	set := flag.NewFlagSet("ctsyncd", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&opt.config, "config", config.DefaultPath, "")
	set.StringVar(&opt.log, "log", logAuto, "")
	set.BoolVar(&opt.check, "check", false, "")
	set.BoolVar(&opt.debug, "debug", false, "")
	set.BoolVar(&opt.version, "version", false, "")
	if err := set.Parse(args); err != nil {
		return opt, err
	}
	if set.NArg() > 0 {
		return opt, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	switch opt.log {
	case logAuto, logStderr, logJournal, logSyslog:
		return opt, nil
	}
	return opt, fmt.Errorf("--log %q: want auto, stderr, journal or syslog", opt.log)
}

// check carries out --check. What is wrong in keepalived's configuration is a warning: ours may be valid all the same.
func check(path string, stdout, stderr io.Writer) int {
	cfg, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	for _, w := range daemon.Check(cfg) {
		fmt.Fprintf(stderr, "%s: warning: %s\n", path, w)
	}
	fmt.Fprintf(stdout, "%s: ok\n", path)
	return exitDone
}

// buildVersion returns the version that the linker set, else the module's version, else the commit.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return commit + dirty
}
