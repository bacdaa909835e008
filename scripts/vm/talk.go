package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// talkEvery is the pause between two lines of a conversation.
const talkEvery = 100 * time.Millisecond

// echo sends back what it receives, to one client after the other.
func echo(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = io.Copy(conn, conn) // the client sees what went wrong
		conn.Close()
	}
}

// talk holds a conversation by one connection, and writes after each answer how many there were and how long the
// longest pause was, or why it has ended.
func talk(ctx context.Context, address, file string) error {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	last, longest := time.Now(), time.Duration(0)
	for n := 1; ctx.Err() == nil; n++ {
		line := fmt.Sprintf("line %d\n", n)
		_, err := io.WriteString(conn, line)
		back := line
		if err == nil {
			back, err = answers.ReadString('\n')
		}
		if err == nil && back != line {
			err = errors.New("another answer than what was said: " + back)
		}
		if err != nil {
			return errors.Join(err, os.WriteFile(file, []byte("ended: "+err.Error()+"\n"), 0o644))
		}
		longest = max(longest, time.Since(last))
		last = time.Now()
		text := fmt.Sprintf("answers %d longest %d ms\n", n, longest.Milliseconds())
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		time.Sleep(talkEvery)
	}
	return nil
}
