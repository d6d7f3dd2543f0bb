package httpd

import (
	"slices"
	"testing"
)

// TestKindsOfCalls: what lasts has no time limit, and ends with the server; what
// tells of health has no limit at all; everything else has both.
func TestKindsOfCalls(t *testing.T) {
	lasting := []string{"GET /v2/hosts", "GET /v2/objects", "GET /v2/changes"}
	free := []string{"GET /readyz", "GET /v2/version", "GET /v2/openapi.json"}
	of := Config{}.withDefaults().Limits.limits()
	for _, pattern := range slices.Concat(Patterns(), lasting) {
		l := of(pattern)
		switch {
		case slices.Contains(free, pattern):
			if l != nil {
				t.Errorf("%s has a limit", pattern)
			}
		case l == nil || l.gate.size() < 1:
			t.Errorf("%s has no limit", pattern)
		case slices.Contains(lasting, pattern) != (l.time == 0) || l.ends != (l.time == 0):
			t.Errorf("%s may take %v, and ends with the server: %v", pattern, l.time, l.ends)
		}
	}
}
