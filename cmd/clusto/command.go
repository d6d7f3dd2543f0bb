package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"

	"github.com/clusto/clusto-engine/clusto"
)

// command is one thing that clusto does, or a group of such. main gets the
// arguments after the command's name and returns the exit code.
type command struct {
	name, about string
	aliases     []string // what the original called it
	main        func(args []string) int
	flags       func() any // what main parses, for completion
	sub         []*command // of a group, which has no main
	group       string     // of a group: its name
}

func find(among []*command, name string) *command {
	i := slices.IndexFunc(among, func(c *command) bool { return c.name == name || slices.Contains(c.aliases, name) })
	if i < 0 {
		return nil
	}
	return among[i]
}

func (c *command) help(w io.Writer) int {
	fmt.Fprintf(w, "%s\n\nUsage: clusto %s COMMAND [ARGUMENTS]\n\n", c.about, c.name)
	list(w, c.sub)
	fmt.Fprintf(w, "\n\"clusto help %s COMMAND\" tells more of one.\n", c.name)
	return 0
}

func list(w io.Writer, commands []*command) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(tw, "  %s\t%s\n", c.name, c.about)
	}
	_ = tw.Flush() // w keeps its error
}

// group makes a command of commands.
func group(name, about string, sub ...*command) *command {
	return &command{name: name, about: about, sub: sub}
}

// task is what the flags of a command can do that asks or changes an inventory.
type task interface {
	run(ctx context.Context, inv inventory, out io.Writer) error
	which() *choice
	reads() bool // and changes nothing
}

func (c *choice) which() *choice { return c }

// reading and writing say which of both a task does.
type (
	reading struct{}
	writing struct{}
)

func (reading) reads() bool { return true }
func (writing) reads() bool { return false }

// asks makes a command of flags that are a task. full is its name with that of
// its group.
func asks[F any, P interface {
	*F
	task
}](full, about string, aliases ...string,
) *command {
	return &command{
		name: lastWord(full), about: about, aliases: aliases,
		flags: func() any { return new(F) },
		main: func(args []string) int {
			flags := P(new(F))
			if code, ok := parse(full, about, args, flags); !ok {
				return code
			}
			return do(full, flags)
		},
	}
}

// do opens the inventory and does the task.
func do(name string, t task) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if file := t.which().newFile(); file != "" && !t.reads() { // a misspelt name makes no database
		return fail(name, exitUsage, fmt.Errorf("open database %q: there is no such file; clusto import makes one", file))
	}
	inv, done, err := t.which().open(ctx, t.reads())
	if err != nil {
		return fail(name, code(err), t.which().advise(err))
	}
	defer done()
	out := bufio.NewWriter(os.Stdout)
	if err := t.run(ctx, inv, out); err != nil {
		if op := (*clusto.OpError)(nil); errors.As(err, &op) {
			err = op.Err // its number says nothing to who wrote no list
		}
		return fail(name, code(err), t.which().advise(err))
	}
	if err := out.Flush(); err != nil {
		return fail(name, exitFailed, fmt.Errorf("write to standard output: %w", err))
	}
	return 0
}

// output is the flag that has a command print what the API gives.
type output struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// applied is what commands that change something print as JSON.
type applied struct {
	Applied int             `json:"applied"`
	Results []clusto.Result `json:"results,omitempty"`
}

// change applies operations. Without --json it says nothing, as the original.
func (o *output) change(ctx context.Context, inv inventory, out io.Writer, ops []clusto.Op) error {
	results, err := inv.Change(ctx, ops)
	if err != nil || !o.JSON {
		return err
	}
	return printJSON(out, applied{len(ops), results})
}
