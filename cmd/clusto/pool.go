package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

var poolCommand = group("pool", "Show and change pools and what is in them.",
	asks[poolShowFlags]("pool show", "Show a pool with its tree; \"clusto show POOL\" tells more."),
	asks[poolListFlags]("pool list", "List the names of all pools, or of what is in all of the pools that are named."),
	asks[poolCreateFlags]("pool create", "Make an empty pool."),
	asks[poolDeleteFlags]("pool delete", "Delete a pool with its attributes; what is in it stays."),
	asks[poolInsertFlags]("pool insert", "Put things into a pool."),
	asks[poolRemoveFlags]("pool remove", "Take things out of a pool."))

// onePool is the argument of most of these commands.
type onePool struct {
	Pool string `arg:"" complete:"pool" help:"The pool's name."`
}

// pool finds a pool.
func (c *choice) pool(ctx context.Context, inv inventory, name string) (clusto.Object, error) {
	return c.container(ctx, inv, name, "pool")
}

// container finds an entity of a type.
func (c *choice) container(ctx context.Context, inv inventory, name, kind string) (clusto.Object, error) {
	e, err := c.entity(ctx, inv, name)
	if err != nil {
		return clusto.Object{}, err
	}
	if e.Type != kind {
		return clusto.Object{}, tell(clusto.ErrConflict, "%s is no %s", e.Path(), kind)
	}
	return inv.Object(ctx, e.Name)
}

type poolShowFlags struct {
	onePool
	Depth int `placeholder:"N" help:"Levels to show, 0 for all (${default})." default:"0"`
	output
	reading
	choice
}

func (f *poolShowFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	o, err := f.pool(ctx, inv, f.Pool)
	if err != nil {
		return err
	}
	tree, err := growTree(ctx, inv, &o, max(0, f.Depth))
	if err != nil {
		return err
	}
	if f.JSON {
		return printJSON(out, tree)
	}
	columns(out, "", tree.rows(0))
	return nil
}

type poolListFlags struct {
	Pools     []string `arg:"" optional:"" complete:"pool" help:"Pools; what is listed is in all of them."`
	Recursive bool     `short:"r" help:"What is in the pools in it, too."`
	Type      string   `placeholder:"TYPE" help:"Only what is of this type."`
	output
	reading
	choice
}

// entityList is what the lists print as JSON.
type entityList struct {
	Entities []clusto.Entity `json:"entities"`
}

func (f *poolListFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	paths, err := f.members(ctx, inv)
	if err != nil {
		return err
	}
	list := entityList{Entities: []clusto.Entity{}}
	for _, path := range paths {
		kind, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if f.Type == "" || f.Type == kind {
			list.Entities = append(list.Entities, clusto.Entity{Name: name, Type: kind})
		}
	}
	if f.JSON {
		return f.printDrivers(ctx, inv, out, list)
	}
	for _, e := range list.Entities {
		fmt.Fprintln(out, e.Name)
	}
	return nil
}

// members gives the paths of what is in all of the pools, in the order of the
// first, or of all pools if none is named.
func (f *poolListFlags) members(ctx context.Context, inv inventory) (paths []string, err error) {
	if len(f.Pools) == 0 {
		all, err := inv.Entities(ctx, clusto.Query{Types: []string{"pool"}})
		for _, e := range all {
			paths = append(paths, e.Path())
		}
		return paths, err
	}
	for i, name := range f.Pools {
		o, err := f.pool(ctx, inv, name)
		if err != nil {
			return nil, err
		}
		in, err := f.membersOf(ctx, inv, &o)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			paths = in
			continue
		}
		also := make(map[string]bool, len(in))
		for _, path := range in {
			also[path] = true
		}
		paths = slices.DeleteFunc(paths, func(path string) bool { return !also[path] })
	}
	return paths, nil
}

// membersOf gives the paths of what is in a pool, each once.
func (f *poolListFlags) membersOf(ctx context.Context, inv inventory, o *clusto.Object) ([]string, error) {
	if !f.Recursive {
		return contents(o), nil
	}
	tree, err := growTree(ctx, inv, o, 0)
	if err != nil {
		return nil, err
	}
	var paths []string
	seen := map[string]bool{}
	var walk func(b *branch)
	walk = func(b *branch) {
		for _, in := range b.Contents {
			path := clusto.Entity{Name: in.Name, Type: in.Type}.Path()
			if !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
			walk(in)
		}
	}
	walk(tree)
	return paths, nil
}

// printDrivers adds the drivers, which the paths do not tell.
func (f *poolListFlags) printDrivers(ctx context.Context, inv inventory, out io.Writer, list entityList) error {
	all, err := inv.Entities(ctx, clusto.Query{})
	if err != nil {
		return err
	}
	drivers := make(map[string]string, len(all))
	for _, e := range all {
		drivers[e.Name] = e.Driver
	}
	for i := range list.Entities {
		list.Entities[i].Driver = drivers[list.Entities[i].Name]
	}
	return printJSON(out, list)
}

type poolCreateFlags struct {
	Pool   string `arg:"" help:"The pool's name."`
	Driver string `default:"pool" complete:"pool,unique_pool,exclusive_pool" placeholder:"DRIVER" help:"pool, unique_pool or exclusive_pool (${default})."`
	output
	writing
	choice
}

// Validate checks what kong cannot.
func (f *poolCreateFlags) Validate() error {
	if !slices.Contains([]string{"pool", "unique_pool", "exclusive_pool"}, f.Driver) {
		return fmt.Errorf("--driver: %q makes no pool; write pool, unique_pool or exclusive_pool", f.Driver)
	}
	return nil
}

func (f *poolCreateFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	return f.change(ctx, inv, out, []clusto.Op{{Op: "create", Name: clusto.NewName(f.Pool), Driver: f.Driver}})
}

type poolDeleteFlags struct {
	onePool
	Yes bool `short:"y" help:"Delete it though there are things in it."`
	output
	writing
	choice
}

func (f *poolDeleteFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	o, err := f.pool(ctx, inv, f.Pool)
	if err != nil {
		return err
	}
	if n := len(contents(&o)); n > 0 && !f.Yes {
		return tell(clusto.ErrConflict, "%s holds %s; give --yes to delete it nevertheless", o.Path(), count(n, "thing"))
	}
	return f.change(ctx, inv, out, []clusto.Op{{Op: "delete", Name: o.Name}})
}

// poolMembers are the arguments of pool insert and pool remove.
type poolMembers struct {
	onePool
	Objects []string `arg:"" complete:"entity" help:"Names, MACs or IPv4 addresses of what is meant."`
	output
	writing
	choice
}

type (
	poolInsertFlags struct{ poolMembers }
	poolRemoveFlags struct{ poolMembers }
)

func (f *poolInsertFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	pool, err := f.pool(ctx, inv, f.Pool)
	if err != nil {
		return err
	}
	found, err := f.entities(ctx, inv, f.Objects)
	if err != nil {
		return err
	}
	var ops []clusto.Op
	for _, e := range found {
		ops = append(ops, clusto.Op{Op: "insert", Name: e.Name, Into: pool.Name})
	}
	return f.change(ctx, inv, out, ops)
}

func (f *poolRemoveFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	pool, err := f.pool(ctx, inv, f.Pool)
	if err != nil {
		return err
	}
	ops, err := f.removals(ctx, inv, &pool, f.Objects)
	if err != nil {
		return err
	}
	return f.change(ctx, inv, out, ops)
}

// removals takes what is meant out of a container; all of it has to be in it.
func (c *choice) removals(ctx context.Context, inv inventory, from *clusto.Object, words []string) (ops []clusto.Op, err error) {
	found, err := c.entities(ctx, inv, words)
	if err != nil {
		return nil, err
	}
	in := map[string]bool{}
	for _, path := range contents(from) {
		in[path] = true
	}
	for _, e := range found {
		if !in[e.Path()] {
			return nil, tell(clusto.ErrNotFound, "%s is not in %s; nothing was removed", e.Path(), from.Path())
		}
		ops = append(ops, clusto.Op{Op: "remove", Name: e.Name, Into: from.Name})
	}
	return ops, nil
}
