package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"ctsync/daemon/control"
)

// The shipped files that the lab runs.
const (
	shippedConfig = "scripts/ctsync.toml"
	shippedNotify = "scripts/ctsync-notify"
)

// ctsync is this project's daemon with the shipped configuration and the shipped notify script.
type ctsync struct {
	lab    *Lab
	router *Router
	inject bool // disable-external-cache
	proc   *Process
	client *control.Client
}

func (c *ctsync) socket() string    { return c.lab.Path(c.router.Name + "-ctsync.sock") }
func (c *ctsync) Process() *Process { return c.proc }

func (c *ctsync) Start(ctx context.Context) error {
	shipped, err := os.ReadFile(shippedConfig)
	if err != nil {
		return err
	}
	text, err := c.adapt(string(shipped))
	if err != nil {
		return fmt.Errorf("adapt %s: %w", shippedConfig, err)
	}
	conf, err := c.lab.Write(c.router.Name+"-ctsync.toml", 0o600, text)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(shippedNotify)
	if err != nil {
		return err
	}
	if _, err := c.lab.Write("ctsync-notify", 0o755, string(script)); err != nil {
		return err
	}
	c.proc, err = c.lab.Start(c.router.NS, c.router.Name+"-ctsyncd", nil, c.program("ctsyncd"), "--config", conf)
	if err != nil {
		return err
	}
	c.client = control.New(c.socket())
	return waitReady(ctx, c.proc, func() bool { _, err := c.client.Status(ctx); return err == nil })
}

// adapt changes the settings that two daemons on one machine cannot share, and sets the lab's link and sync-group.
func (c *ctsync) adapt(text string) (string, error) {
	type change struct{ what, pattern, with string }
	changes := []change{
		{"socket", `(?m)^#?socket = .*$`, fmt.Sprintf("socket = %q", c.socket())},
		{
			"state-directory", `(?m)^#?state-directory = .*$`,
			fmt.Sprintf("state-directory = %q", c.lab.Path(c.router.Name+"-state")),
		},
		{"sync-group", `(?m)^sync-group = .*$`, fmt.Sprintf("sync-group = %q", SyncGroup)},
		{
			"disable-external-cache", `(?m)^#?disable-external-cache = .*$`,
			fmt.Sprintf("disable-external-cache = %v", c.inject),
		},
		{"interface", `(?m)^\[interface\..*\]$`, fmt.Sprintf("[interface.%s]", SyncInterface)},
	}
	for key, value := range c.lab.Settings {
		changes = append(changes, change{key, `(?m)^#?` + key + ` = .*$`, key + " = " + value})
	}
	for _, change := range changes {
		re := regexp.MustCompile(change.pattern)
		if n := len(re.FindAllString(text, -1)); n != 1 {
			return "", fmt.Errorf("found %s %d times, not once", change.what, n)
		}
		text = re.ReplaceAllLiteralString(text, change.with)
	}
	return text, nil
}

// program returns the path of one of the two programs. It is absolute because keepalived changes its directory.
func (c *ctsync) program(name string) string {
	path := filepath.Join(c.lab.Bin, name)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func (c *ctsync) Script() (string, []string) {
	return c.lab.Path("ctsync-notify"), []string{"CTSYNC=" + c.program("ctsync"), "CTSYNC_SOCKET=" + c.socket()}
}

func (c *ctsync) Held() (internal, external int, err error) {
	s, err := c.client.Status(context.Background())
	return int(s.Internal), int(s.External + s.Injected), err
}

func (c *ctsync) Overruns() (int, error) {
	s, err := c.client.Statistics(context.Background())
	return int(s.Kernel.Overruns), err
}

func (c *ctsync) Do(ctx context.Context, a control.Action) error {
	_, err := c.client.Action(ctx, a, nil)
	return err
}

// Takeover reports MASTER, which the daemon answers at once, and waits for the outcome.
func (c *ctsync) Takeover(ctx context.Context) error {
	n := control.Notification{Type: control.TypeGroup, Name: SyncGroup, State: control.StateMaster, At: time.Now()}
	said, err := c.client.Notify(ctx, n)
	if err != nil {
		return err
	}
	for {
		all, err := c.client.Transitions(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(t control.Transition) bool { return t.ID == said.ID })
		switch {
		case i < 0:
			return fmt.Errorf("takeover %d is not in the list of transitions", said.ID)
		case all[i].Outcome == control.OutcomeDone:
			return nil
		case all[i].Outcome != control.OutcomeRunning:
			return fmt.Errorf("takeover: %s", all[i].Outcome)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *ctsync) External(ctx context.Context, each func(line []byte) error) error {
	r, err := c.client.FlowText(ctx, control.FlowQuery{Table: control.TableExternal}, control.FormatConntrackd)
	if err != nil {
		return err
	}
	defer r.Close()
	return eachLine(r, each)
}

func (c *ctsync) Table() []string {
	return []string{c.program("ctsync"), "--socket", c.socket(), "show", "table", "ipv4"}
}

func (c *ctsync) Committed() (int, string, bool) {
	all, err := c.client.Transitions(context.Background())
	if err != nil {
		return 0, err.Error(), false
	}
	for _, t := range slices.Backward(all) {
		if i := t.Inject; t.State == control.StateMaster && i != nil && !t.Finished.IsZero() {
			const layout = "no commit: %d flows were in the kernel, %d of them late (%v), %d refused (%s)"
			return int(i.Present), fmt.Sprintf(layout, i.Present, i.Late, i.Waited, i.Failed, t.Outcome), true
		}
		if t.State != control.StateMaster || t.Commit == nil || t.Finished.IsZero() {
			continue
		}
		r := t.Commit
		detail := fmt.Sprintf("%d created, %d updated, %d replaced, %d expired, %d failed, in %v",
			r.Created, r.Updated, r.Replaced, r.Expired, r.Failed, r.Duration)
		if errors, err := json.Marshal(r.Errors); err == nil && len(r.Errors) > 0 {
			detail += " " + string(errors)
		}
		if t.Outcome != control.OutcomeDone {
			detail += " (" + t.Outcome + ")"
		}
		return int(r.Created + r.Updated + r.Replaced), detail, true
	}
	return 0, "no commit", false
}

func (c *ctsync) Show() [][]string {
	return [][]string{
		{c.program("ctsync"), "--socket", c.socket(), "show", "status"},
		{c.program("ctsync"), "--socket", c.socket(), "show", "statistics"},
	}
}

func (c *ctsync) Attach() []string {
	at := c.program("ctsync") + " --socket " + c.socket()
	return []string{at + " show table", at + " tui"}
}
