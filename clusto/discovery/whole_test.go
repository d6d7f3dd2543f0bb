package discovery

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// stepping makes changes in single steps, and asks after each as DHCP does.
type stepping struct {
	*store.Store
	t     *testing.T
	mac   clusto.MAC
	found []*clusto.Host // after each step since it is found
}

func (s *stepping) Change(ctx context.Context, ops []clusto.Op) (all []clusto.Result, err error) {
	name := ""
	for i, op := range ops {
		for _, of := range []*string{&op.Name, &op.To, &op.Into} {
			if *of == newServer {
				*of = name
			}
		}
		res, err := s.Store.Change(ctx, []clusto.Op{op})
		if err != nil {
			return nil, &clusto.OpError{Index: i, Err: err}
		}
		for _, r := range res {
			r.Index = i
			name, all = cmpOr(name, r.Name), append(all, r)
		}
		h, err := s.Host(ctx, s.mac)
		switch {
		case err == nil:
			s.found = append(s.found, h)
		case !errors.Is(err, clusto.ErrNotFound) || len(s.found) > 0:
			s.t.Errorf("after step %d: %v", i, err)
		}
	}
	return all, nil
}

// TestHostIsFoundWhole: where a server is made in single steps, it was found by its
// MAC before it had its place and its address. Who asked by then was told that there
// is none, for as long as an answer holds.
func TestHostIsFoundWhole(t *testing.T) {
	t.Parallel()
	ev := learnt("00:1e:c9:00:0a:01", 25)
	s := &stepping{Store: openStore(t, originalFile(t)), t: t, mac: ev.MAC}
	l := newLab(t, s, func(c *Config) {
		c.SetMAC, c.SetIP, c.IPManagers = true, true, []string{"net-private0"}
		c.Stepwise = func() bool { return true }
	})
	l.send(ev)
	l.want(map[string]uint64{"created": 1})
	h, err := s.Host(t.Context(), ev.MAC)
	if err != nil || len(h.Addresses) != 1 || len(h.Attrs) == 0 || len(s.found) < 2 {
		t.Fatalf("%+v, %v; found after %d steps", h, err, len(s.found))
	}
	for i, then := range s.found {
		if !reflect.DeepEqual(then, h) {
			t.Errorf("%d steps after it was found first it is\n%+v, in the end\n%+v", i, then, h)
		}
	}
}
