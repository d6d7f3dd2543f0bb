package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// told is an error in the words of this program, of one of clusto's kinds.
type told struct {
	text string
	kind error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.kind }

func tell(kind error, format string, args ...any) error {
	return &told{fmt.Sprintf(format, args...), kind}
}

// unknown says that a word names nothing, and what is probably meant.
func (c *choice) unknown(ctx context.Context, inv inventory, what string) error {
	return tell(clusto.ErrNotFound, "%q is no name, MAC or IPv4 address in %s%s", what, c, suggest(ctx, inv, what))
}

// suggestLimit is how long the search for a name that is meant may take.
const suggestLimit = 2 * time.Second

// suggest says which name is probably meant: `; did you mean "s0001"?`, or
// nothing.
func suggest(ctx context.Context, inv inventory, name string) string {
	ctx, cancel := context.WithTimeout(ctx, suggestLimit)
	defer cancel()
	all, err := inv.Entities(ctx, clusto.Query{})
	if err != nil {
		return ""
	}
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.Name
	}
	if near := clusto.Nearest(name, names, max(1, len(name)/4)); near != "" {
		return "; did you mean " + strconv.Quote(near) + "?"
	}
	return ""
}

// entity finds the one entity that is meant by a name, MAC or IPv4 address.
func (c *choice) entity(ctx context.Context, inv inventory, what string) (clusto.Entity, error) {
	all, err := c.entities(ctx, inv, []string{what})
	if err != nil {
		return clusto.Entity{}, err
	}
	return all[0], nil
}

// entities finds those that are meant, one for each word.
func (c *choice) entities(ctx context.Context, inv inventory, words []string) ([]clusto.Entity, error) {
	found, err := inv.Entities(ctx, clusto.Query{Names: words})
	if err != nil {
		return nil, err
	}
	named := map[string]clusto.Entity{}
	for _, e := range found {
		named[e.Name] = e
	}
	out := make([]clusto.Entity, len(words))
	for i, w := range words {
		e, ok := named[w]
		if !ok {
			if e, err = c.addressed(ctx, inv, w); err != nil {
				return nil, err
			}
		}
		out[i] = e
	}
	return out, nil
}

// addressed finds the entity that has a MAC or an address.
func (c *choice) addressed(ctx context.Context, inv inventory, what string) (clusto.Entity, error) {
	_, noMAC := clusto.ParseMAC(what)
	_, noIP := netip.ParseAddr(what)
	var hosts []clusto.Host
	err := clusto.ErrNotFound
	if noMAC == nil || noIP == nil {
		hosts, err = inv.Find(ctx, what)
	}
	switch {
	case errors.Is(err, clusto.ErrNotFound):
		return clusto.Entity{}, c.unknown(ctx, inv, what)
	case err != nil:
		return clusto.Entity{}, err
	}
	groups := byEntity(hosts)
	if len(groups) > 1 || groups[0][0].Ambiguous != nil {
		return clusto.Entity{}, tell(clusto.ErrConflict, "%q is on several entities; name the one that is meant: %s", what, owners(groups))
	}
	return groups[0][0].Entity, nil
}

func owners(groups [][]clusto.Host) string {
	var paths []string
	for _, g := range groups {
		if g[0].Ambiguous != nil {
			paths = append(paths, g[0].Ambiguous...)
		} else {
			paths = append(paths, g[0].Path())
		}
	}
	return strings.Join(paths, ", ")
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, ' ')+1:] }
