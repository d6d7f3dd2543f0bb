package dhcp

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// TestNakNamedAnotherServerThanTheOffer: on an interface with several
// addresses, the NAK had the first one for its server id and source, while the
// OFFER had the one in the host's network. Busybox' udhcpc ignores such a NAK.
func TestNakNamedAnotherServerThanTheOffer(t *testing.T) {
	l := testLink()
	l.Addrs = slices.Concat([]netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}, l.Addrs)
	l.Local[netip.MustParseAddr("10.9.0.1")] = struct{}{}
	h := handlerFor(prepared(t, testHost()), Fresh, Site{})
	for name, a := range map[string]ask{
		"offer":              {typ: discover},
		"selecting":          {typ: request, server: "10.42.0.5", requested: "10.42.0.99"},
		"init-reboot":        {typ: request, requested: "10.42.0.99"},
		"init-reboot, moved": {typ: request, requested: "10.43.0.11"},
		"rebinding":          {typ: request, ciaddr: "10.42.0.99", src: "10.42.0.99"},
	} {
		out, v := h.Handle(nil, &engine.Packet{Data: a.frame(), Link: l})
		if v != engine.Reply && v != engine.Nak || (v == engine.Nak) != (a.typ == dhcp4.Request) {
			t.Errorf("%s: %v", name, v)
			continue
		}
		r := decode(t, out)
		if want := bytesOf("10.42.0.5"); !bytes.Equal(r.opt(54), want) || !r.ip.SrcIP.Equal(net.IP(want)) {
			t.Errorf("%s: server id %v from %v, want 10.42.0.5", name, net.IP(r.opt(54)), r.ip.SrcIP)
		}
	}
}
