package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	keyNIC    = "port-nic-eth"
	subMAC    = "mac"
	subIPMI   = "ipmi-mac"
	subOSPort = "osportname"
)

// maxOwners is how many entities with one MAC are looked at; more are ambiguous.
const maxOwners = 32

// Host resolves one MAC as /v2 does, from what the original says. It returns an
// error that wraps clusto.ErrNotFound if clusto has no such host, and one that
// wraps clusto.ErrUnavailable if the answer could not be had or made no sense.
func (l *Legacy) Host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error) {
	if err := l.hosts.enter(ctx, false); err != nil {
		return nil, fmt.Errorf("read host %s: %d others are being read: %w: %w", mac, l.hosts.size, err, clusto.ErrUnavailable)
	}
	defer l.hosts.leave()
	return l.host(ctx, mac, nil)
}

// host resolves one MAC; known may be the record of an entity just read.
func (l *Legacy) host(ctx context.Context, mac clusto.MAC, known *Record) (*clusto.Host, error) {
	paths, err := l.ownersOf(ctx, mac)
	if err != nil {
		return nil, err
	}
	h := &clusto.Host{MAC: mac, Addresses: []clusto.Address{}, Attrs: []clusto.Attr{}}
	if len(paths) > maxOwners {
		return ambiguous(h, paths), nil
	}
	owners, err := l.winners(ctx, mac, paths, known)
	if err != nil {
		return nil, err
	}
	paths = nil
	for _, o := range owners {
		if !slices.Contains(paths, o.r.path) {
			paths = append(paths, o.r.path)
		}
	}
	if len(paths) > 1 {
		return ambiguous(h, paths), nil
	}
	o := owners[0]
	h.Port, h.Number, h.BMC, h.OSPort = keyNIC, max(o.number, 0), o.bmc, o.r.osport(o.number)
	return h, l.describe(ctx, h, o.r)
}

func ambiguous(h *clusto.Host, paths []string) *clusto.Host {
	h.Ambiguous, h.Why = slices.Sorted(slices.Values(paths)), "several entities have this MAC"
	return h
}

// match is a condition of get_entities.
type match struct {
	Key    string `json:"key"`
	Subkey string `json:"subkey"`
	Number *int   `json:"number,omitempty"`
	Value  string `json:"value,omitempty"`
}

// ownersOf lists the entities that may own a MAC. It asks as the original's
// daemon did: for port 1's mac in clusto's own spelling. The original compares
// text, so only where that finds no server the second question names all other
// spellings, ports and the BMCs: one call more, for hosts that are unknown or
// noted in another way. (So a second server that has the MAC in capitals goes
// unnoticed beside one that has it as clusto writes it.)
func (l *Legacy) ownersOf(ctx context.Context, mac clusto.MAC) ([]string, error) {
	one := 1
	paths, err := l.matching(ctx, l.c.cfg.Timeout, []match{{keyNIC, subMAC, &one, mac.String()}})
	if err != nil || slices.ContainsFunc(paths, isServer) {
		return slices.DeleteFunc(paths, isOther), err
	}
	var wide []match
	for _, form := range mac.Spellings() {
		wide = append(wide, match{keyNIC, subMAC, nil, form}, match{keyNIC, subIPMI, nil, form})
	}
	if paths, err = l.matching(ctx, l.c.cfg.Timeout, wide); err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("find host %s: %w", mac, clusto.ErrNotFound)
	}
	if slices.ContainsFunc(paths, isServer) { // servers go before other entities
		paths = slices.DeleteFunc(paths, isOther)
	}
	return paths, nil
}

func isServer(path string) bool { return strings.HasPrefix(path, "/server/") }
func isOther(path string) bool  { return !isServer(path) }

// matching lists the entities that meet one of the conditions.
func (l *Legacy) matching(ctx context.Context, timeout time.Duration, m []match) ([]string, error) {
	attrs, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a query: %w", err)
	}
	return l.entities(ctx, timeout, "/query/get_entities?attrs="+url.QueryEscape(string(attrs)))
}

// owner is one attribute that holds a MAC.
type owner struct {
	r      *Record
	number int
	bmc    bool
}

// rank orders the ways to own a MAC; the lowest that any entity has decides.
func (o owner) rank() int {
	switch {
	case o.bmc:
		return 2
	case o.number == 1:
		return 0
	}
	return 1
}

// winners reads the entities and keeps the owners of the lowest rank, by port;
// there is at least one.
func (l *Legacy) winners(ctx context.Context, mac clusto.MAC, paths []string, known *Record) (all []owner, err error) {
	for _, p := range paths {
		r := known
		if r == nil || r.path != p {
			if r, err = l.record(ctx, l.c.cfg.Timeout, p); err != nil {
				return nil, err
			}
		}
		all = append(all, r.owners(mac)...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("ask %s for host %s: %q had the MAC, and have it no more: %w", l.c.cfg.URL, mac, paths, clusto.ErrUnavailable)
	}
	slices.SortStableFunc(all, func(a, b owner) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.number, b.number))
	})
	return slices.DeleteFunc(all, func(o owner) bool { return o.rank() > all[0].rank() }), nil
}

// owners lists the record's attributes that hold a MAC, in a spelling that is
// looked for.
func (r *Record) owners(mac clusto.MAC) (out []owner) {
	for i := range r.ports {
		p := &r.ports[i]
		if m, ok := stored(p); ok && m == mac {
			out = append(out, owner{r, number(p), p.Sub() == subIPMI})
		}
	}
	return out
}

// stored reads the MAC of a port.
func stored(p *clusto.Attr) (mac clusto.MAC, ok bool) {
	mac, err := clusto.ParseMAC(p.Value.Str)
	if err != nil || p.Sub() == subOSPort {
		return mac, false
	}
	forms := mac.Spellings()
	return mac, slices.Contains(forms[:], p.Value.Str)
}

// osport is the osportname of a port.
func (r *Record) osport(of int) (name string) {
	for i := range r.ports {
		if p := &r.ports[i]; p.Sub() == subOSPort && number(p) == of {
			name = p.Value.Str
		}
	}
	return name
}

// describe fills in what does not depend on the MAC.
func (l *Legacy) describe(ctx context.Context, h *clusto.Host, r *Record) (err error) {
	h.Entity, h.Hostname = r.Entity, r.hostname
	for _, b := range r.bounds() {
		nw, err := l.networkOf(ctx, b)
		if err != nil {
			return err
		}
		h.Addresses = append(h.Addresses, clusto.Address{IP: b.ip, OSPort: b.osport, Network: nw})
	}
	if h.Attrs, err = l.collect(ctx, r); err != nil {
		return err
	}
	h.Attrs = clusto.Merge(h.Attrs)
	h.Decide()
	return nil
}

// collect gives the dhcp attributes of an entity and all its containers, each
// with the shortest distance. A container that is reached twice counts once, so
// a cycle ends there.
func (l *Legacy) collect(ctx context.Context, r *Record) ([]clusto.Attr, error) {
	attrs, seen := []clusto.Attr{}, map[string]bool{r.path: true}
	for level, distance := []*Record{r}, 0; len(level) > 0; distance++ {
		var next []*Record
		for _, at := range level {
			for _, a := range at.dhcp {
				a.Distance = distance
				if err := l.follow(ctx, &a.Value); err != nil {
					return nil, err
				}
				attrs = append(attrs, a)
			}
			for _, p := range at.parents {
				if seen[p] {
					continue
				}
				seen[p] = true
				up, err := l.memory.Get(ctx, p)
				if err != nil {
					return nil, err
				}
				next = append(next, up)
			}
		}
		level = next
	}
	return attrs, nil
}

// follow gives a relation the addresses of the entity that it points to.
func (l *Legacy) follow(ctx context.Context, v *clusto.Value) error {
	if v.Type != clusto.Relation || v.Str == "" {
		return nil
	}
	to, err := l.memory.Get(ctx, v.Str)
	if err != nil {
		return err
	}
	for _, b := range to.bounds() {
		v.Addrs = append(v.Addrs, b.ip)
	}
	return nil
}

// bound is an address as its attributes describe it.
type bound struct {
	ip              netip.Addr
	osport, manager string
}

// bounds gives the addresses bound to an entity by number, each once.
func (r *Record) bounds() (out []bound) {
	ips := slices.Clone(r.ips)
	slices.SortStableFunc(ips, func(a, b clusto.Attr) int { return cmp.Compare(number(&a), number(&b)) })
	for len(ips) > 0 {
		n := 1
		for n < len(ips) && number(&ips[n]) == number(&ips[0]) {
			n++
		}
		for _, b := range together(ips[:n]) {
			if !slices.ContainsFunc(out, func(o bound) bool { return o.ip == b.ip }) {
				out = append(out, b)
			}
		}
		ips = ips[n:]
	}
	return out
}

// together gives the address that attributes of one number describe. The text
// holds; the int form serves where there is no text that can be read.
func together(group []clusto.Attr) (out []bound) {
	var b bound
	var texts, ints []netip.Addr
	for i := range group {
		switch a := &group[i]; {
		case a.Subkey == nil && a.Value.Type == clusto.Int:
			if n := a.Value.Int + 1<<31; n > 0 && n < 1<<32 {
				ints = append(ints, netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
			}
		case a.Sub() == "ipstring":
			if ip, err := netip.ParseAddr(strings.TrimSpace(a.Value.Str)); err == nil && ip.Is4() {
				texts = append(texts, ip)
			}
		case a.Sub() == "manager" && a.Value.Type == clusto.Relation && a.Value.Str != "":
			b.manager = a.Value.Str
		case a.Sub() == subOSPort:
			b.osport = a.Value.Str
		}
	}
	if len(texts) == 0 {
		texts = ints
	}
	for _, b.ip = range texts {
		out = append(out, b)
	}
	return out
}

// networkOf gives the network of the manager that an address was bound under,
// else that of the one manager with the narrowest range around it, else nil.
// The original's get_ip_manager knows neither: it fails where two managers hold
// the address, and one without a base address holds them all.
func (l *Legacy) networkOf(ctx context.Context, b bound) (*clusto.Network, error) {
	if b.manager != "" {
		m, err := l.memory.Get(ctx, b.manager)
		if err != nil || m.network != nil {
			return m.own(), err
		}
	}
	all, err := l.memory.Get(ctx, allManagers)
	if err != nil {
		return nil, err
	}
	var best []clusto.Network
	for _, nw := range all.networks {
		switch {
		case !nw.Prefix.Contains(b.ip) || len(best) > 0 && nw.Prefix.Bits() < best[0].Prefix.Bits():
		case len(best) > 0 && nw.Prefix.Bits() == best[0].Prefix.Bits():
			best = append(best, nw)
		default:
			best = []clusto.Network{nw}
		}
	}
	if len(best) != 1 {
		return nil, nil
	}
	return &best[0], nil
}

func (r *Record) own() *clusto.Network {
	if r == nil {
		return nil
	}
	return r.network
}
