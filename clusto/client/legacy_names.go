package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/clusto/clusto-engine/clusto"
)

// allocate makes an entity with the first name of a manager that is free. The
// original hands out no names, so they are tried.
func (c *steps) allocate(ctx context.Context, i int, op *clusto.Op) error {
	if op.Driver == "" {
		return fmt.Errorf("allocate from %q: the original clusto-httpd can hand out no addresses; leave that out, or use this project's: %w", op.Name, clusto.ErrInvalid)
	}
	_, s, err := c.l.show(ctx, op.Name)
	if err != nil {
		return err
	}
	names := namesOf(s.attrs("", 0))
	if e, err := c.bare(ctx, names, op.Driver); err != nil || e.Name != "" {
		if err == nil {
			c.took(i, op, e)
		}
		return err
	}
	next, err := c.lastOf(ctx, names)
	if err != nil {
		return err
	}
	for ; ; next++ {
		name, ok := names.name(next)
		if !ok {
			return fmt.Errorf("allocate from %q: its names of %d digits are used up: %w", op.Name, names.digits, clusto.ErrConflict)
		}
		c.tried = append(c.tried, name)
		a, err := c.l.write(ctx, http.MethodPost, "/"+url.PathEscape(op.Driver)+"/"+url.PathEscape(name), nil)
		if err != nil {
			return err
		}
		if a.status == http.StatusConflict {
			c.tried = c.tried[:len(c.tried)-1]
			continue
		}
		if a.status != http.StatusCreated {
			return fmt.Errorf("make %s %q: %w", op.Driver, name, a.refusal())
		}
		e, s, err := c.l.show(ctx, name)
		if err != nil {
			return err
		}
		if s.Driver != op.Driver {
			return fmt.Errorf("make %s %q: the original made a %s: %w", op.Driver, name, s.Driver, clusto.ErrConflict)
		}
		c.took(i, op, e)
		return nil
	}
}

// took notes the entity that an operation made.
func (c *steps) took(i int, op *clusto.Op, e clusto.Entity) {
	c.made = append(c.made, e)
	c.labels[op.As] = e.Name
	c.results = append(c.results, clusto.Result{Index: i, Name: e.Name})
}

// leftovers are the names of entities that failed lists may have made.
type leftovers struct {
	mu    sync.Mutex
	names []string
}

// rememberLeft bounds them: those of more failures than that stay bare.
const rememberLeft = 1024

func (f *leftovers) add(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range names {
		if len(f.names) < rememberLeft && !slices.Contains(f.names, n) {
			f.names = append(f.names, n)
		}
	}
}

func (f *leftovers) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.names)
}

func (f *leftovers) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = slices.DeleteFunc(f.names, func(n string) bool { return n == name })
}

// bare finds an entity that an earlier list made and got no further with, or
// whose answer got lost: nothing is known of it but its name.
func (c *steps) bare(ctx context.Context, names naming, driver string) (clusto.Entity, error) {
	for _, name := range c.l.left.all() {
		if names.base == "" || !strings.HasPrefix(name, names.base) {
			continue
		}
		e, s, err := c.l.show(ctx, name)
		switch {
		case err != nil && !errors.Is(err, clusto.ErrNotFound):
			return clusto.Entity{}, err
		case err == nil && s.Driver != driver:
			continue // for one of that driver
		}
		c.l.left.drop(name)
		if err == nil && len(s.Parents) == 0 && !slices.ContainsFunc(s.Attrs, isOwn) {
			c.tried = append(c.tried, name)
			return e, nil
		}
	}
	return clusto.Entity{}, nil
}

// naming is how a name manager makes names.
type naming struct {
	base   string
	digits int
	zeros  bool
	first  int
}

func namesOf(attrs []clusto.Attr) naming {
	n := naming{digits: 2, zeros: true, first: 1}
	number := func(a *clusto.Attr, into *int) {
		if v, err := strconv.Atoi(a.Value.Text()); err == nil {
			*into = v
		}
	}
	for i := range attrs {
		a := &attrs[i]
		if a.Sub() != "property" {
			continue
		}
		switch a.Key {
		case "basename":
			n.base = a.Value.Text()
		case "digits":
			number(a, &n.digits)
		case "leadingZeros":
			n.zeros = a.Value.True()
		case "next":
			number(a, &n.first)
		}
	}
	return n
}

func (n naming) name(i int) (string, bool) {
	text := strconv.Itoa(i)
	if len(text) > n.digits {
		return "", false
	}
	if n.zeros {
		text = strings.Repeat("0", n.digits-len(text)) + text
	}
	return n.base + text, true
}

// lastOf gives the number behind the highest name that exists.
func (c *steps) lastOf(ctx context.Context, n naming) (int, error) {
	next := n.first
	if n.base == "" {
		return next, nil
	}
	paths, err := c.l.entities(ctx, c.l.c.cfg.Timeout, "/search?q="+url.QueryEscape(n.base))
	for _, p := range paths {
		e, _ := splitPath(p)
		text, ok := strings.CutPrefix(e.Name, n.base)
		if i, err := strconv.Atoi(text); ok && err == nil && len(text) <= n.digits {
			next = max(next, i+1)
		}
	}
	return next, err
}

// isOwn tells the attributes that were given to an entity from those that its
// driver gives to all.
func isOwn(a wireAttr) bool { return a.Subkey == nil || *a.Subkey != "property" }
