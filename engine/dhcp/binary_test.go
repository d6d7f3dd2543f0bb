package dhcp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
)

// answers gives what p makes of requests of every kind, one after the other.
func answers(t *testing.T, p *Prepared) (all []byte) {
	t.Helper()
	wishes := dhcp4.AppendOption(nil, dhcp4.OptParameterList, []byte{67, 66, 15, 3, 1})
	for _, a := range []ask{
		{typ: dhcp4.Discover}, {typ: dhcp4.Discover, vendor: "PXEClient:Arch:00007:UNDI:003001"}, {}, // BOOTP
		{typ: dhcp4.Inform, ciaddr: "10.42.0.11"}, {typ: dhcp4.Request, requested: "10.42.0.11", opts: wishes},
	} {
		_, out := answerTo(t, p, Site{}, a)
		all = append(all, out...)
	}
	return all
}

// saved gives hosts of every kind that there is to keep.
func saved(t testing.TB) map[string]*Prepared {
	t.Helper()
	all := map[string]*Prepared{}
	for name, change := range map[string]func(*clusto.Host){
		"a host":        func(*clusto.Host) {},
		"disabled":      func(h *clusto.Host) { h.Enabled, h.Why = false, "dhcp/enabled is 0" },
		"ambiguous":     func(h *clusto.Host) { h.Ambiguous = []string{"/server/a", "/server/b"} },
		"no address":    func(h *clusto.Host) { h.Addresses = nil },
		"boots by kind": func(h *clusto.Host) { h.Attrs = append(h.Attrs, attr("tftp_filename-efi64", "/grub.efi")) },
	} {
		h := testHost()
		change(h)
		all[name], _ = Prepare(h, PrepareConfig{})
	}
	return all
}

func TestPreparedSurvivesAsBytes(t *testing.T) {
	for name, p := range saved(t) {
		b, err := p.AppendBinary([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.TrimPrefix(b, []byte("before"))
		var q Prepared
		if err := q.UnmarshalBinary(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if q.Verdict != p.Verdict || q.name != p.name || q.why != p.why || !bytes.Equal(answers(t, &q), answers(t, p)) {
			t.Errorf("%s: %+v\nwant %+v", name, q, *p)
		}
		for n := range b {
			if q.UnmarshalBinary(b[:n]) == nil {
				t.Errorf("%s: the first %d of %d bytes are taken", name, n, len(b))
			}
		}
		if q.UnmarshalBinary(append(b, 0)) == nil {
			t.Errorf("%s: a byte too many is taken", name)
		}
	}
}

// TestBrokenBytesMakeNoBrokenHost: whatever is taken can be answered from.
func TestBrokenBytesMakeNoBrokenHost(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, p := range saved(t) {
		good, _ := p.AppendBinary(nil)
		taken := 0
		for range 300 {
			b := bytes.Clone(good)
			for range 1 + rnd.IntN(3) {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
			var q Prepared
			if q.UnmarshalBinary(b) == nil {
				taken++
				answers(t, &q)
			}
		}
		if taken == 0 {
			t.Errorf("%s: nothing was taken: the test shows nothing", name)
		}
	}
}

// TestPreparedFlagByte: any byte but 1 was read as 0, and so a damaged one was taken.
func TestPreparedFlagByte(t *testing.T) {
	for name, p := range saved(t) {
		b, _ := p.AppendBinary(nil)
		for b[1] = 2; b[1] < 200; b[1] += 50 {
			if new(Prepared).UnmarshalBinary(b) == nil {
				t.Errorf("%s: a flag of %d is taken", name, b[1])
			}
		}
	}
}
