package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
)

// exported: all that there is makes an equal inventory of an empty one, of which an
// export is the same, and leaves the one that it is of as it was; or the export says, thing by
// thing, what no file can hold (see justified), and is none.
func (s *site) exported(tb testing.TB, all []clusto.Object) (ok bool) {
	tb.Helper()
	var first, second bytes.Buffer
	refused := inventory.Export(&first, all)
	if err := justified(all, refused); err != nil {
		tb.Error(err)
	}
	if refused != nil {
		return false
	}
	site, err := inventory.Parse("export.yaml", first.Bytes())
	if err != nil {
		tb.Errorf("what was exported cannot be read: %v\n%s", err, first.Bytes())
		return true
	}
	if version := s.now(tb); s.again(tb, site.Ops()) != version {
		tb.Errorf("an import of its own export changes an inventory: %s", first.Bytes())
	}
	defer s.empty.reset(tb)
	if _, err := s.empty.store.Change(tb.Context(), site.Ops()); err != nil {
		tb.Errorf("what was exported cannot be imported: %v\n%s", site.Explain(err), first.Bytes())
		return true
	}
	copied := objects(tb, s.empty.store)
	if err := inventory.Export(&second, copied); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		tb.Errorf("%v: exported\n%s\nand once more, of what was imported,\n%s", err, first.Bytes(), second.Bytes())
	}
	if got, want := contents(tb, s.empty.store, copied), contents(tb, s.store, all); !slices.Equal(got, want) {
		tb.Errorf("%s\nmade\n%s\nof\n%s", first.Bytes(), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return true
}

// contents writes down all that an import of an export has to make: but for ids, versions, and
// the order in which attributes of different names were written (see inventory.Export).
func contents(tb testing.TB, s *store.Store, all []clusto.Object) (lines []string) {
	tb.Helper()
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		return string(b)
	}
	name := func(a clusto.Attr) string { return text([]any{a.Key, a.Subkey, a.Number}) }
	for i := range all {
		o := all[i]
		o.Attrs = withoutIDs(o.Attrs)
		slices.SortStableFunc(o.Attrs, func(a, b clusto.Attr) int { return strings.Compare(name(a), name(b)) })
		lines = append(lines, text(o))
	}
	entities := len(lines)
	if err := s.Hosts(tb.Context(), func(h *clusto.Host) error {
		h.Attrs = withoutIDs(h.Attrs)
		lines = append(lines, text(h))
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	slices.Sort(lines[entities:]) // they come in any order
	return lines
}

func withoutIDs(attrs []clusto.Attr) []clusto.Attr {
	attrs = slices.Clone(attrs)
	for i := range attrs {
		attrs[i].ID = 0
	}
	return attrs
}
