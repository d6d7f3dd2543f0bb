package dhcp

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// Whom the kernel knows on the link of a drawn packet.
var (
	neighbour    = [4]byte{10, 42, 0, 11}
	neighbourMAC = [6]byte{2, 0, 0, 0, 1, 11}
	gatewayMAC   = [6]byte{2, 0, 0, 0, 1, 1}
)

// expectedOfParse is what has to become of a message that drawer.packet wrapped: the
// frame is without fault and sent to us, so that the message alone decides.
func expectedOfParse(p *engine.Packet, msg []byte) engine.Verdict {
	vlan := vlanOf(p)
	var broadcasts [][4]byte
	switch {
	case vlan == 43 && p.Link.VLANs != nil:
		broadcasts = append(broadcasts, [4]byte{10, 43, 0, 255})
	case p.Link.Addrs != nil:
		broadcasts = append(broadcasts, [4]byte{10, 42, 0, 255})
	}
	switch corpus.Fault(msg, broadcasts...) {
	case corpus.Malformed:
		return engine.Malformed
	case corpus.NotForUs:
		return engine.NotForUs
	}
	return engine.None
}

// plainOption is an attribute as an option: which one, for which clients, and its value;
// val is nil where it cannot be one.
type plainOption struct {
	name, by string
	code     byte
	dist     int
	val      []byte
}

// plainOptions reads a host's attributes, one for each run of the same name.
func plainOptions(attrs []clusto.Attr, extra map[string]byte) (all []plainOption) {
	for i := 0; i < len(attrs); {
		o, n := plainOption{name: *attrs[i].Subkey, dist: attrs[i].Distance}, i
		for n < len(attrs) && *attrs[n].Subkey == o.name {
			n++
		}
		run := attrs[i:n]
		i = n
		codes := func(name string) (code byte, ok bool) {
			if code, ok = extra[name]; !ok {
				code, ok = optionCodes[name]
			}
			return code, ok
		}
		code, ok := codes(o.name)
		if at := strings.LastIndex(o.name, "-"); !ok && at >= 0 && slices.Contains([]string{"ipxe", "http", "bios", "efi32", "efi64", "arm64"}, o.name[at+1:]) {
			o.by = o.name[at+1:]
			code, ok = codes(o.name[:at])
		}
		o.code = code
		ours := slices.Contains([]byte{0, 50, 52, 53, 55, 57, 61, 82, 118, 255}, code)                               // the client's, the relay's or the message's own
		if alike := slices.Contains([]byte{1, 3, 28, 51, 54, 58, 59}, code); ok && !ours && !(alike && o.by != "") { // one for all clients
			o.val = plainValue(kindOf(code), run)
		}
		all = append(all, o)
	}
	return all
}

// setFor gives the options that a host's attributes set for clients of one loader and
// architecture: what is for its loader before what is for its architecture, before what is
// for all; of two names of one option the nearer one, of two as near the first.
func setFor(h *clusto.Host, extra map[string]byte, loader, arch string) (set [256][]byte) {
	type rank struct{ by, dist int }
	var best [256]rank
	for _, o := range plainOptions(h.Attrs, extra) {
		have := rank{3, o.dist}
		switch {
		case o.by == "":
		case o.by == loader:
			have.by = 1
		case o.by == arch:
			have.by = 2
		default:
			continue
		}
		if at := best[o.code]; o.val != nil && (set[o.code] == nil || have.by < at.by || have.by == at.by && have.dist < at.dist) {
			set[o.code], best[o.code] = o.val, have
		}
		if strings.HasPrefix(o.name, "pxelinux") {
			defer func() { set[208] = []byte{0xf1, 0x00, 0x74, 0x7e} }() // RFC 5071 section 3
		}
	}
	if set[12] == nil && !h.BMC && plainHost(h.Hostname) {
		set[12] = []byte(h.Hostname)
	}
	return set
}

// set are those for the client that asks. What it is, it says in its user class (RFC 3004),
// iPXE's own option, its vendor class and its architecture (RFC 4578 section 2.1).
func (c *check) set() [256][]byte {
	loader, arch := "", ""
	if user := string(c.asked[77]); c.asked[175] != nil || user == "iPXE" || user == "\x04iPXE" {
		loader = "ipxe"
	} else if bytes.HasPrefix(c.asked[60], []byte("HTTPClient")) {
		loader = "http"
	}
	typ := -1
	if b := c.asked[93]; len(b) >= 2 {
		typ = int(b[0])<<8 | int(b[1])
	} else if _, after, ok := bytes.Cut(c.asked[60], []byte(":Arch:")); ok && c.firmware() && len(after) >= 5 {
		if n, err := strconv.ParseUint(string(after[:5]), 10, 32); err == nil {
			typ = int(n)
		}
	}
	switch typ {
	case 0, 20:
		arch = "bios"
	case 6, 15:
		arch = "efi32"
	case 7, 9, 16, 17:
		arch = "efi64"
	case 11, 19:
		arch = "arm64"
	}
	return setFor(c.h, nil, loader, arch)
}

// plainValue gives the bytes of an option, nil if the attributes cannot be one.
func plainValue(k kind, attrs []clusto.Attr) (val []byte) {
	if !k.list() {
		attrs = attrs[len(attrs)-1:]
	}
	for _, a := range attrs {
		items, err := itemsOf(k, a.Value) // TestOptionForms has its forms
		part, ok := plainItems(k, items)
		if err != nil || !ok {
			return nil
		}
		val = append(val, part...)
	}
	if len(val) == 0 {
		return nil
	}
	return val
}

func plainItems(k kind, items []string) (out []byte, ok bool) {
	switch {
	case k == kindMagic:
		return []byte{0xf1, 0x00, 0x74, 0x7e}, true
	case k == kindAddrPairs && len(items)%2 != 0, !k.list() && len(items) != 1:
		return nil, false
	case k == kindRoutes:
		return plainRoutes(strings.Split(strings.Join(items, ":"), ":"), len(items) == 0)
	}
	for _, s := range items {
		one, ok := plainItem(k, s)
		if !ok {
			return nil, false
		}
		out = append(out, one...)
	}
	return out, true
}

func plainItem(k kind, s string) ([]byte, bool) {
	switch k {
	case kindText, kindServer:
		return []byte(s), true
	case kindOpaque, kindAny:
		return plainBytes(s, k == kindOpaque)
	case kindAddr, kindAddrs, kindAddrPairs:
		return plainAddr(s)
	case kindUint8, kindUint8s:
		return plainNumber(s, 1, false)
	case kindUint16, kindUint16s:
		return plainNumber(s, 2, false)
	case kindUint32:
		return plainNumber(s, 4, false)
	case kindInt32:
		return plainNumber(s, 4, true)
	case kindFlag:
		low := strings.ToLower(s)
		on := slices.Contains([]string{"1", "true", "yes", "on"}, low)
		if on {
			return []byte{1}, true
		}
		return []byte{0}, slices.Contains([]string{"0", "false", "no", "off"}, low)
	case kindHost:
		return []byte(s), plainHost(s)
	}
	return plainDomain(s) // kindDomains
}

// plainBytes: 0x0102, 01:02 where pairs may be, else text.
func plainBytes(s string, pairs bool) ([]byte, bool) {
	if b, err := hex.DecodeString(strings.ReplaceAll(s, ":", "")); pairs && strings.Contains(s, ":") && err == nil && len(b) == strings.Count(s, ":")+1 {
		return b, true
	}
	if len(s) >= 2 && strings.EqualFold(s[:2], "0x") {
		b, err := hex.DecodeString(s[2:])
		return b, err == nil
	}
	return []byte(s), true
}

func plainAddr(s string) (b []byte, ok bool) {
	parts := strings.Split(s, ".")
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || strconv.Itoa(int(n)) != part {
			return nil, false
		}
		b = append(b, byte(n))
	}
	return b, len(b) == 4
}

func plainNumber(s string, bytes uint, signed bool) ([]byte, bool) {
	base := 10
	if strings.HasPrefix(s, "0x") {
		base, s = 16, s[2:]
	}
	n, ok := new(big.Int).SetString(s, base)
	if !ok || !n.IsInt64() {
		return nil, false
	}
	low, high := int64(0), int64(1)<<(8*bytes)
	if signed {
		low, high = -high/2, high/2
	}
	var out []byte
	for i := range bytes {
		out = append(out, byte(n.Int64()>>(8*(bytes-1-i))))
	}
	return out, low <= n.Int64() && n.Int64() < high
}

// plainRoutes: RFC 3442.
func plainRoutes(pairs []string, none bool) (out []byte, ok bool) {
	if none {
		return nil, true
	}
	if len(pairs)%2 != 0 {
		return nil, false
	}
	for i := 0; i < len(pairs); i += 2 {
		to, bits, _ := strings.Cut(pairs[i], "/")
		width, err := strconv.Atoi(bits)
		net, isNet := plainAddr(to)
		via, isVia := plainAddr(pairs[i+1])
		if err != nil || strconv.Itoa(width) != bits || width < 0 || width > 32 || !isNet || !isVia {
			return nil, false
		}
		mask := ^uint32(0) << (32 - width)
		net = binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(net)&mask)
		out = slices.Concat(out, []byte{byte(width)}, net[:(width+7)/8], via)
	}
	return out, true
}

// plainDomain: RFC 1035 section 3.1.
func plainDomain(s string) (out []byte, ok bool) {
	s = strings.TrimSuffix(s, ".")
	for _, label := range strings.Split(s, ".") {
		if len(label) == 0 || len(label) > 63 {
			return nil, false
		}
		out = append(append(out, byte(len(label))), label...)
	}
	return append(out, 0), len(s) <= 253
}

// plainHost: RFC 1123 section 2.1.
func plainHost(s string) bool {
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for _, label := range strings.Split(s, ".") {
		inner := strings.Trim(label, alnum)
		if len(label) == 0 || len(label) > 63 || strings.Trim(inner, alnum+"-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return len(s) <= 253
}

// best is the address that who has none is given: of the port's own interface, then a
// private one, then the lowest.
func (c *check) best() clusto.Address {
	return slices.MinFunc(slices.DeleteFunc(c.own(), func(a clusto.Address) bool { return !c.fits(a) }), func(a, b clusto.Address) int {
		rank := func(a clusto.Address) (n int) {
			if c.h.OSPort != "" && a.OSPort != c.h.OSPort {
				n += 2
			}
			if !a.IP.IsPrivate() {
				n++
			}
			return n
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.IP.Compare(b.IP))
	})
}

// given is the address that a reply is about.
func (c *check) given() clusto.Address {
	own := c.own()
	if i := slices.IndexFunc(own, func(a clusto.Address) bool { return a.IP.As4() == c.wanted() }); c.d.Type == 5 && c.asked[53][0] == 3 && i >= 0 {
		return own[i]
	}
	return c.best()
}

// networkOptions fills in netmask, router and broadcast address where no attribute sets them.
func networkOptions(set *[256][]byte, a clusto.Address) {
	if a.Network == nil {
		return
	}
	mask := ^uint32(0) << (32 - a.Network.Prefix.Bits())
	ip := binary.BigEndian.Uint32(a.IP.AsSlice())
	own := map[byte][]byte{1: binary.BigEndian.AppendUint32(nil, mask), 3: a.Network.Gateway.AsSlice()}
	if a.Network.Prefix.Bits() < 31 { // RFC 3021
		own[28] = binary.BigEndian.AppendUint32(nil, ip|^mask)
	}
	for code, val := range own {
		if set[code] == nil {
			set[code] = val
		}
	}
}

// leaseTimes are lease, T1 and T2: what the attributes say where 0 < T1 < T2 < lease holds
// (RFC 2131 section 4.4.5), else an hour, half of it but at most 1600 s, and seven eighths.
func leaseTimes(set *[256][]byte) (lease, t1, t2 uint32) {
	says := func(code byte, low, high uint32) uint32 {
		if set[code] == nil {
			return 0
		}
		if n := binary.BigEndian.Uint32(set[code]); low <= n && n < high {
			return n
		}
		return 0
	}
	lease = cmp.Or(says(51, 4, ^uint32(0)), 3600)
	if b := set[51]; b != nil && binary.BigEndian.Uint32(b) == ^uint32(0) {
		lease = ^uint32(0)
	}
	t2 = cmp.Or(says(59, 2, lease), uint32(uint64(lease)*7/8))
	t1 = cmp.Or(says(58, 1, t2), min(1600, lease/2, t2-1))
	return lease, t1, t2
}

// content: every option has the value that the inventory, the request or the RFC gives
// it, and nothing is left out that had room; siaddr and file are those of options 66 and 67.
func (c *check) content(dropped int) {
	got, ok := corpus.Options(c.raw)
	if !ok {
		c.t.Fatalf("the reply's options: % x", c.raw)
	}
	set := c.set()
	want, must := c.wantedOptions(set)
	full, left := 240+1, []byte(nil)
	for code := range want {
		if code == 52 {
			continue
		}
		if want[code] != nil {
			full += optLen(len(want[code]))
		}
		switch {
		case want[code] != nil && got[code] == nil:
			left = append(left, byte(code))
		case !bytes.Equal(got[code], want[code]):
			c.t.Errorf("option %d is % x, want % x", code, got[code], want[code])
		}
	}
	for _, code := range must {
		if slices.Contains(left, code) {
			c.t.Errorf("option %d is left out", code)
		}
	}
	room := min(c.most(), engine.FrameSize-64) - 28
	if len(left) != dropped || full <= room && (len(left) > 0 || got[52] != nil) {
		c.t.Errorf("%v left out, %d counted, option 52 % x; all would be %d bytes, and %d may be", left, dropped, got[52], full, room)
	}
	c.names(&set, got)
	c.leftover(left, &want, got, room)
}

// wantedOptions gives what a reply holds where there is room, and which of it there has to be.
func (c *check) wantedOptions(set [256][]byte) (want [256][]byte, must []byte) {
	want, must = set, []byte{53, 54, 51, 1}
	if c.d.Verdict == engine.Nak {
		want = [256][]byte{56: []byte(c.d.Reason)}
		if c.d.Reason == "" {
			c.t.Error("a NAK without a reason")
		}
	} else {
		networkOptions(&want, c.given())
		lease, t1, t2 := leaseTimes(&set)
		for code, n := range map[byte]uint32{51: lease, 58: t1, 59: t2} {
			if want[code] = nil; c.asked[53] != nil && c.asked[53][0] != 8 {
				want[code] = binary.BigEndian.AppendUint32(nil, n)
			}
		}
		if set[60] == nil && bytes.HasPrefix(c.asked[60], []byte("HTTPClient")) {
			want[60] = []byte("HTTPClient")
			must = append(must, 60)
		}
		if set[97] == nil && c.asked[97] != nil { // RFC 4578 section 2.3
			want[97] = c.asked[97]
			must = append(must, 97)
		}
		want[118] = c.asked[118]
	}
	want[61], want[82] = c.asked[61], c.asked[82]
	must = append(must, 61, 82, 118)
	want[53], want[54] = nil, nil
	if c.asked[53] != nil {
		want[53], want[54] = []byte{byte(c.d.Type)}, c.d.Server[:]
	}
	return want, must
}

// names: siaddr and file, which firmware reads that reads no options. sname is the
// overload's alone.
func (c *check) names(set, got *[256][]byte) {
	var over byte
	if got[52] != nil {
		over = got[52][0]
	}
	var siaddr [4]byte
	file := ""
	if c.d.Verdict != engine.Nak {
		if ip, ok := plainAddr(string(set[66])); ok {
			siaddr = [4]byte(ip)
		}
		if len(set[67]) <= 127 {
			file = string(set[67])
		}
	}
	if [4]byte(c.raw[20:24]) != siaddr {
		c.t.Errorf("siaddr %v, want %v", c.raw[20:24], siaddr)
	}
	if want := make([]byte, 128); copy(want, file) >= 0 && over&1 == 0 && !bytes.Equal(c.raw[108:236], want) || over&1 != 0 && file != "" {
		c.t.Errorf("file %q, want %q, option 52 is %d", c.raw[108:236], file, over)
	}
	if over&2 == 0 && len(bytes.Trim(c.raw[44:108], "\x00")) > 0 {
		c.t.Errorf("sname %q", c.raw[44:108])
	}
}

// leftover: nothing is left out that fits where room is left.
func (c *check) leftover(left []byte, want, got *[256][]byte, room int) {
	if len(left) == 0 || c.d.Verdict == engine.Nak {
		return
	}
	spare := func(field []byte, room int) int {
		at := 0
		for at < len(field) && field[at] != 255 && field[at] != 0 {
			at += 2 + int(field[at+1])
		}
		return room - at
	}
	inMsg := spare(c.raw[240:], room-240-1)
	if got[52] == nil {
		inMsg -= 3 // it is kept for option 52
	}
	inFile, inSName := 0, 0
	if !c.firmware() && c.asked[53] != nil && inMsg >= 0 {
		if inSName = spare(c.raw[44:108], 63); c.raw[108] == 0 || got[52] != nil && got[52][0]&1 != 0 {
			inFile = spare(c.raw[108:236], 127)
		}
	}
	for _, code := range left {
		most := max(inMsg, inFile, inSName)
		if code == 58 || code == 59 {
			most = inMsg
		}
		if n := optLen(len(want[code])); n <= most {
			c.t.Errorf("option %d of %d bytes is left out: there is room for %d, %d and %d", code, n, inMsg, inFile, inSName)
		}
	}
}
