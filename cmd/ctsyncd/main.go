// Command ctsyncd keeps the conntrack table of this router in step with its peer's.
//
// It runs in the foreground, under systemd or by hand. Everything it does stands in its configuration file; see
// ctsync.toml. SIGTERM and SIGINT end it within a second, SIGHUP loads the file again (which also happens by itself when
// the file changes), and a file that is refused leaves the old configuration in force.
//
// Exit status: 0 done, 1 failure (one line or more on stderr says what), 2 usage.
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
	exitUsage   = 2
)

// version is set by the linker: -ldflags '-X main.version=1.0'.
var version string

const usage = `usage: ctsyncd [--config FILE] [--log KIND] [--debug]
       ctsyncd --check [--config FILE]
       ctsyncd --version

  --config FILE  configuration (default ` + config.DefaultPath + `)
  --check        say whether the configuration is valid, and end
  --log KIND     stderr, journal (stderr with priority prefixes), syslog, or auto (default): journal when stderr is
                 connected to it, syslog when stderr is /dev/null, else stderr
  --debug        log more
  --version      print the version, and end
`

// options are the flags.
type options struct {
	config         string
	log            string
	check, version bool
	debug          bool
	program        string // path of this program
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process around it.
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
		out.print(severityError, "no restart is possible: "+err.Error())
	}
	err = serve(opt, out)
	if errors.Is(err, errRestart) {
		err = again(opt.program)
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
	return opt, fmt.Errorf("--log %q is none of auto, stderr, journal, syslog", opt.log)
}

// check answers --check. What keepalived's configuration lacks does not make ours invalid.
func check(path string, stdout, stderr io.Writer) int {
	var warnings []string
	cfg, err := config.Load(path)
	if err == nil {
		warnings, err = daemon.Check(cfg)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	for _, w := range warnings {
		fmt.Fprintf(stderr, "%s: warning: %s\n", path, w)
	}
	fmt.Fprintf(stdout, "%s: ok\n", path)
	return exitDone
}

// buildVersion is what the linker was told, else the module's version, else the commit that was built.
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
