package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/clusto/clusto-engine/clusto"
	site "github.com/clusto/clusto-engine/clusto/inventory"
)

const importAbout = "Put a site that is written down in YAML, or servers in CSV, into the inventory: all of it or nothing."

type importFlags struct {
	Site   string `arg:"" complete:":files" help:"The file; - is standard input. What the inventory holds already is left as it is."`
	Format string `default:"auto" complete:"auto,yaml,csv" placeholder:"FORMAT" help:"yaml or csv; auto takes *.csv for CSV and anything else for YAML."`
	output
	choice
}

// Validate checks what kong cannot.
func (f *importFlags) Validate() error {
	switch f.Format {
	case "auto", "yaml", "csv":
		return nil
	}
	return fmt.Errorf("--format: %q is none; write auto, yaml or csv", f.Format)
}

func importMain(args []string) int {
	var flags importFlags
	if code, ok := parse("import", importAbout, args, &flags); !ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := readSiteAs(flags.Site, isCSV(flags.Site, flags.Format))
	if errors.As(err, new(*site.Error)) {
		fmt.Fprintln(os.Stderr, err) // a line each, with its place
		return exitUsage
	} else if err != nil {
		return fail("import", exitUsage, err)
	}
	made := flags.newFile()
	inv, done, err := flags.open(ctx, false)
	if err != nil {
		return fail("import", code(err), flags.advise(err))
	}
	defer done()
	if _, err := inv.Change(ctx, s.Ops()); err != nil {
		if errors.As(err, new(*clusto.OpError)) {
			discard(ctx, inv, done, made)
		}
		return flags.refused(s, err)
	}
	if err := flags.report(os.Stdout, s); err != nil {
		return fail("import", exitFailed, fmt.Errorf("write to standard output: %w", err))
	}
	return 0
}

// discard deletes a database that was made for a site that was refused, if
// nobody has put anything into it since.
func discard(ctx context.Context, inv inventory, done func(), file string) {
	if file == "" {
		return
	}
	all, err := inv.Entities(ctx, clusto.Query{})
	done()
	if err != nil || len(all) > 1 { // clustometa is there from the start
		return
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(file + end) // what is left of it is empty
	}
}

// report says what was imported.
func (f *importFlags) report(w io.Writer, s *site.Site) error {
	if f.JSON {
		return printJSON(w, struct {
			File       string `json:"file"`
			Operations int    `json:"operations"`
			Servers    int    `json:"servers"`
			Networks   int    `json:"networks"`
		}{s.Where(-1), len(s.Ops()), len(s.Servers()), len(s.Networks())})
	}
	_, err := fmt.Fprintln(w, summary(s)+" in "+f.String())
	return err
}

// isCSV goes by the format where one is named, else by the file's name.
func isCSV(file, format string) bool {
	return format == "csv" || format == "auto" && strings.EqualFold(filepath.Ext(file), ".csv")
}

func readSite(file string) (*site.Site, error) { return readSiteAs(file, isCSV(file, "auto")) }

func readSiteAs(file string, csv bool) (*site.Site, error) {
	parse := site.Parse
	if csv {
		parse = site.ParseCSV
	}
	if file == "-" {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return parse("stdin", data)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; give the file that the site is written in, or - for standard input", err)
	}
	return parse(file, data)
}

// refused says why the inventory did not take a site.
func (f *importFlags) refused(s *site.Site, err error) int {
	if !errors.As(err, new(*clusto.OpError)) {
		return fail("import", code(err), f.advise(doubt(err)))
	}
	how := mend(err)
	if isCSV(f.Site, f.Format) && errors.Is(err, clusto.ErrNotFound) {
		how = "correct its name, or import a YAML file that declares it first"
	}
	fmt.Fprintf(os.Stderr, "%v; %s; nothing was imported\n", s.Explain(err), how)
	return exitUsage
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
