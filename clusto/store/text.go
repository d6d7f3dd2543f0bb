package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

// checkTexts refuses an operation with a text that no database holds: not
// UTF-8, or with a NUL character. SQLite would take it, and PostgreSQL fail.
func checkTexts(op *clusto.Op) error {
	texts := [][2]string{
		{"name", op.Name},
		{"driver", op.Driver},
		{"type", op.Type},
		{"key", op.Key},
		{"into", op.Into},
		{"ip", op.IP},
		{"osport", op.OSPort},
		{"port", op.Port},
		{"num", op.Num},
		{"to", op.To},
		{"to_num", op.ToNum},
	}
	if op.Subkey != nil {
		texts = append(texts, [2]string{"subkey", *op.Subkey})
	}
	if op.Value != nil {
		texts = append(texts, [2]string{"value", op.Value.Str})
	}
	for i := range op.Values {
		texts = append(texts, [2]string{"values", op.Values[i].Str})
	}
	for _, t := range texts {
		if !utf8.ValidString(t[1]) || strings.Contains(t[1], "\x00") {
			return fmt.Errorf("%s %.40q is no UTF-8 text, or has a NUL character: %w", t[0], t[1], clusto.ErrInvalid)
		}
	}
	return nil
}
