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

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

// commands are in the order of the help.
var commands []*command

func init() { // completion speaks of all of them
	commands = []*command{
		{name: "demo", about: demoAbout, main: demoMain, flags: func() any { return new(demoFlags) }},
		{name: "up", about: upAbout, main: upMain, flags: func() any { return new(upFlags) }},
		{name: "import", about: importAbout, main: importMain, flags: func() any { return new(importFlags) }},
		asks[exportFlags]("export", exportAbout),
		asks[showFlags]("show", showAbout, "info", "tree"),
		attrCommand, poolCommand, rackCommand,
		{name: "traps", about: trapsAbout, main: trapsMain, flags: func() any { return new(trapsFlags) }},
		{name: "completion", about: completionAbout, main: completionMain, flags: func() any { return new(completionFlags) }},
	}
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
	"clusto-dhcpd":     daemon.DHCPMain,
	"clusto-httpd":     daemon.HTTPDMain,
	"clusto-snmptrapd": func(args []string) int { return daemon.SNMPMain(args, nil) }, // the demo has no captures
}

func run(args []string) int {
	if len(args) == 0 {
		return help(os.Stdout)
	}
	switch name := args[0]; name {
	case "help", "--help", "-h":
		if name == "help" && len(args) > 1 {
			return dispatch(commands, "", append(args[1:], "--help"))
		}
		return help(os.Stdout)
	case "--version":
		var flags struct{ Version kong.VersionFlag }
		code, _ := parse("", "", args[:1], &flags)
		return code
	case "__complete":
		return complete(args[1:], os.Stdout)
	default:
		return dispatch(commands, "", args)
	}
}

// dispatch gives the arguments to the command that the first one names, of the
// commands of parent.
func dispatch(among []*command, parent string, args []string) int {
	c := find(among, args[0])
	if c == nil {
		names := make([]string, 0, len(among))
		for _, c := range among {
			names = append(names, c.name)
		}
		fmt.Fprintf(os.Stderr, "clusto: unknown command %q: %s\n", parent+args[0], daemon.Suggest(args[0], names))
		return exitUsage
	}
	if c.sub == nil {
		return c.main(args[1:])
	}
	if args = args[1:]; len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		return c.help(os.Stdout)
	}
	return dispatch(c.sub, parent+c.name+" ", args)
}

func help(w io.Writer) int {
	fmt.Fprint(w, "clusto is the operator's tool of clusto-engine.\n\nUsage: clusto COMMAND [ARGUMENTS]\n\n")
	list(w, commands)
	fmt.Fprint(w, "\n\"clusto help COMMAND\" tells more of one; \"clusto --version\" prints the version.\n")
	return 0
}

// parse fills a command's flags. ok is false if the program is to end with code:
// after --help, and after the one line that says which flag is wrong.
func parse(name, about string, args []string, into any) (code int, ok bool) {
	return parseAs(daemon.Program{Name: strings.TrimSpace("clusto " + name), About: about, Files: []string{}}, args, into)
}

// parseAs is parse for a command that has settings in services.conf.
func parseAs(p daemon.Program, args []string, into any) (code int, ok bool) {
	err := daemon.ParseFlags(p, args, into)
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
	fmt.Fprintf(os.Stderr, "clusto %s: %s\n", name, clusto.Reason(err))
	return code
}
