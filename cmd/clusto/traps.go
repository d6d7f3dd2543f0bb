package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/cmd/internal/daemon"
	"github.com/clusto/clusto-engine/engine/journal"
)

const trapsAbout = "List the dead letters of clusto-snmptrapd: what nothing could be made of; have them tried again, or drop them."

type trapsFlags struct {
	Action  string  `arg:"" optional:"" complete:"retry,drop" help:"retry has dead letters tried again, within a second if the daemon runs, else when it starts; drop forgets them. Without it they are listed."`
	Numbers []int64 `arg:"" optional:"" help:"Those of the list; all of them if none is given."`
	Journal string  `default:"/var/lib/clusto/clusto-snmptrapd.journal" placeholder:"FILE" help:"The daemon's journal. Unset: the one that section snmp of services.conf names (${default})."`
	Config  string  `key:"-" placeholder:"FILE" help:"Read FILE instead of the first services.conf that exists in /etc/clusto, ~/.clusto and the working directory."`
	JSON    bool    `key:"-" name:"json" help:"Print JSON."`
}

// Validate checks what kong cannot.
func (f *trapsFlags) Validate() error {
	if f.Action != "" && f.Action != "retry" && f.Action != "drop" {
		return fmt.Errorf("<action>: %q is none; write retry or drop, or nothing to list the dead letters", f.Action)
	}
	return nil
}

func trapsMain(args []string) int {
	var flags trapsFlags
	program := daemon.Program{Name: "clusto traps", About: trapsAbout, Section: "snmp", Part: true}
	if code, ok := parseAs(program, args, &flags); !ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := flags.run(ctx, os.Stdout, os.Stderr); errors.Is(err, journal.ErrConfig) {
		return fail("traps", exitUsage, fmt.Errorf("%w; --journal says which one is meant", err))
	} else if err != nil {
		return fail("traps", exitFailed, err)
	}
	return 0
}

// run does what is asked. What is wrong with the journal, but keeps it from nothing, is
// told in errs.
func (f *trapsFlags) run(ctx context.Context, out, errs io.Writer) error {
	j, err := journal.Open(ctx, journal.Config{File: f.Journal, Look: true})
	if err != nil {
		return err
	}
	defer j.Close() //nolint:errcheck // all that was changed is on disk
	letters, err := j.Letters(ctx, math.MaxInt32)
	if err != nil {
		return err
	}
	if n := j.Stats().Damaged; n > 0 {
		fmt.Fprintf(errs, "clusto traps: %s in %s cannot be read any more: the file is damaged, and clusto-snmptrapd drops what is lost\n", count(n, "dead letter"), f.Journal)
	}
	if f.Action == "" {
		return f.list(out, letters)
	}
	if err := f.known(letters); err != nil {
		return err
	}
	change, what := j.Retry, "to be tried again"
	if f.Action == "drop" {
		change, what = j.Drop, "dropped"
	}
	n, err := change(ctx, f.Numbers...)
	if err != nil {
		return err
	}
	if f.JSON {
		err = json.NewEncoder(out).Encode(map[string]int{f.Action: n})
	} else {
		_, err = fmt.Fprintf(out, "%s %s\n", count(n, "dead letter"), what)
	}
	return written(err)
}

// known refuses numbers that no dead letter has: nothing is done then.
func (f *trapsFlags) known(letters []journal.Dead) error {
	for _, n := range f.Numbers {
		if !slices.ContainsFunc(letters, func(d journal.Dead) bool { return d.Seq == n }) {
			return fmt.Errorf("there is no dead letter %d in %s; \"clusto traps\" lists them: nothing was changed", n, f.Journal)
		}
	}
	return nil
}

// letter is a dead letter as JSON has it.
type letter struct {
	Number  int64      `json:"number"`
	When    time.Time  `json:"when"`
	Died    time.Time  `json:"died"`
	Switch  netip.Addr `json:"switch"`
	Port    uint16     `json:"port"`
	VLAN    uint16     `json:"vlan"`
	MAC     clusto.MAC `json:"mac"`
	Outcome string     `json:"outcome"`
	Reason  string     `json:"reason"`
}

func (f *trapsFlags) list(out io.Writer, dead []journal.Dead) error {
	letters := make([]letter, 0, len(dead))
	rows := [][]string{{"number", "when", "switch", "port", "vlan", "mac", "outcome", "reason"}}
	for _, d := range dead {
		l := letter{
			d.Seq, time.Unix(0, d.At), d.Died, netip.AddrFrom4(d.Switch), d.Port, d.VLAN, d.MAC, d.Outcome, d.Reason,
		}
		letters = append(letters, l)
		rows = append(rows, []string{
			strconv.FormatInt(l.Number, 10), l.When.Format(time.DateTime), l.Switch.String(), strconv.Itoa(int(l.Port)),
			strconv.Itoa(int(l.VLAN)), l.MAC.String(), l.Outcome, l.Reason,
		})
	}
	if f.JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return written(enc.Encode(map[string][]letter{"letters": letters}))
	}
	if len(rows) == 1 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return written(err)
	}
	var b strings.Builder
	columns(&b, "", rows)
	_, err := io.WriteString(out, b.String())
	return written(err)
}

// written says where the output was to go.
func written(err error) error {
	if err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}
