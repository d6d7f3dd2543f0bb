package discovery

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/clusto/store"
)

// TestOutletsOfBankBB: bb1 was taken for ab1, so that the servers on bank ab,
// ports 17 to 23 of a rack of layout 201001, got no power once those of bank bb
// were there.
func TestOutletsOfBankBB(t *testing.T) {
	s, err := store.Open(t.Context(), ":memory:", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, bank := range []string{"aa", "ab", "ba", "bb"} {
		for n := '1'; n <= '8'; n++ {
			outlet := bank + string(n)
			want := s.PortNumber("powertowerxm", "pwr-nema-5", outlet)
			if got := toPort(rack.Connection{Port: "pwr-nema-5", To: "r1-pwr1", ToNum: outlet}).num; got != want {
				t.Errorf("outlet %s is port %d, want %d", outlet, got, want)
			}
		}
	}
	for text, want := range map[string]int{"48": 48, "xy1": 0, "": 0, "a": 0} {
		if got := toPort(rack.Connection{ToNum: text}).num; got != want {
			t.Errorf("%q is port %d, want %d", text, got, want)
		}
	}
}
