package client_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestObjects: what comes over HTTP is what the store says, and attributes too.
func TestObjects(t *testing.T) {
	s := originalStore(t)
	c, _ := dial(t, s)
	var want []clusto.Object
	if err := s.Objects(t.Context(), func(o *clusto.Object) error { want = append(want, *o); return nil }); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := c.Objects(t.Context(), func(got *clusto.Object) error {
		if n < len(want) && !reflect.DeepEqual(*got, want[n]) {
			t.Errorf("object %d:\n%+v\nwant\n%+v", n, *got, want[n])
		}
		n++
		for _, q := range []clusto.AttrQuery{{}, {Key: "dhcp"}, {Hidden: true}, {Merge: true}, {Merge: true, Hidden: true, Key: "_contains"}} {
			q.Name = got.Name
			here, err := s.Attrs(t.Context(), q)
			if err != nil {
				return err
			}
			if there, err := c.Attrs(t.Context(), q); err != nil || !reflect.DeepEqual(there, here) {
				t.Errorf("%+v:\n%+v\nwant\n%+v, %v", q, there, here, err)
			}
		}
		return nil
	})
	if err != nil || n != len(want) || n != 51 {
		t.Errorf("%d objects of %d, %v", n, len(want), err)
	}
	stop := errors.New("enough")
	if err := c.Objects(t.Context(), func(*clusto.Object) error { return stop }); !errors.Is(err, stop) || errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("a callback that fails: %v", err)
	}
	for name, kind := range map[string]error{"nobody & co": clusto.ErrNotFound, "no/body": clusto.ErrNotFound} {
		if _, err := c.Attrs(t.Context(), clusto.AttrQuery{Name: name}); !errors.Is(err, kind) || !strings.Contains(err.Error(), name) {
			t.Errorf("attributes of %s: %v", name, err)
		}
	}
}
