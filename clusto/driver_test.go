package clusto

import (
	"fmt"
	"strings"
	"testing"
)

// TestPortNumber: the outlets of a power tower count on from bank to bank, and
// have numbers too.
func TestPortNumber(t *testing.T) {
	for i, bank := range []string{"aa", "ab", "ba", "bb"} {
		for k := 1; k <= 8; k++ {
			name := fmt.Sprint(bank, k)
			for _, text := range []string{name, "." + name, strings.ToUpper(name)} {
				if n, is := PortNumber(PowerTower, OutletType, text); n != 8*i+k || is != name {
					t.Errorf("%s: got %d, %q; want %d, %q", text, n, is, 8*i+k, name)
				}
			}
		}
	}
	for _, c := range []struct {
		driver, kind, text string
		want               int
		name               string
	}{
		{PowerTower, OutletType, "5", 5, "5"},
		{PowerTower, OutletType, "32", 32, "32"},
		{PowerTower, OutletType, "05", 5, "5"},
		{PowerTower, "nic-eth", "1", 1, "1"},
		{PowerTower, "nic-eth", "aa1", 0, ""}, // no outlet
		{"basicpowerstrip", OutletType, "aa1", 0, ""},
		{"basicpowerstrip", OutletType, "24", 24, "24"},
		{"nosuchdriver", OutletType, "99", 99, "99"},
		{"basicserver", "nic-eth", "0", 0, "0"},
	} {
		if n, is := PortNumber(c.driver, c.kind, c.text); n != c.want || is != c.name {
			t.Errorf("%s %s %q: got %d, %q; want %d, %q", c.driver, c.kind, c.text, n, is, c.want, c.name)
		}
	}
	for _, text := range []string{"", "a", "aa", "aa9", "aa0", "a a1", "ca1", " a1", "xy1", "aa10", "-1", "1.5", "4294967297"} {
		if n, is := PortNumber(PowerTower, OutletType, text); n != 0 || is != "" {
			t.Errorf("%q: got %d, %q; want none", text, n, is)
		}
	}
}
