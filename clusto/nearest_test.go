package clusto

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"lease_time", "server_id", "workers"}
	for _, tc := range []struct {
		written string
		limit   int
		want    string
	}{
		{"leasetime", 2, "lease_time"}, // one letter dropped
		{"sever_id", 2, "server_id"},
		{"worksre", 2, "workers"}, // two changed
		{"worksre", 1, ""},
		{"workers", 0, "workers"},
		{"", 3, ""},
		{"x", 100, "workers"}, // the fewest edits
	} {
		if got := Nearest(tc.written, words, tc.limit); got != tc.want {
			t.Errorf("Nearest(%q, %d) = %q, want %q", tc.written, tc.limit, got, tc.want)
		}
	}
}
