// Command clusto is the operator's tool: it puts sites into the inventory and
// shows what the inventory holds.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

// command is one thing that clusto does. main gets the arguments after the
// command's name and returns the exit code.
type command struct {
	name, about string
	main        func(args []string) int
}

// commands are in the order of the help.
var commands = []command{
	{"demo", demoAbout, demoMain},
	{"up", upAbout, upMain},
	{"import", importAbout, importMain},
	{"show", showAbout, showMain},
}

// Exit codes, besides 0.
const (
	exitFailed = 1 // the inventory is out of reach, refuses, or has no such thing
	exitUsage  = 2 // flags or a file are wrong: the same again cannot work

	exitInterrupted = 130 // by a signal, as shells have it
)

func main() {
	if daemon := daemons[filepath.Base(os.Args[0])]; daemon != nil {
		os.Exit(daemon(os.Args[1:]))
	}
	os.Exit(run(os.Args[1:]))
}

// daemons are what this program is when it is called by their names: the demo
// starts the real ones so, out of one file.
var daemons = map[string]func(args []string) int{
	"clusto-dhcpd": daemon.DHCPMain,
	"clusto-httpd": daemon.HTTPDMain,
}

func run(args []string) int {
	if len(args) == 0 {
		return help(os.Stdout)
	}
	switch name := args[0]; name {
	case "help", "--help", "-h":
		if name == "help" && len(args) > 1 {
			return dispatch(args[1], []string{"--help"})
		}
		return help(os.Stdout)
	case "--version":
		var flags struct{ Version kong.VersionFlag }
		code, _ := parse("", "", args[:1], &flags)
		return code
	default:
		return dispatch(name, args[1:])
	}
}

func dispatch(name string, args []string) int {
	names := make([]string, 0, len(commands))
	for _, c := range commands {
		if c.name == name {
			return c.main(args)
		}
		names = append(names, c.name)
	}
	fmt.Fprintf(os.Stderr, "clusto: unknown command %q: %s\n", name, daemon.Suggest(name, names))
	return exitUsage
}

func help(w io.Writer) int {
	fmt.Fprint(w, "clusto is the operator's tool of clusto-engine.\n\nUsage: clusto COMMAND [ARGUMENTS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.about)
	}
	fmt.Fprint(w, "\n\"clusto help COMMAND\" tells more of one; \"clusto --version\" prints the version.\n")
	return 0
}

// parse fills a command's flags. ok is false if the program is to end with code:
// after --help, and after the one line that says which flag is wrong.
func parse(name, about string, args []string, into any) (code int, ok bool) {
	program := daemon.Program{Name: strings.TrimSpace("clusto " + name), About: about, Files: []string{}}
	err := daemon.ParseFlags(program, args, into)
	if err == nil {
		return 0, true
	}
	code = exitUsage
	if exit := (*daemon.Exit)(nil); errors.As(err, &exit) {
		code = exit.Code
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, err)
	}
	return code, false
}

// fail prints one line for a command and gives the code on.
func fail(name string, code int, err error) int {
	fmt.Fprintf(os.Stderr, "clusto %s: %v\n", name, err)
	return code
}
