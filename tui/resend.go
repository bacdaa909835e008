package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// resendView is what the peer has not acknowledged: the first messages in flight.
type resendView struct {
	pace pacer
	list []control.Resend
	read time.Time
	err  error
}

// maxResend bounds what is read of the messages in flight, of which there can be as many as flows.
const maxResend = 1000

func (m model) resendBeat() (model, tea.Cmd) {
	if !m.resend.pace.ready(m.now) {
		return m, nil
	}
	client := m.client
	cmd := ask(&m.resend.pace, m.now, stateTimeout, func(ctx context.Context) ([]control.Resend, error) {
		return readResend(ctx, client)
	})
	return m, cmd
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

func (m model) takeResend(a answer[[]control.Resend]) model {
	v := &m.resend
	if !take(&v.pace, a, stateEvery) {
		return m
	}
	if v.err = a.err; a.err == nil {
		v.list, v.read = a.value, a.at
	}
	return m
}

// resendLines name the messages in flight by their numbers.
func (m model) resendLines() []string {
	v := &m.resend
	var lines []string
	if v.err != nil {
		lines = m.rows("", "! "+printable(v.err.Error()), bad)
	}
	if len(v.list) == 0 {
		return lines
	}
	text := resendRanges(v.list)
	if len(v.list) == maxResend {
		text = "the first " + m.units.count(maxResend) + ": " + text
	}
	return append(lines, m.rows("", text, faint)...)
}

// resendRanges writes numbers that follow one another as one range; those of control messages are marked.
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
