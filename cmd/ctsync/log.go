package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

// followEvery is how often --follow asks for new lines.
const followEvery = time.Second

func (a *app) showLog() *cobra.Command {
	after, follow := uint64(0), false
	cmd := &cobra.Command{
		Use: "log", Short: "Show the last lines of the daemon's log", Args: none,
		Long: `Log shows the last 1000 lines of the log. The daemon keeps them in memory, wherever its log goes.
The number in front of a line is its ID, for --after. After a restart of the daemon IDs start at
1 again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !follow {
				return a.log(cmd.Context(), after, 0)
			}
			err := a.log(cmd.Context(), after, followEvery)
			if cmd.Context().Err() != nil {
				return nil // the user has seen enough
			}
			return err
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "only lines after the line with this `ID`")
	cmd.Flags().BoolVar(&follow, "follow", false, "wait for new lines and print them")
	return cmd
}

// log prints the lines after the one with that ID. Unless every is 0, it then looks for new ones that often until ctx
// ends.
func (a *app) log(ctx context.Context, after uint64, every time.Duration) error {
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		for {
			p, err := c.Log(ctx, after)
			if err != nil {
				return err
			}
			if p.Last < after && every > 0 { // the daemon was restarted
				after = 0
				continue
			}
			if err := a.printLog(after, p.Lines); err != nil || every == 0 {
				return err
			}
			after = p.Last
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(every):
			}
		}
	})
}

// printLog prints lines. When some are missing between them and the last printed one, it says how many.
func (a *app) printLog(after uint64, lines []control.LogLine) (err error) {
	if len(lines) > 0 && after > 0 && lines[0].ID > after+1 {
		missing := lines[0].ID - after - 1
		fmt.Fprintf(a.stderr, "ctsync: %d lines are missing: the daemon does not keep them any more\n", missing)
	}
	var b []byte
	for _, l := range lines {
		if !a.json {
			b = fmt.Appendf(b, "%6d  %s  %-5s  %s\n", l.ID, l.Time.Local().Format(timeLayout), l.Level, l.Text)
			continue
		}
		j, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		b = append(append(b, j...), '\n')
	}
	return a.print(b)
}
