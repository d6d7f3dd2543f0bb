package pgtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewestOfSeveral was the last by letters: 9.6 before 15.
func TestNewestOfSeveral(t *testing.T) {
	was := debians
	defer func() { debians = was }()
	dir := t.TempDir()
	debians = filepath.Join(dir, "*/bin/initdb")
	for _, tt := range []struct{ add, newest string }{{"9.6", "9.6"}, {"9.5", "9.6"}, {"10", "10"}, {"15", "15"}, {"9.10", "15"}} {
		bin := filepath.Join(dir, tt.add, "bin")
		if err := os.MkdirAll(bin, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := programs(); err != nil || got != filepath.Join(dir, tt.newest, "bin") {
			t.Errorf("with %s: %s, %v; want that of %s", tt.add, got, err, tt.newest)
		}
	}
}

// TestStrategyIsNewerThanSomeServers: PostgreSQL before 15 takes the word for a
// mistake, and copies files all the same.
func TestStrategyIsNewerThanSomeServers(t *testing.T) {
	for version, want := range map[int]bool{90624: false, 140011: false, 150000: true, 170002: true} {
		stmt := makes("a", "", version)
		if strings.Contains(stmt, "STRATEGY") != want || !strings.HasPrefix(stmt, "CREATE DATABASE a TEMPLATE template1") {
			t.Errorf("%d: %s", version, stmt)
		}
	}
	New(t)
	if shared.version < 90000 {
		t.Errorf("the server's version is %d", shared.version)
	}
}
