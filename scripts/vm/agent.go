package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// order is a script for the machine's shell.
type order struct {
	ID     int           `json:"id"`
	Script string        `json:"script"`
	Within time.Duration `json:"within"` // then it is killed
}

// answer is what became of an order. The agent's first answer, whose ID is 0, says that the machine has started; Output
// is then the ID of that start.
type answer struct {
	ID     int    `json:"id"`
	Status int    `json:"status"`
	Output string `json:"output"` // stdout and stderr
}

// agent carries out the orders that arrive by a port of the machine, one after the other.
func agent(path string) error {
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	out := json.NewEncoder(port)
	if err := out.Encode(answer{Output: strings.TrimSpace(string(boot))}); err != nil {
		return err
	}
	in := bufio.NewReader(port)
	for {
		line, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF): // the host is not there
			time.Sleep(100 * time.Millisecond)
			continue
		case err != nil:
			return err
		}
		var o order
		if err := json.Unmarshal(line, &o); err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		if err := out.Encode(o.carryOut()); err != nil {
			return err
		}
	}
}

func (o order) carryOut() answer {
	ctx, cancel := context.WithTimeout(context.Background(), o.Within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", o.Script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // what it started may hold its output
	out, err := cmd.CombinedOutput()
	a := answer{ID: o.ID, Output: string(out)}
	switch {
	case ctx.Err() != nil:
		a.Status, a.Output = -1, fmt.Sprintf("%skilled after %v\n", out, o.Within)
	case cmd.ProcessState == nil:
		a.Status, a.Output = -1, err.Error()
	default:
		a.Status = cmd.ProcessState.ExitCode()
	}
	return a
}
