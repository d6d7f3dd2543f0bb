package store

import (
	"errors"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestTextNoDatabaseHolds was stored by SQLite, and the database's failure on
// PostgreSQL.
func TestTextNoDatabaseHolds(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, clusto.Op{Op: "entity", Name: "a", Driver: "pool"})
		sub := "s\x00"
		for _, op := range []clusto.Op{
			{Op: "entity", Name: "b\x00", Driver: "pool"},
			{Op: "entity", Name: "b\xff", Driver: "pool"},
			{Op: "attr", Name: "a", Key: "k", Value: &clusto.Value{Type: clusto.String, Str: "v\x00"}},
			{Op: "raw", Name: "a", Key: "k", Values: []clusto.Value{{Type: clusto.String, Str: "v\xff"}}},
			{Op: "del", Name: "a", Key: "k", Subkey: &sub},
			{Op: "delete", Name: "b\x00"},
		} {
			if err := s.Apply(t.Context(), []clusto.Op{op}); !errors.Is(err, clusto.ErrInvalid) {
				t.Errorf("%+v: %v", op, err)
			}
		}
	})
}
