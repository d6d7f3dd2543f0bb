package dhcp

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"unique"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

// Prepared is all that an answer to one MAC is made from, encoded once from
// the resolved host. It is immutable and shared by every worker; nothing of
// the Host is kept.
type Prepared struct {
	// Verdict is Reply when the host may be answered, else why it may not:
	// Disabled, Ambiguous or NoAddress.
	Verdict engine.Verdict
	byClass bool    // what it boots goes by the client
	server  [4]byte // the host's own server id; zero if it has none
	lease   uint32  // seconds (option 51)
	t1      uint32  // seconds (58), below t2
	t2      uint32  // seconds (59), below lease
	name    string  // "/server/s0001", for the log
	why     string  // for the log, when it may not be answered

	bindings []binding // the eligible addresses, best first
	// body holds the options that all its clients get, encoded, by ascending
	// code; boots, what goes by the client. Hosts of one pool mostly have the
	// same ones: equal ones share their memory.
	body  unique.Handle[string]
	boots unique.Handle[boots]
	first boot // of boots
}

// binding is one address of a host.
type binding struct {
	addr uint32                // yiaddr, host byte order
	bits uint8                 // prefix length of its network; 0 if clusto knows none
	opts unique.Handle[string] // options 1, 3 and 28, encoded
}

func (b *binding) yiaddr() (a [4]byte) {
	binary.BigEndian.PutUint32(a[:], b.addr)
	return a
}

// holds reports whether ip is in the binding's network.
func (b *binding) holds(ip uint32) bool {
	return b.bits != 0 && (b.addr^ip)>>(32-b.bits) == 0
}

// Name gives the entity as "/type/name".
func (p *Prepared) Name() string { return p.name }

// touch reads the memory that an answer is made from. What it gives means nothing.
func (p *Prepared) touch() (n int) {
	if p.Verdict != engine.Reply {
		return 0 // there is no more
	}
	n = int(p.bindings[0].bits)
	if body := p.body.Value(); body != "" {
		n += int(body[0]) + int(body[len(body)-1])
	}
	return n
}

// find gives the binding of an address, nil if it is none of the host's.
func (p *Prepared) find(ip uint32) *binding {
	for i := range p.bindings {
		if p.bindings[i].addr == ip {
			return &p.bindings[i]
		}
	}
	return nil
}

// addresses lists the bindings' addresses, for the log.
func (p *Prepared) addresses() string {
	var s []string
	for i := range p.bindings {
		s = append(s, netip.AddrFrom4(p.bindings[i].yiaddr()).String())
	}
	return strings.Join(s, " ")
}

// eligible gives the addresses that host may be given, best first: those of
// the port's own interface, then private before public, then the lowest.
func eligible(h *clusto.Host, ipmiOSPort string) []clusto.Address {
	var out []clusto.Address
	for _, a := range h.Addresses {
		if a.IP.Is4() && (a.OSPort == ipmiOSPort) == h.BMC {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b clusto.Address) int {
		return cmp.Or(
			cmp.Compare(rank(elsewhere(a, h)), rank(elsewhere(b, h))),
			cmp.Compare(rank(!a.IP.IsPrivate()), rank(!b.IP.IsPrivate())),
			a.IP.Compare(b.IP),
		)
	})
	return slices.CompactFunc(out, func(a, b clusto.Address) bool { return a.IP == b.IP })
}

// elsewhere reports whether an address belongs to another interface than the
// one that the port is said to be.
func elsewhere(a clusto.Address, h *clusto.Host) bool { return h.OSPort != "" && a.OSPort != h.OSPort }

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}
