package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// serve is the whole of a daemon: it fills cfg, and has run serve until SIGINT
// or SIGTERM.
func serve(p Program, args []string, cfg any, run func(context.Context) error) (code int) {
	if err := ParseFlags(p, args, cfg); err != nil {
		return ExitCode(p.Name, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return ExitCode(p.Name, run(ctx))
}

// ExitCode tells standard error what ended a program, in one line, and gives the
// code that it ends with.
func ExitCode(name string, err error) int {
	code, line := lastWord(name, err)
	if line != "" {
		fmt.Fprintln(os.Stderr, line)
	}
	return code
}

// lastWord makes one line of an error: drivers and the kernel may use several.
func lastWord(name string, err error) (code int, line string) {
	exit := (*Exit)(nil)
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &exit):
		return exit.Code, exit.Line
	case errors.Is(err, ErrConfig):
		code = 2
	default:
		code = 1
	}
	return code, name + ": " + strings.Join(strings.Fields(err.Error()), " ")
}
