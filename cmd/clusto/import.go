package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/clusto/clusto-engine/clusto"
	site "github.com/clusto/clusto-engine/clusto/inventory"
)

const importAbout = "Put a site that is written down in YAML into the inventory: all of it or nothing."

type importFlags struct {
	Site string `arg:"" help:"The file; - is standard input. What the inventory holds already is left as it is."`
	choice
}

func importMain(args []string) int {
	var flags importFlags
	if code, ok := parse("import", importAbout, args, &flags); !ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := readSite(flags.Site)
	if errors.As(err, new(*site.Error)) {
		fmt.Fprintln(os.Stderr, err) // a line each, with its place
		return exitUsage
	} else if err != nil {
		return fail("import", exitUsage, err)
	}
	inv, done, err := flags.open(ctx, false)
	if err != nil {
		return fail("import", code(err), flags.advise(err))
	}
	defer done()
	if err := inv.Apply(ctx, s.Ops()); err != nil {
		return flags.refused(s, err)
	}
	fmt.Println(summary(s) + " in " + flags.String())
	return 0
}

func readSite(file string) (*site.Site, error) {
	if file == "-" {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return site.Parse("stdin", data)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; give the file that the site is written in, or - for standard input", err)
	}
	return site.Parse(file, data)
}

// refused says why the inventory did not take a site.
func (f *importFlags) refused(s *site.Site, err error) int {
	if !errors.As(err, new(*clusto.OpError)) {
		return fail("import", code(err), f.advise(doubt(err)))
	}
	fmt.Fprintf(os.Stderr, "%v; %s; nothing was imported\n", s.Explain(err), mend(err))
	return code(err)
}

// doubt says so when the inventory was reached and did not say how it ended.
func doubt(err error) error {
	var dial *net.OpError
	if !errors.Is(err, clusto.ErrUnavailable) || errors.As(err, &dial) && dial.Op == "dial" {
		return err
	}
	return fmt.Errorf("%w (all of it or nothing is imported now; to be sure, import again: what is there already is left alone)", err)
}

// mend says what to do about a refused operation.
func mend(err error) string {
	switch {
	case errors.Is(err, clusto.ErrConflict):
		return "change the file, or what clusto holds"
	case errors.Is(err, clusto.ErrNotFound):
		return "declare it in the file, or correct its name"
	}
	return "correct it in the file"
}

// summary counts what a site has: "site.yaml: 1,234 operations; 99 servers, 2 networks".
func summary(s *site.Site) string {
	return fmt.Sprintf("%s: %s; %s, %s", s.Where(-1), count(len(s.Ops()), "operation"),
		count(len(s.Servers()), "server"), count(len(s.Networks()), "network"))
}

// count writes a number with commas, and what is counted.
func count(n int, what string) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n != 1 {
		what += "s"
	}
	return digits + " " + what
}
