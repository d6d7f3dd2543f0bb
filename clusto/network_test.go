package clusto

import (
	"fmt"
	"math/bits"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	for _, c := range []struct{ base, mask, gateway, want string }{
		{"10.0.0.0", "255.255.255.0", "10.0.0.254", "10.0.0.0/24 10.0.0.254"},
		{"10.0.0.7", "24", "", "10.0.0.0/24 invalid IP"}, // masked
		{"10.0.0.0", "/24", "x", "10.0.0.0/24 invalid IP"},
		{"10.0.0.0", "24", "::1", "10.0.0.0/24 invalid IP"},
		{"10.0.0.7", "", "", "10.0.0.7/32 invalid IP"},
		{"10.0.0.7", "255.255.255.255", "", "10.0.0.7/32 invalid IP"},
		{"10.0.0.7", "0.0.0.0", "", "0.0.0.0/0 invalid IP"},
		{"10.0.0.0/16", "", "", "10.0.0.0/16 invalid IP"},
		{"10.0.0.0/16", "255.255.255.255", "", "10.0.0.0/16 invalid IP"}, // the driver's default
		{"10.0.0.0/255.255.0.0", "", "", "10.0.0.0/16 invalid IP"},
		{"10.0.0.0/16", "255.255.255.0", "", "10.0.0.0/24 invalid IP"},
		{base: ""},
		{base: "x", mask: "24"},
		{base: "::", mask: "24"},
		{base: "/24"},
		{base: "10.0.0.0", mask: "33"},
		{base: "10.0.0.0", mask: "-1"},
		{base: "10.0.0.0/33"},
		{base: "10.0.0.0", mask: "255.0.255.0"},
		{base: "10.0.0.0", mask: "0.0.0.255"},
		{base: "10.0.0.0", mask: "ffff::"},
		{base: "10.0.0.0", mask: "x"},
	} {
		got := ""
		if nw := ParseNetwork("lan", c.base, c.mask, c.gateway); nw != nil {
			got = fmt.Sprint(nw.Prefix, " ", nw.Gateway)
			if nw.Name != "lan" {
				t.Errorf("it is called %q", nw.Name)
			}
		}
		if got != c.want {
			t.Errorf("%q, %q, %q: got %q, want %q", c.base, c.mask, c.gateway, got, c.want)
		}
	}
}

// TestMaskLength knows every mask there is, and none with one bit more or less.
func TestMaskLength(t *testing.T) {
	text := func(m uint32) string { return fmt.Sprintf("%d.%d.%d.%d", m>>24, m>>16&255, m>>8&255, m&255) }
	for n := range 33 {
		mask := ^uint32(0) << (32 - n)
		if got, ok := maskLength(text(mask)); got != n || !ok {
			t.Errorf("%s: got %d, %v; want %d", text(mask), got, ok, n)
		}
		for bit := range 32 {
			m := mask ^ 1<<bit
			isMask := bits.OnesCount32(m) == bits.LeadingZeros32(^m)
			if got, ok := maskLength(text(m)); ok != isMask {
				t.Errorf("%s: got %d, %v", text(m), got, ok)
			}
		}
	}
}
