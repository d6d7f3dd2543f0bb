package dhcp

import (
	"net/netip"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// expected is what RFC 2131 section 4.3 wants of a request, over what the inventory has:
// who is known, enabled and has an address in the network of the request is answered, and
// a NAK goes to who asks for an address that is not his, and to nobody else. It takes
// from the decision who answers, and holds that against what the request and the site say.
func (c *check) expected() engine.Verdict {
	c.identity()
	switch own := c.own(); {
	case len(c.h.Ambiguous) > 0:
		return engine.Ambiguous
	case !c.h.Enabled:
		return engine.Disabled
	case len(own) == 0:
		return engine.NoAddress
	}
	server := c.optAddr(54)
	switch c.r.Type {
	case dhcp4.Request, dhcp4.Decline, dhcp4.Release:
		if server != [4]byte{} && server != c.d.Server && !c.local(server) {
			return engine.OtherServer
		}
	}
	switch c.r.Type {
	case dhcp4.Decline:
		return engine.Declined
	case dhcp4.Release:
		return engine.Released
	case dhcp4.Request:
		return c.expectedOfRequest()
	case dhcp4.Inform:
		if c.r.Msg.CIAddr() == [4]byte{} {
			return engine.Malformed
		}
	}
	if !slices.ContainsFunc(c.own(), c.fits) {
		return engine.NoAddress
	}
	return c.sent(engine.Reply)
}

// expectedOfRequest: section 4.3.2. Who has an address renews it wherever he is; who
// boots anew has to be in its network.
func (c *check) expectedOfRequest() engine.Verdict {
	none := [4]byte{}
	ip := c.wanted()
	if ip == none {
		return engine.Malformed
	}
	own := slices.DeleteFunc(c.own(), func(a clusto.Address) bool { return a.IP.As4() != ip })
	initReboot := c.optAddr(54) == none && c.r.Msg.CIAddr() == none
	if len(own) == 0 || initReboot && !slices.ContainsFunc(own, c.fits) {
		return c.sent(engine.Nak)
	}
	return c.sent(engine.Reply)
}

// sent is what becomes of an answer: there has to be an address to send it from, and a NAK
// needs fresh data, and a client that can take one.
func (c *check) sent(v engine.Verdict) engine.Verdict {
	switch {
	case c.d.Source == [4]byte{}:
		return engine.NoServerID
	case v == engine.Nak && (!c.fresh || c.firmware() && !c.site.NakPXE):
		return engine.NakWithheld
	}
	return v
}

// own are the host's addresses, or those of its BMC.
func (c *check) own() []clusto.Address {
	return slices.DeleteFunc(slices.Clone(c.h.Addresses), func(a clusto.Address) bool { return (a.OSPort == "ipmi0") != c.h.BMC })
}

// fits reports whether an address is one of the network that the request came from.
func (c *check) fits(a clusto.Address) bool {
	holds := func(ip [4]byte) bool {
		return a.Network != nil && a.Network.Prefix.Bits() > 0 && a.Network.Prefix.Contains(netip.AddrFrom4(ip))
	}
	if from := c.from(); from != [4]byte{} {
		return holds(from) || a.IP.As4() == from
	}
	managed := false
	for _, p := range c.r.Link.AddrsOn(c.r.vlan()) {
		if p.Contains(a.IP) || holds(p.Addr().As4()) {
			return true
		}
		managed = managed || c.site.Networks == nil || slices.ContainsFunc(c.site.Networks, func(n netip.Prefix) bool { return n.Contains(p.Addr()) })
	}
	return !managed // a port without an address of ours: whatever the host has
}

func (c *check) local(ip [4]byte) bool {
	_, ok := c.r.Link.Local[netip.AddrFrom4(ip)]
	return ok || slices.ContainsFunc(c.r.Link.AddrsOn(c.r.vlan()), func(p netip.Prefix) bool { return p.Addr().As4() == ip })
}

// identity: who answers is whom the relay names (RFC 5107), else the host's own server, else
// the site's, else the address that the answer comes from: the one that was asked, or one
// of the interface.
func (c *check) identity() {
	none := [4]byte{}
	if !c.h.Enabled || len(c.h.Ambiguous) > 0 || len(c.own()) == 0 {
		return
	}
	relays := c.agentAddr(11)
	addrs, from := c.r.Link.AddrsOn(c.r.vlan()), c.d.Source
	switch {
	case c.local(c.r.Frame.Dst):
		if from != c.r.Frame.Dst {
			c.t.Errorf("from %v to who asked %v", from, c.r.Frame.Dst)
		}
	case len(addrs) > 0:
		if !slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().As4() == from }) {
			c.t.Errorf("from %v, on an interface with %v", from, addrs)
		}
	case from != c.own4() && (c.own4() != none || from != c.site.ServerID):
		c.t.Errorf("from %v: the host's server is %v, the site's %v", from, c.own4(), c.site.ServerID)
	}
	for _, want := range [][4]byte{relays, c.own4(), c.site.ServerID, from} {
		if want != none || want == from {
			if c.d.Server != want {
				c.t.Errorf("server id %v, want %v", c.d.Server, want)
			}
			return
		}
	}
}

// own4 is the server id that the host's attributes set: of the names of option 54 the
// nearest holder's, the last of its values.
func (c *check) own4() (ip [4]byte) {
	copy(ip[:], c.set()[54])
	return ip
}

// must is how long a message is of which nothing may be left out: header and cookie, 53,
// 54, 51, the netmask, what is echoed (in pieces of 255, RFC 3396), the END.
func (c *check) must() int {
	n := 240 + 3 + 6 + 6 + 6 + 1
	for _, code := range []byte{61, 82, 118} {
		if b, ok := c.opt(code); ok {
			n += len(b) + 2*max(1, (len(b)+254)/255)
		}
	}
	return n
}
