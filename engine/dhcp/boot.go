package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"unique"

	"github.com/clusto/clusto-engine/codec/dhcp4"
)

// The loaders and architectures that clients are told apart by; "" is any
// other. An attribute that ends in one of them, as in tftp_filename-efi64, is
// for those clients. It beats an unqualified one wherever either is set, so
// that a chain of loaders makes no loop; a loader beats an architecture.
var (
	loaders = [...]string{"", "ipxe", "http"}
	archs   = [...]string{"", "bios", "efi32", "efi64", "arm64"}
)

// class says what a client is: an index into loaders and one into archs.
type class struct{ loader, arch uint8 }

// boot is what clients of one class get, beside the body.
type boot struct {
	opts   unique.Handle[string] // the options that some attribute qualifies, encoded
	file   unique.Handle[string] // at most 127 bytes
	siaddr [4]byte
	flags  uint8
}

// boots holds one boot for each class; only the first, of any other client,
// where a host makes no difference between clients.
type boots [len(loaders)][len(archs)]boot

// What a host sets that a request may bring too.
const (
	hasVendorClass = 1 << iota // 60
	hasUUID                    // 97
)

// boot gives what the client of r boots.
func (p *Prepared) boot(r *Request) boot {
	if !p.byClass {
		return p.first
	}
	c, all := r.class(), p.boots.Value()
	return all[c.loader][c.arch]
}

// class goes by iPXE's own option or its user class (bare, or as RFC 3004 has
// it), by the vendor class, and by the architecture.
func (r *Request) class() (c class) {
	_, own := r.Opts.Get(dhcp4.OptIPXE)
	user, _ := r.Opts.Get(dhcp4.OptUserClass)
	switch {
	case own, string(user) == "iPXE", string(user) == "\x04iPXE":
		c.loader = 1
	case r.httpBoot():
		c.loader = 2
	}
	c.arch = r.arch()
	return c
}

var archMark = []byte(":Arch:")

// arch goes by the first type of option 93, else by the vendor class, as in
// "PXEClient:Arch:00007:UNDI:003001".
func (r *Request) arch() uint8 {
	if b, ok := r.Opts.Get(dhcp4.OptArch); ok && len(b) >= 2 {
		return archOf(int(binary.BigEndian.Uint16(b)))
	}
	i := bytes.Index(r.vendorClass, archMark)
	if i < 0 || !r.firmware() {
		return 0
	}
	n, digits := 0, r.vendorClass[i+len(archMark):]
	if len(digits) < 5 {
		return 0
	}
	for _, c := range digits[:5] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c) - '0'
	}
	return archOf(n)
}

// archOf gives the index into archs of a type (RFC 4578 section 2.1, and what
// IANA added to it). 7 and 17 are EBC by the letter, and x64 in use.
func archOf(typ int) uint8 {
	switch typ {
	case 0, 20:
		return 1
	case 6, 15:
		return 2
	case 7, 9, 16, 17:
		return 3
	case 11, 19:
		return 4
	}
	return 0
}

// qualified is an option for some clients only.
type qualified struct {
	code byte
	by   string // of loaders or archs
	dist int    // of its attribute from the host
	val  []byte
}

// cutQualifier takes the qualifier off an attribute's name; by is "" if it has none.
func cutQualifier(name string) (base, by string) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return name, ""
	}
	if by = name[i+1:]; by != "" && (slices.Contains(loaders[:], by) || slices.Contains(archs[:], by)) {
		return name[:i], by
	}
	return name, ""
}

// qualify keeps an option for some clients. Of two names of one option the
// nearer one holds.
func (b *builder) qualify(q qualified) {
	for i := range b.byClient {
		if have := &b.byClient[i]; have.code == q.code && have.by == q.by {
			if q.dist < have.dist {
				*have = q
			}
			return
		}
	}
	b.byClient = append(b.byClient, q)
}

// boots encodes for each class what goes by it, and takes it out of the options.
func (b *builder) boots() {
	b.p.byClass = len(b.byClient) > 0
	var all boots
	for l := range loaders {
		for a := range archs {
			if b.p.byClass || l+a == 0 {
				all[l][a] = b.bootOf(loaders[l], archs[a])
			}
		}
	}
	b.p.boots, b.p.first = unique.Make(all), all[0][0]
	for _, q := range b.byClient {
		b.opts[q.code] = nil
	}
}

// bootOf fills siaddr and file too, for the firmware that reads no options. A
// server given by name is never resolved: it goes into option 66 alone.
func (b *builder) bootOf(loader, arch string) (out boot) {
	if a, err := netip.ParseAddr(string(b.option(dhcp4.OptTFTPServer, loader, arch))); err == nil && a.Is4() {
		out.siaddr = a.As4()
	}
	var file string
	if f := b.option(dhcp4.OptBootFile, loader, arch); len(f) <= maxFile {
		file = string(f)
	}
	if b.option(dhcp4.OptVendorClass, loader, arch) != nil {
		out.flags |= hasVendorClass
	}
	if b.option(dhcp4.OptUUID, loader, arch) != nil {
		out.flags |= hasUUID
	}
	out.file, out.opts = unique.Make(file), unique.Make(string(b.qualifiedOpts(loader, arch)))
	return out
}

// qualifiedOpts encodes the options that some attribute qualifies, by
// ascending code, as clients of one class get them.
func (b *builder) qualifiedOpts(loader, arch string) (opts []byte) {
	var codes []byte
	for _, q := range b.byClient {
		codes = append(codes, q.code)
	}
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		if val := b.option(code, loader, arch); val != nil {
			opts = dhcp4.AppendOption(opts, code, val)
		}
	}
	return opts
}

// option gives the value of an option for clients of one class, nil for none.
func (b *builder) option(code byte, loader, arch string) []byte {
	for _, by := range [...]string{loader, arch} {
		for _, q := range b.byClient {
			if by != "" && q.code == code && q.by == by {
				return q.val
			}
		}
	}
	return b.opts[code]
}

// forAll holds the codes that every answer to a host has alike: its network,
// its times and who answers.
func forAll(code byte) bool {
	switch code {
	case dhcp4.OptSubnetMask, dhcp4.OptRouter, dhcp4.OptBroadcast, dhcp4.OptLeaseTime,
		dhcp4.OptServerID, dhcp4.OptRenewal, dhcp4.OptRebinding:
		return true
	}
	return false
}
