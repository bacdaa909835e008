package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// maxResend limits how many unacknowledged messages are read. There can be as many as flows.
const maxResend = 1000

func (l *links) beat() tea.Cmd {
	if !l.pace.ready(l.now) {
		return nil
	}
	client := l.client
	return ask(l.ctx, &l.pace, l.now, stateTimeout, func(ctx context.Context) ([]control.Resend, error) {
		return readResend(ctx, client)
	})
}

func readResend(ctx context.Context, c *control.Client) (list []control.Resend, err error) {
	r, err := c.ResendText(ctx, control.FormatNDJSON)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for dec := json.NewDecoder(r); len(list) < maxResend; {
		var one control.Resend
		if err := dec.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

func (l *links) take(msg tea.Msg) tea.Cmd {
	if a := msg.(answer[[]control.Resend]); fresh(&l.reading, a, stateEvery) {
		l.resend = a.value
	}
	return nil
}

// resendLines lists the sequence numbers of the unacknowledged messages.
func (l *links) resendLines() []string {
	var lines []string
	if l.err != nil {
		lines = l.paragraph("", "! "+l.err.Error(), bad)
	}
	if len(l.resend) == 0 {
		return lines
	}
	text := resendRanges(l.resend)
	if len(l.resend) == maxResend {
		text = "the first " + l.units.count(maxResend) + ": " + text
	}
	return append(lines, l.paragraph("", text, faint)...)
}

// resendRanges writes consecutive numbers as a range, and marks those of control messages.
func resendRanges(list []control.Resend) string {
	var parts []string
	for i := 0; i < len(list); {
		first, n := list[i], 1
		for i+n < len(list) && list[i+n].Kind == first.Kind && list[i+n].Seq == first.Seq+uint32(n) {
			n++
		}
		part := fmt.Sprint(first.Seq)
		if n > 1 {
			part += fmt.Sprintf("-%d", list[i+n-1].Seq)
		}
		if first.Kind == control.ResendControl {
			part = "control " + part
		}
		parts = append(parts, part)
		i += n
	}
	return strings.Join(parts, ", ")
}
