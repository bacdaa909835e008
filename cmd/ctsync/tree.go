package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command is a command and its help, for the manual page (see scripts/man).
type command struct {
	Path     string    `json:"path"`
	Use      string    `json:"use"` // Path and the arguments
	Short    string    `json:"short"`
	Long     string    `json:"long,omitempty"`
	Example  string    `json:"example,omitempty"`
	Topic    bool      `json:"topic,omitempty"` // only a page of help
	Flags    []option  `json:"flags,omitempty"` // without those of its parents
	Commands []command `json:"commands,omitempty"`
}

// option is a flag of a command.
type option struct {
	Name      string `json:"name"`
	Shorthand string `json:"shorthand,omitempty"`
	Value     string `json:"value,omitempty"`    // the name of its value, "" for a switch
	Optional  string `json:"optional,omitempty"` // the value when none is given
	Default   string `json:"default,omitempty"`
	Usage     string `json:"usage"`
}

// tree prints all commands as JSON.
func (a *app) tree() *cobra.Command {
	return &cobra.Command{
		Use: "__tree", Hidden: true, Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.printJSON(describe(cmd.Root())) },
	}
}

// describe describes a command and the commands below it.
func describe(cmd *cobra.Command) command {
	c := command{
		Path: cmd.CommandPath(), Use: cmd.CommandPath(), Short: cmd.Short, Long: cmd.Long, Example: cmd.Example,
		Topic: cmd.IsAdditionalHelpTopicCommand(),
	}
	if cmd.HasParent() {
		c.Use = cmd.Parent().CommandPath() + " " + cmd.Use
	}
	cmd.InitDefaultVersionFlag()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		d := option{Name: f.Name, Shorthand: f.Shorthand, Value: value, Usage: usage}
		if value != "" {
			d.Optional = f.NoOptDefVal
		}
		if f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "false" {
			d.Default = f.DefValue
		}
		c.Flags = append(c.Flags, d)
	})
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" && (sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand()) {
			c.Commands = append(c.Commands, describe(sub))
		}
	}
	return c
}
