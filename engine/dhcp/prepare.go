package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"unique"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// Defaults of the lease, in seconds.
const (
	DefaultLease = 3600
	defaultT1    = 1600
	minLease     = 4 // T1 < T2 < lease needs room
)

// maxFile is what fits the file field with its closing zero (RFC 2131 section 2).
const maxFile = 127

// PrepareConfig says what holds for all hosts.
type PrepareConfig struct {
	Lease      uint32          // seconds, where no attribute says otherwise; DefaultLease
	IPMIOSPort string          // osportname of the addresses that are a BMC's; "ipmi0"
	Extra      map[string]byte // option names beyond the built-in ones, and their codes
}

// Warning is an attribute, or an address, that could not be used. The rest of
// the answer stands.
type Warning struct {
	Entity    string // "/type/name" that holds the attribute
	Attribute string // subkey of the dhcp attribute; "" when it is about the host
	Reason    string // what is wrong, and with what
}

func (w Warning) String() string {
	if w.Attribute == "" {
		return w.Entity + ": " + w.Reason
	}
	return fmt.Sprintf("%s: dhcp/%s: %s", w.Entity, w.Attribute, w.Reason)
}

// Prepare encodes a resolved host once, for all its answers. What cannot be
// encoded is left out and named in a warning; Prepare itself never fails.
func Prepare(h *clusto.Host, cfg PrepareConfig) (*Prepared, []Warning) {
	if cfg.Lease < minLease {
		cfg.Lease = DefaultLease
	}
	if cfg.IPMIOSPort == "" {
		cfg.IPMIOSPort = "ipmi0"
	}
	b := builders.Get().(*builder)
	defer func() {
		*b = builder{} // nothing of the host is kept
		builders.Put(b)
	}()
	b.host, b.cfg, b.p = h, cfg, &Prepared{Verdict: engine.Reply, name: h.Path()}
	switch {
	case len(h.Ambiguous) > 0:
		b.p.name = h.MAC.String()
		b.refuse(engine.Ambiguous, "several entities have this MAC: "+strings.Join(h.Ambiguous, ", "))
	case !h.Enabled:
		b.refuse(engine.Disabled, h.Why)
	default:
		b.build()
	}
	return b.p, b.warnings
}

// builders has the builders between two hosts. A load runs on a goroutine of its own,
// whose stack would grow step by step to hold one: that was a tenth of a load's time.
var builders = sync.Pool{New: func() any { return new(builder) }}

type builder struct {
	host     *clusto.Host
	cfg      PrepareConfig
	p        *Prepared
	opts     [256][]byte // encoded, by code
	names    [256]string // the attribute that set it
	dist     [256]int    // and how far from the host it is
	byClient []qualified
	magic    bool
	warnings []Warning
}

func (b *builder) refuse(v engine.Verdict, why string) { b.p.Verdict, b.p.why = v, why }

func (b *builder) warn(entity, attribute, format string, args ...any) {
	b.warnings = append(b.warnings, Warning{entity, attribute, fmt.Sprintf(format, args...)})
}

func (b *builder) build() {
	b.options()
	b.hostname()
	b.times()
	b.takeServerID()
	b.bind()
	b.boots()
	b.body()
}

// options encodes the attributes, one run of equal names after the other.
func (b *builder) options() {
	attrs := b.host.Attrs
	for len(attrs) > 0 {
		n := 1
		for n < len(attrs) && attrs[n].Sub() == attrs[0].Sub() {
			n++
		}
		b.attribute(attrs[0].Sub(), attrs[:n])
		attrs = attrs[n:]
	}
	if b.magic {
		b.opts[208] = []byte{0xf1, 0x00, 0x74, 0x7e}
	}
}

// ipManager is no option: it tells discovery where addresses come from.
const ipManager = "ipmanager"

func (b *builder) attribute(name string, attrs []clusto.Attr) {
	b.magic = b.magic || pxelinux(name)
	at := attrs[len(attrs)-1].Origin
	code, by, ok := optionCode(b.cfg.Extra, name)
	if !ok && name == ipManager {
		return
	}
	if !ok {
		b.warn(at, name, "unknown option; give it a code in extra_options or rename it")
		return
	}
	if why, no := refused[code]; no {
		b.warn(at, name, "option %d may not be set: %s", code, why)
		return
	}
	if by != "" && forAll(code) {
		b.warn(at, name, "option %d is the same for all clients of a host: leave out -%s", code, by)
		return
	}
	val, err := encode(kindOf(code), attrs)
	if err != nil {
		b.warn(at, name, "option %d left out: %v", code, err)
		return
	}
	if code == dhcp4.OptBootFile && len(val) > maxFile {
		b.warn(at, name, "%d bytes do not fit the file field, which takes %d; it goes into option 67 alone", len(val), maxFile)
	}
	b.set(qualified{code, by, attrs[0].Distance, val}, name)
}

// set keeps an option. Of two names of one option the nearer one holds.
func (b *builder) set(q qualified, name string) {
	if q.by != "" {
		b.qualify(q)
		return
	}
	if b.opts[q.code] == nil || q.dist < b.dist[q.code] {
		b.opts[q.code], b.names[q.code], b.dist[q.code] = q.val, name, q.dist
	}
}

// hostname falls back to the entity's name, if that is a legal one.
func (b *builder) hostname() {
	if b.opts[dhcp4.OptHostname] != nil || b.host.BMC || b.host.Hostname == "" {
		return
	}
	if err := legalHost(b.host.Hostname); err != nil {
		b.warn(b.host.Path(), "hostname", "option 12 left out: %v", err)
		return
	}
	b.opts[dhcp4.OptHostname] = []byte(b.host.Hostname)
}

// times keeps T1 < T2 < lease, whatever the attributes say (RFC 2131 section 4.4.5).
func (b *builder) times() {
	lease := b.cfg.Lease
	if v, ok := b.seconds(dhcp4.OptLeaseTime); ok {
		if v >= minLease {
			lease = v
		} else {
			b.warn(b.host.Path(), b.names[dhcp4.OptLeaseTime], "a lease of %d s is too short; %d s holds", v, lease)
		}
	}
	t1, t2 := min(defaultT1, lease/2), uint32(uint64(lease)*7/8)
	want1, ok1 := b.seconds(dhcp4.OptRenewal)
	want2, ok2 := b.seconds(dhcp4.OptRebinding)
	if ok2 && want2 > 1 && want2 < lease {
		t2 = want2
	} else if ok2 {
		b.warn(b.host.Path(), b.names[dhcp4.OptRebinding], "T2 %d s is not below the lease of %d s; %d s holds", want2, lease, t2)
	}
	t1 = min(t1, t2-1)
	if ok1 && want1 > 0 && want1 < t2 {
		t1 = want1
	} else if ok1 {
		b.warn(b.host.Path(), b.names[dhcp4.OptRenewal], "T1 %d s is not below T2 of %d s; %d s holds", want1, t2, t1)
	}
	b.p.lease, b.p.t1, b.p.t2 = lease, t1, t2
}

// seconds takes a time out of the options.
func (b *builder) seconds(code byte) (uint32, bool) {
	v := b.opts[code]
	b.opts[code] = nil
	if v == nil {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

func (b *builder) takeServerID() {
	copy(b.p.server[:], b.opts[dhcp4.OptServerID])
	b.opts[dhcp4.OptServerID] = nil
}

// bind encodes the network of every eligible address.
func (b *builder) bind() {
	for _, a := range eligible(b.host, b.cfg.IPMIOSPort) {
		ip := a.IP.As4()
		bind := binding{addr: binary.BigEndian.Uint32(ip[:])}
		var mask, router, broadcast []byte
		if n := a.Network; n != nil && n.Prefix.IsValid() && n.Prefix.Addr().Is4() {
			bind.bits = uint8(n.Prefix.Bits())
			mask, broadcast = maskOf(n.Prefix)
			if n.Gateway.Is4() {
				gw := n.Gateway.As4()
				router = gw[:]
			}
		} else {
			b.warn(b.host.Path(), "", "address %s is in the range of no IP manager: it goes out without netmask and gateway; make the network, or bind the address to it", a.IP)
		}
		var opts []byte
		opts = appendSet(opts, dhcp4.OptSubnetMask, b.opts[dhcp4.OptSubnetMask], mask)
		opts = appendSet(opts, dhcp4.OptRouter, b.opts[dhcp4.OptRouter], router)
		opts = appendSet(opts, dhcp4.OptBroadcast, b.opts[dhcp4.OptBroadcast], broadcast)
		bind.opts = unique.Make(string(opts))
		b.p.bindings = append(b.p.bindings, bind)
	}
	b.opts[dhcp4.OptSubnetMask], b.opts[dhcp4.OptRouter], b.opts[dhcp4.OptBroadcast] = nil, nil, nil
	b.p.bindings = slices.Clip(b.p.bindings)
	if len(b.p.bindings) == 0 {
		b.refuse(engine.NoAddress, noAddress(b.host))
	}
}

func noAddress(h *clusto.Host) string {
	if h.BMC {
		return "the BMC has no address: bind one to its ipmi osport"
	}
	return "it has no address: bind one in clusto"
}

// appendSet appends the option that an attribute set, else the network's own.
func appendSet(dst []byte, code byte, set, own []byte) []byte {
	if set == nil {
		set = own
	}
	if set == nil {
		return dst
	}
	return dhcp4.AppendOption(dst, code, set)
}

func maskOf(p netip.Prefix) (mask, broadcast []byte) {
	m := ^uint32(0) << (32 - p.Bits())
	a := p.Masked().Addr().As4()
	mask = binary.BigEndian.AppendUint32(nil, m)
	if p.Bits() < 31 { // RFC 3021: a /31 has no broadcast address
		broadcast = binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(a[:])|^m)
	}
	return mask, broadcast
}

// body joins what is left, by ascending code.
func (b *builder) body() {
	var body []byte
	for code, val := range b.opts {
		if val != nil {
			body = dhcp4.AppendOption(body, byte(code), val)
		}
	}
	b.p.body = unique.Make(string(body))
}
