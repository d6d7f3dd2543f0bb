package inventory

import (
	"io"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestExportOfTypesThatNoImportTakes: they were written, and the file was refused
// when it was needed.
func TestExportOfTypesThatNoImportTakes(t *testing.T) {
	for _, kind := range []string{"query", "v2", "search", "readyz"} {
		err := Export(io.Discard, []clusto.Object{{Entity: clusto.Entity{Name: "a", Type: kind, Driver: "mine"}}})
		if err == nil || !strings.Contains(err.Error(), `type "`+kind+`" is taken`) || !strings.Contains(err.Error(), "give it another type") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
