package store

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

func TestHostOfOriginal(t *testing.T) {
	s := original(t, "clusto.sql")
	mac, _ := clusto.ParseMAC("00:1e:c9:00:00:01")
	h, err := s.Host(t.Context(), mac)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.MarshalIndent(h, "", " ")
	t.Logf("%s", b)
	n := 0
	err = s.Hosts(t.Context(), func(h *clusto.Host) error {
		n++
		one, err := s.Host(t.Context(), h.MAC)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(one, h) {
			t.Errorf("%s: alone %+v\nin bulk %+v", h.MAC, one, h)
		}
		return nil
	})
	t.Log(n, err)
}
