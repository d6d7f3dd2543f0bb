package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
)

const rackCheckAbout = "Prove rack layouts, and draw them: no two things in one unit, outlet or port."

type rackCheckFlags struct {
	Layouts     []string `arg:"" optional:"" complete:"201001,4444,5555" help:"Names of layouts, or files (FILE.json); all that there are if none is given."`
	RackLayouts string   `placeholder:"DIR" help:"Read rack layouts from DIR, beside those built in."`
	output
}

// rackChecked is what rack check prints as JSON.
type rackChecked struct {
	Problems rack.Problems `json:"problems"`
	Layouts  []rack.Plan   `json:"layouts"`
}

func rackCheckMain(args []string) int {
	var flags rackCheckFlags
	if code, ok := parse("rack check", rackCheckAbout, args, &flags); !ok {
		return code
	}
	layouts, problems, err := flags.gather()
	if err != nil {
		return fail("rack check", exitFailed, err)
	}
	if err := flags.print(os.Stdout, layouts, problems); err != nil {
		return fail("rack check", exitFailed, written(err))
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		return exitFailed
	}
	return 0
}

func (f *rackCheckFlags) print(out io.Writer, layouts []*rack.Layout, problems rack.Problems) error {
	if !f.JSON {
		return draw(out, layouts)
	}
	checked := rackChecked{append(rack.Problems{}, problems...), []rack.Plan{}}
	for _, l := range layouts {
		checked.Layouts = append(checked.Layouts, l.Plan())
	}
	return printJSON(out, checked)
}

// gather gives the layouts that are meant, and all that is wrong with them.
func (f *rackCheckFlags) gather() (layouts []*rack.Layout, problems rack.Problems, err error) {
	all, problems, err := layoutsOf(f.RackLayouts)
	if err != nil {
		return nil, nil, err
	}
	if len(f.Layouts) == 0 {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			layouts = append(layouts, all[name])
		}
		return layouts, problems, nil
	}
	for _, what := range f.Layouts {
		if !strings.HasSuffix(what, ".json") && !strings.ContainsRune(what, filepath.Separator) {
			l, err := all.Find(what)
			if err != nil {
				return nil, nil, cmp.Or(asError(problems), err)
			}
			layouts = append(layouts, l)
			continue
		}
		l, wrong := rack.LoadFile(what)
		if problems = append(problems, wrong...); l != nil {
			layouts = append(layouts, l)
		}
	}
	return layouts, problems, nil
}

// asError is nil for none: what is wrong with a folder may be why a layout is
// not found.
func asError(problems rack.Problems) error {
	if len(problems) == 0 {
		return nil
	}
	return problems
}

// layoutsOf gives the built-in layouts and those of a folder, those that cannot
// be built too, and all that is wrong with the folder.
func layoutsOf(dir string) (rack.Layouts, rack.Problems, error) {
	all, err := rack.Load(dir)
	problems := rack.Problems(nil)
	if err == nil || !errors.As(err, &problems) {
		return all, nil, err
	}
	if all, err = rack.Load(""); err != nil {
		return nil, nil, err
	}
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.json"))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		if l, _ := rack.LoadFile(file); l != nil {
			all[l.Name] = l
		}
	}
	return all, problems, nil
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func draw(out io.Writer, layouts []*rack.Layout) error {
	for i, l := range layouts {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := rack.Draw(out, l); err != nil {
			return err
		}
	}
	return nil
}

const rackCreateAbout = "Make a rack of a layout, with switch, console server and power strip in their units and cabled: all of it or nothing."

type rackCreateFlags struct {
	Rack        string `arg:"" help:"Its name. What is there already is left as it is."`
	Layout      string `required:"" complete:"201001,5555,4444" placeholder:"LAYOUT" help:"How it is built: 201001, 5555, 4444, or one of --rack-layouts."`
	RackLayouts string `placeholder:"DIR" help:"Read rack layouts from DIR, beside those built in."`
	In          string `placeholder:"NAME" help:"The datacenter, or what else it stands in."`
	Driver      string `default:"basicrack" placeholder:"DRIVER" help:"The driver of a rack (${default})."`
	SwitchIP    string `name:"switch-ip" placeholder:"ADDRESS" help:"The address that the switch sends its traps from."`
	Discover    bool   `help:"Make servers of the MACs that appear on its switch (snmp/discovery)."`
	output
	writing
	choice
}

func (f *rackCreateFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	layouts, err := rack.Load(f.RackLayouts)
	if err != nil {
		return err
	}
	layout, err := layouts.Find(f.Layout)
	if err != nil {
		return tell(clusto.ErrInvalid, "--layout: %v", err)
	}
	return f.change(ctx, inv, out, f.ops(layout))
}

// ops is the rack, in one batch.
func (f *rackCreateFlags) ops(layout *rack.Layout) []clusto.Op {
	ops := []clusto.Op{{Op: "entity", Name: clusto.NewName(f.Rack), Driver: f.Driver}}
	if f.In != "" {
		ops = append(ops, clusto.Op{Op: "insert", Name: f.Rack, Into: f.In})
	}
	if f.Discover {
		sub := "discovery"
		ops = append(ops, clusto.Op{Op: "attr", Name: f.Rack, Key: "snmp", Subkey: &sub, Value: &clusto.Value{Type: clusto.Int, Int: 1}})
	}
	ops = append(ops, layout.Infrastructure(f.Rack)...)
	if f.SwitchIP != "" {
		ops = append(ops, clusto.Op{Op: "bind", Name: layout.Switch(f.Rack), IP: f.SwitchIP})
	}
	return ops
}
