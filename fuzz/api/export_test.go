package api

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
)

// refused are the sentences by which an export says what no file can hold.
var refused = regexp.MustCompile(`^(entity ".*": (its name has .*; rename it|driver ".*" and type ".*": want lower-case letters, digits and _|.*, and so no import makes one; give it another type|attribute .* has .*; correct or delete it)|two entities (are .*|have the name ".*"); rename one of them|and \d+ more)$`)

// exported: all that there is makes an equal inventory of an empty one, of which an
// export is the same; or the export says, thing by thing, what no file can hold.
func (s *site) exported(tb testing.TB, all []clusto.Object) {
	tb.Helper()
	var first, second bytes.Buffer
	if err := inventory.Export(&first, all); err != nil {
		for line := range strings.Lines(err.Error()) {
			if !refused.MatchString(strings.TrimSuffix(line, "\n")) {
				tb.Errorf("an export ended with %q", line)
			}
		}
		return
	}
	site, err := inventory.Parse("export.yaml", first.Bytes())
	if err != nil {
		tb.Errorf("what was exported cannot be read: %v\n%s", err, first.Bytes())
		return
	}
	defer s.empty.reset(tb)
	if _, err := s.empty.store.Change(tb.Context(), site.Ops()); err != nil {
		tb.Errorf("what was exported cannot be imported: %v\n%s", site.Explain(err), first.Bytes())
		return
	}
	if err := inventory.Export(&second, objects(tb, s.empty.store)); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		tb.Errorf("%v: exported\n%s\nand once more, of what was imported,\n%s", err, first.Bytes(), second.Bytes())
	}
}
