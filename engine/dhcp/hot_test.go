package dhcp

import (
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// hotCases are the ways through Handle, with the verdict that ends each; the
// allocation guard and the benchmark share them.
func hotCases(t testing.TB) []hotCase {
	p := prepared(t, testHost(attr("tftp_server", "10.42.0.7"), attr("tftp_filename", "/pxelinux.0"), attr("domain", "example.org")))
	disabled := testHost()
	disabled.Enabled = false
	pxe := ask{typ: discover, vendor: "PXEClient:Arch:00000:UNDI:002001", opts: []byte{55, 6, 1, 3, 6, 12, 66, 67, 57, 2, 5, 192, 61, 7, 1, 0, 0x1e, 0xc9, 0, 0, 1}}
	truncated := ask{typ: discover, change: func(m []byte) []byte { return append(m[:243], 12, 200, 'x') }}
	relayed := pxe
	relayed.giaddr, relayed.dst, relayed.opts = "10.42.0.1", "10.42.0.5", append([]byte{82, 6, 1, 4, 'p', 'o', 'r', 't'}, pxe.opts...)
	return []hotCase{
		{"offer", p, Fresh, pxe, engine.Reply},
		{"ack", p, Fresh, ask{typ: request, server: "10.42.0.5", requested: "10.42.0.11"}, engine.Reply},
		{"relayed", p, Fresh, relayed, engine.Reply},
		{"nak", p, Fresh, ask{typ: request, requested: "10.42.0.99"}, engine.Nak},
		{"inform", p, Fresh, ask{typ: dhcp4.Inform, ciaddr: "10.42.0.11"}, engine.Reply},
		{"bootp", p, Fresh, ask{}, engine.Reply},
		{"too long", prepared(t, longHost()), Fresh, pxe, engine.Reply},
		{"overloaded", prepared(t, longHost()), Fresh, ask{typ: discover}, engine.Reply},
		{"unknown host", nil, Absent, pxe, engine.UnknownHost},
		{"disabled", prepared(t, disabled), Fresh, pxe, engine.Disabled},
		{"malformed options", p, Fresh, truncated, engine.Malformed},
		{"not for us", p, Fresh, ask{typ: discover, dst: "10.42.0.9"}, engine.NotForUs},
	}
}

type hotCase struct {
	name  string
	p     *Prepared
	state State
	ask   ask
	want  engine.Verdict
}

// run gives a function that handles the case's frame once.
func (c *hotCase) run(t testing.TB) func() engine.Verdict {
	h := handlerFor(c.p, c.state, Site{ServerID: ip4("10.42.0.5")})
	pkt := &engine.Packet{Data: c.ask.frame(), Link: testLink()}
	slot := make([]byte, 0, engine.FrameSize)
	once := func() engine.Verdict {
		_, v := h.Handle(slot, pkt)
		return v
	}
	if v := once(); v != c.want {
		t.Fatalf("%s: %v, want %v", c.name, v, c.want)
	}
	return once
}

func TestHandleNoAllocs(t *testing.T) {
	for _, c := range hotCases(t) {
		once := c.run(t)
		if raceOn {
			continue
		}
		if n := testing.AllocsPerRun(1000, func() { once() }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", c.name, n)
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	for _, c := range hotCases(b) {
		b.Run(c.name, func(b *testing.B) {
			once := c.run(b)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
