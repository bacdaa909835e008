package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// bootTime bounds how long a machine may take until its agent answers. An idle host needs 30 s.
const bootTime = 5 * time.Minute

// machine is a Debian under qemu. One goroutine uses it at a time.
type machine struct {
	name    string
	dir     string // for its sockets and its console
	cmd     *exec.Cmd
	ended   chan struct{} // closed when qemu has ended
	conn    net.Conn
	answers *bufio.Reader
	boot    string // ID of its last start
	id      int    // of the last order
}

// wires are the networks that join two machines; both have them as eth0, eth1 and eth2.
var wires = []string{"wan", "lan", "sync"}

// startMachine starts a machine. first says that it is the one that waits for the other end of the wires.
func startMachine(ctx context.Context, d disk, payload, dir, name string, first bool) (*machine, error) {
	m := &machine{name: name, dir: filepath.Join(dir, name), ended: make(chan struct{})}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return nil, err
	}
	port := filepath.Join(m.dir, "agent")
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024",
		"-kernel", d.kernel, "-initrd", d.initrd,
		"-append", "root=/dev/vda rw net.ifnames=0 console=ttyS0 quiet panic=-1 systemd.hostname=" + name,
		"-drive", "if=virtio,format=raw,snapshot=on,file=" + d.root,
		"-drive", "if=virtio,format=raw,readonly=on,file=" + payload,
		"-serial", "file:" + filepath.Join(m.dir, "console"),
		"-device", "virtio-rng-pci", "-device", "virtio-serial",
		"-chardev", "socket,id=agent,server=on,wait=off,path=" + port,
		"-device", "virtserialport,chardev=agent,name=agent",
	}
	for i, wire := range wires {
		end, mac := "off", fmt.Sprintf("52:54:00:00:02:%02x", i)
		if first {
			end, mac = "on", fmt.Sprintf("52:54:00:00:01:%02x", i)
		}
		path := filepath.Join(dir, wire)
		args = append(args,
			"-netdev", fmt.Sprintf("stream,id=%s,server=%s,addr.type=unix,addr.path=%s", wire, end, path),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=%s", wire, mac))
	}
	m.cmd = exec.Command("qemu-system-x86_64", args...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := os.Create(filepath.Join(m.dir, "qemu"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	m.cmd.Stdout, m.cmd.Stderr = said, said
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	go func() { _ = m.cmd.Wait(); close(m.ended) }() // its end is all that matters
	if err := m.connect(ctx, port); err != nil {
		m.kill()
		text, _ := os.ReadFile(said.Name())
		return nil, fmt.Errorf("start machine %s: %w\n%s", name, err, text)
	}
	return m, nil
}

// connect connects to the socket that qemu makes for the agent.
func (m *machine) connect(ctx context.Context, port string) error {
	for {
		conn, err := net.Dial("unix", port)
		if err == nil {
			m.conn, m.answers = conn, bufio.NewReaderSize(conn, 1<<20)
			return nil
		}
		select {
		case <-m.ended:
			return errors.New("qemu has ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the machine as a power failure does.
func (m *machine) kill() {
	_ = m.cmd.Process.Kill() // it may have ended
	<-m.ended
	if m.conn != nil {
		m.conn.Close()
	}
}

// read waits for an answer of the agent.
func (m *machine) read(ctx context.Context, within time.Duration) (a answer, err error) {
	stop := context.AfterFunc(ctx, func() { _ = m.conn.SetReadDeadline(time.Now()) })
	defer stop()
	if err := m.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return a, err
	}
	line, err := m.answers.ReadBytes('\n')
	switch {
	case ctx.Err() != nil:
		return a, context.Cause(ctx)
	case err != nil:
		return a, fmt.Errorf("machine %s: %w\n%s", m.name, err, m.console())
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("machine %s: %w: %q", m.name, err, line)
	}
	return a, nil
}

func (m *machine) console() string {
	text, err := os.ReadFile(filepath.Join(m.dir, "console"))
	if err != nil {
		return err.Error()
	}
	return tail(string(text), 15)
}

// started waits until the machine has started, or has started again.
func (m *machine) started(ctx context.Context) error {
	deadline := time.Now().Add(bootTime)
	for {
		a, err := m.read(ctx, time.Until(deadline))
		if err != nil {
			return fmt.Errorf("boot: %w", err)
		}
		if a.ID == 0 && a.Output != m.boot {
			m.boot = a.Output
			return nil
		}
	}
}

// reboot starts the machine again, in good order.
func (m *machine) reboot(ctx context.Context) error {
	m.order("systemctl reboot", time.Minute)
	return m.started(ctx)
}

func (m *machine) order(script string, within time.Duration) error {
	m.id++
	b, err := json.Marshal(order{m.id, script, within})
	if err != nil {
		return err
	}
	_, err = m.conn.Write(append(b, '\n'))
	return err
}

// run runs a script in the machine's shell. An exit status other than 0 is an error, which has the output.
func (m *machine) run(ctx context.Context, within time.Duration, script string) (string, error) {
	if err := m.order(script, within); err != nil {
		return "", fmt.Errorf("machine %s: %w", m.name, err)
	}
	for {
		a, err := m.read(ctx, within+10*time.Second)
		switch {
		case err != nil:
			return "", err
		case a.ID == 0 && a.Output != m.boot:
			return "", fmt.Errorf("machine %s has started again by itself", m.name)
		case a.ID != m.id:
			continue
		case a.Status != 0:
			return a.Output, fmt.Errorf("%s: exit status %d\n%s", firstLine(script), a.Status, tail(a.Output, 60))
		}
		return a.Output, nil
	}
}

func firstLine(script string) string {
	line, more, _ := strings.Cut(strings.TrimSpace(script), "\n")
	if more != "" {
		line += " …"
	}
	return line
}
