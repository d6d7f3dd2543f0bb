package dhcp

import (
	"net/netip"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// Site is what the policy knows beside the request and the host.
type Site struct {
	ServerID [4]byte // as configured; zero for the address of the interface
	NakPXE   bool    // send a NAK to boot firmware too

	// Networks are the ranges of all IP managers. An interface whose
	// addresses lie in none of them is taken for a layer 2 port. Nil means
	// that they are not known yet: every address counts as managed.
	Networks []netip.Prefix
}

// Decision is what the policy makes of a request.
type Decision struct {
	Verdict engine.Verdict    // Reply, Nak, or why there is no answer
	Type    dhcp4.MessageType // of the answer; 0 for BOOTP
	Binding *binding          // the address to give or to confirm; nil in a NAK
	Source  [4]byte           // IP source of the reply
	Server  [4]byte           // option 54
	Reason  string            // of a NAK: option 56
	boot    boot              // of a Reply
}

// Reasons of a NAK, for option 56.
const (
	reasonNotYours = "clusto binds another address to this host"
	reasonMoved    = "the address does not belong to this network"
)

// Decide is the whole policy: RFC 2131 section 4.3 over the bindings of the
// inventory. It depends on its arguments alone. fresh says that p is no older
// than its time to live; a NAK needs that.
func Decide(r *Request, p *Prepared, fresh bool, site *Site) Decision {
	if p.Verdict != engine.Reply {
		return Decision{Verdict: p.Verdict}
	}
	d := choose(r, p, site)
	d.identify(r, p, site)
	switch {
	case r.forAnother(&d):
		d.Verdict = engine.OtherServer
	case d.Verdict != engine.Reply && d.Verdict != engine.Nak:
	case d.Source == [4]byte{}:
		d.Verdict = engine.NoServerID
	case d.Verdict == engine.Reply:
		d.boot = p.boot(r)
	case !fresh || r.firmware() && !site.NakPXE:
		d.Verdict = engine.NakWithheld
	}
	return d
}

// choose goes by the type of the message.
func choose(r *Request, p *Prepared, site *Site) Decision {
	switch r.Type {
	case dhcp4.Request:
		return chooseRequest(r, p, site)
	case dhcp4.Decline:
		return Decision{Verdict: engine.Declined}
	case dhcp4.Release:
		return Decision{Verdict: engine.Released}
	case dhcp4.Inform:
		if word(r.Msg.CIAddr()) == 0 {
			return Decision{Verdict: engine.Malformed}
		}
		return offer(dhcp4.Ack, p.fit(r, site))
	case dhcp4.Discover:
		return offer(dhcp4.Offer, p.fit(r, site))
	}
	return offer(0, p.fit(r, site)) // BOOTP
}

func offer(t dhcp4.MessageType, b *binding) Decision {
	if b == nil {
		return Decision{Verdict: engine.NoAddress}
	}
	return Decision{Verdict: engine.Reply, Type: t, Binding: b}
}

// chooseRequest tells the four states of a REQUEST apart (RFC 2131 section
// 4.3.2). Option 54 marks selecting; a client that puts the address into
// ciaddr there is understood too.
func chooseRequest(r *Request, p *Prepared, site *Site) Decision {
	ciaddr := word(r.Msg.CIAddr())
	switch {
	case r.serverID == 0 && ciaddr != 0: // renewing, rebinding
		return confirm(p.find(ciaddr), reasonNotYours)
	case r.serverID != 0 && r.requested != 0: // selecting
		return confirm(p.find(r.requested), reasonNotYours)
	case r.serverID != 0 && ciaddr != 0:
		return confirm(p.find(ciaddr), reasonNotYours)
	case r.serverID == 0 && r.requested != 0: // init-reboot
		b := p.find(r.requested)
		if b != nil && !fits(b, r, site) {
			return confirm(nil, reasonMoved)
		}
		return confirm(b, reasonNotYours)
	}
	return Decision{Verdict: engine.Malformed}
}

func confirm(b *binding, reason string) Decision {
	if b == nil {
		return Decision{Verdict: engine.Nak, Type: dhcp4.Nak, Reason: reason}
	}
	return Decision{Verdict: engine.Reply, Type: dhcp4.Ack, Binding: b}
}

// fit gives the best binding for the network of the request, nil if none.
func (p *Prepared) fit(r *Request, site *Site) *binding {
	for i := range p.bindings {
		if fits(&p.bindings[i], r, site) {
			return &p.bindings[i]
		}
	}
	return nil
}

// fits goes by what the request says of its network: link selection (RFC
// 3527), subnet selection (RFC 3011), giaddr, ciaddr, else the interface.
func fits(b *binding, r *Request, site *Site) bool {
	if net := r.network(); net != 0 {
		return b.holds(net) || b.addr == net
	}
	addrs := r.Link.AddrsOn(r.vlan())
	ip := netip.AddrFrom4(b.yiaddr())
	for _, p := range addrs {
		if p.Contains(ip) || b.holds(word(p.Addr().As4())) {
			return true
		}
	}
	return !managed(addrs, site.Networks)
}

// network is an address of the client's network, 0 if the request names none.
func (r *Request) network() uint32 {
	switch {
	case r.linkSel != 0:
		return r.linkSel
	case r.subnet != 0:
		return r.subnet
	case r.Msg.GIAddr() != [4]byte{}:
		return word(r.Msg.GIAddr())
	}
	return word(r.Msg.CIAddr())
}

// managed reports whether any of an interface's addresses lies in a network
// that clusto manages: then an address from elsewhere would not work there.
func managed(addrs, networks []netip.Prefix) bool {
	for _, a := range addrs {
		if networks == nil {
			return true
		}
		for _, n := range networks {
			if n.Contains(a.Addr()) {
				return true
			}
		}
	}
	return false
}

// identify settles who answers: the source address, and the server id, which
// the relay (RFC 5107), the host's attributes or the configuration may set.
func (d *Decision) identify(r *Request, p *Prepared, site *Site) {
	d.Server = p.server
	if r.idOverride != 0 {
		d.Server = bytes4(r.idOverride)
	}
	if d.Server == [4]byte{} {
		d.Server = site.ServerID
	}
	b := d.Binding
	if b == nil { // a NAK names who would offer: busybox ignores another's
		b = p.fit(r, site)
	}
	d.Source = r.source(b)
	if d.Source == [4]byte{} {
		d.Source = p.server
	}
	if d.Source == [4]byte{} {
		d.Source = site.ServerID
	}
	if d.Server == [4]byte{} {
		d.Server = d.Source
	}
}

// source is the address that the request was sent to, else the interface's
// own: the one in the client's network, else its first.
func (r *Request) source(b *binding) (src [4]byte) {
	if r.ours(r.dst) {
		return r.Frame.Dst
	}
	addrs := r.Link.AddrsOn(r.vlan())
	if len(addrs) == 0 {
		return src
	}
	if b != nil {
		ip := netip.AddrFrom4(b.yiaddr())
		for _, p := range addrs {
			if p.Contains(ip) {
				return p.Addr().As4()
			}
		}
	}
	return addrs[0].Addr().As4()
}

// ours reports whether ip is an address of this machine.
func (r *Request) ours(ip netip.Addr) bool {
	if _, ok := r.Link.Local[ip]; ok {
		return true
	}
	for _, p := range r.Link.AddrsOn(r.vlan()) {
		if p.Addr() == ip {
			return true
		}
	}
	return false
}

// forAnother reports whether the client has chosen another server. Option 54
// has no meaning in a DISCOVER, an INFORM or a BOOTP request.
func (r *Request) forAnother(d *Decision) bool {
	switch r.Type {
	case dhcp4.Request, dhcp4.Decline, dhcp4.Release:
	default:
		return false
	}
	return r.serverID != 0 && r.serverID != word(d.Server) && !r.ours(netip.AddrFrom4(bytes4(r.serverID)))
}
