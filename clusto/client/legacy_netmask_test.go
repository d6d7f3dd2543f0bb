package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

// TestOriginalGetsNoBrokenNetmask: the original takes any text, and has no
// address to give then.
func TestOriginalGetsNoBrokenNetmask(t *testing.T) {
	s := newSteps(t, "201001", 1)
	l, err := client.NewLegacy(client.Config{URL: s.url})
	fatal(t, err)
	defer l.Close()
	sub := "property"
	for _, word := range []string{"attr", "add"} {
		op := clusto.Op{Op: word, Name: "net", Key: "netmask", Subkey: &sub, Value: &clusto.Value{Type: clusto.String, Str: "255.0.255.0"}}
		s.reset(nil)
		_, err := l.Change(t.Context(), []clusto.Op{op})
		var at *clusto.OpError
		if !errors.As(err, &at) || !errors.Is(err, clusto.ErrInvalid) || !strings.Contains(err.Error(), `"255.0.255.0" is no netmask`) {
			t.Errorf("%s: %v", word, err)
		}
		if calls := strings.Join(s.reset(nil), "\n"); strings.Contains(calls, "/"+word) || strings.Contains(calls, "/setattr") {
			t.Errorf("%s: it is asked to: %s", word, calls)
		}
	}
}
