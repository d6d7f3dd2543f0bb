package dhcp

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// drawer makes things out of a fuzzer's bytes; zeros when they are used up.
type drawer struct{ b []byte }

func (d *drawer) byte() (b byte) {
	if len(d.b) > 0 {
		b, d.b = d.b[0], d.b[1:]
	}
	return b
}

func (d *drawer) below(n int) int { return int(d.byte()) % n }
func (d *drawer) one() bool       { return d.byte()&1 != 0 }

func (d *drawer) text() string {
	n := min(int(d.byte()), len(d.b))
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// addr is one near the ones that the requests of the corpus name, or any.
func (d *drawer) addr() netip.Addr {
	switch d.below(4) {
	case 0:
		return netip.AddrFrom4([4]byte{10, 42, 0, d.byte()})
	case 1:
		return netip.AddrFrom4([4]byte{10, 43, 0, d.byte()})
	}
	return netip.AddrFrom4([4]byte{d.byte(), d.byte(), d.byte(), d.byte()})
}

var (
	optionNames = append(slices.Sorted(maps.Keys(optionCodes)), "ipmanager", "unknown", "tftp_filename-efi64", "tftp_filename-ipxe", "tftp_server-bios", "lease_time-http")
	valueTypes  = []clusto.Datatype{clusto.String, clusto.Int, clusto.JSON, clusto.Relation, clusto.Datetime}
)

func (d *drawer) host() *clusto.Host {
	h := testHost()
	h.Enabled, h.BMC, h.Addresses = d.below(8) != 1, d.below(4) == 1, nil
	if d.below(8) == 1 {
		h.Ambiguous = []string{"/server/a", "/server/b"}
	}
	if d.one() {
		h.OSPort = "eth0"
	}
	if d.one() {
		h.Hostname = d.text()
	}
	for range d.below(5) {
		a := clusto.Address{IP: d.addr(), OSPort: []string{"", "eth0", "eth1", "ipmi0"}[d.below(4)]}
		if d.below(4) != 0 {
			gw := d.addr()
			a.Network = &clusto.Network{Name: "n", Prefix: netip.PrefixFrom(a.IP, d.below(33)).Masked(), Gateway: gw}
		}
		if i := slices.IndexFunc(h.Addresses, func(o clusto.Address) bool { return o.IP == a.IP }); i >= 0 {
			a.Network = h.Addresses[i].Network // an address is of one network, on whatever ports it is
		}
		h.Addresses = append(h.Addresses, a)
	}
	for range d.below(12) {
		name := optionNames[d.below(len(optionNames))]
		k := d.below(15)
		a := attr(name, clusto.Value{Type: valueTypes[k%5], Int: int64(int8(d.byte())) << d.below(56), Str: d.text()})
		a.Distance = 1 + k/5
		h.Attrs = append(h.Attrs, a)
	}
	return h
}

func (d *drawer) site() (s Site) {
	if d.one() {
		s.ServerID = d.addr().As4()
	}
	s.NakPXE = d.one()
	if d.one() {
		s.Networks = []netip.Prefix{net42.Prefix}
	}
	return s
}

// packet wraps a message as its client, or its relay, sends it.
func (d *drawer) packet(msg []byte) *engine.Packet {
	link := testLink()
	link.MTU = []int{0, 576, 1400, 1500, 9000}[d.below(5)]
	if d.below(8) == 1 {
		link.Addrs, link.VLANs = nil, nil
	}
	link.Neighbours = map[netip.Addr][6]byte{netip.AddrFrom4(neighbour): neighbourMAC, netip.MustParseAddr("10.42.0.1"): gatewayMAC}
	if d.one() {
		link.Gateways = []engine.Gateway{{To: netip.MustParsePrefix("10.44.0.0/24"), Via: netip.MustParseAddr("10.42.0.1")}}
	}
	h := frame.Header{EthDst: ethBroadcast, EthSrc: relayMAC, Dst: [4]byte{255, 255, 255, 255}, SrcPort: 68, DstPort: dhcp4.ServerPort, NTags: d.below(3)}
	copy(h.Tags[:h.NTags], []frame.Tag{{TPID: 0x8100, TCI: 43}, {TPID: 0x8100, TCI: 7}})
	if d.one() {
		h.Dst, h.SrcPort = [4]byte{10, 42, 0, 5}, 67
	}
	b := append(h.AppendTo(nil), msg...)
	h.Finish(b)
	p := &engine.Packet{Data: b, Link: link}
	if d.below(4) == 1 {
		p.TPID, p.TCI = 0x8100, 5<<13|43 // of a priority
	}
	return p
}

// FuzzDecide: whatever host, site and request, the verdict is the one that RFC 2131's
// states want (see expect_test.go): who is known, enabled and asks properly is answered, a
// NAK is sent where it has to be, and nobody else hears anything. An answer gives what the
// inventory says, and all that RFC 2131 and the options' own RFCs want of it holds (see
// checks_test.go).
func FuzzDecide(f *testing.F) {
	for i, in := range corpus.DHCP(f) {
		f.Add(in.Bytes, plain, []byte{0, 0, 0}, true)
		f.Add(in.Bytes, plain, []byte{0, 0, 0, 3, 0, 0, byte(i % 3), 0, byte(i / 3 % 2)}, true) // two tags at most, and the kernel's
		// A host and a site of which each message draws others.
		f.Add(in.Bytes, bytes.Repeat([]byte{byte(i), 2, 0, byte(i * 7), 9, 'a', '1'}, 60), []byte{byte(i), byte(i >> 1), 1, 2, 3}, i%2 == 0)
	}
	seedLengths(f)
	full := fullHost()
	// 10.42.0.12 and .11 in one network, and 8.8.8.8 in 0.0.0.0/4, which holds them too.
	several := []byte{0, 0, 0, 0, 0, 3, 0, 12, 0, 1, 0, 1, 24, 0, 11, 0, 1, 0, 1, 24, 2, 8, 8, 8, 8, 0, 1, 0, 1, 4, 0}
	for _, in := range corpus.DHCP(f) {
		f.Add(in.Bytes, full, []byte{0, 0, 0}, true)
		f.Add(in.Bytes, several, []byte{0, 0, 0}, true)
		f.Add(in.Bytes, []byte{0, 0, 0, 1, 0, 2, 0, 12, 1, 1, 0, 1, 24, 0, 11, 0, 1, 0, 1, 24, 0}, []byte{0, 0, 0}, true) // .12 is that of the port, eth0
	}
	alone := []byte{0, 0, 0, 0, 0, 1, 0, 20, 0, 0, 0} // 10.42.0.20 of no network, which relays for itself
	f.Add(ask{typ: dhcp4.Discover, giaddr: "10.42.0.20"}.message(), alone, []byte{0, 0, 0}, true)
	f.Fuzz(func(t *testing.T, msg, host, set []byte, fresh bool) {
		if len(msg) <= 1<<15 {
			decide(t, msg, host, set, fresh)
		}
	})
}

// decide has a request decided and answered, and checks both.
func decide(t *testing.T, msg, host, set []byte, fresh bool) {
	t.Helper()
	h := (&drawer{host}).host()
	p, _ := Prepare(h, PrepareConfig{})
	d := drawer{set}
	site := d.site()
	packet := d.packet(msg)
	kept := bytes.Clone(packet.Data)
	var r Request
	v := r.Parse(packet)
	if want := expectedOfParse(packet, msg); v != want {
		t.Fatalf("Parse: %v, want %v", v, want)
	}
	if v != engine.None {
		return
	}
	got := Decide(&r, p, fresh, &site)
	if again := Decide(&r, p, fresh, &site); again != got {
		t.Errorf("%+v, and then %+v", got, again)
	}
	c := check{t: t, h: h, p: p, r: &r, d: &got, site: &site, fresh: fresh}
	c.asked, _ = corpus.Options(msg)
	c.request(packet)
	c.verdict()
	if got.Verdict != engine.Reply && got.Verdict != engine.Nak {
		return
	}
	before := []byte("before")
	out, dropped := appendReply(before, &r, p, &got)
	if !bytes.Equal(packet.Data, kept) || string(out[:len(before)]) != "before" {
		t.Fatal("the request, or what was there before, was written over")
	}
	c.reply(out[len(before):], dropped)
}

// plain is what a host with 10.42.0.11/24 and 10.43.0.11/24 is drawn from.
var plain = []byte{0, 0, 0, 0, 0, 2, 0, 11, 0, 1, 0, 1, 24, 1, 11, 0, 1, 1, 1, 24, 0}

// seedLengths adds replies of every length about the least that a client takes.
func seedLengths(f *testing.F) {
	f.Helper()
	for n := range byte(175) {
		names := []byte{byte(slices.Index(optionNames, "root_disk_path")), byte(slices.Index(optionNames, "domain"))}
		host := append(slices.Clone(plain[:len(plain)-1]), 2, names[0], 0, 0, 0, 100)
		host = append(append(host, bytes.Repeat([]byte{'r'}, 100)...), names[1], 0, 0, 0, 80+n)
		host = append(host, bytes.Repeat([]byte{'d'}, 254)...)
		f.Add(corpus.DHCP(f)[0].Bytes, host, []byte{0, 0, 0}, true)
		f.Add(ask{typ: dhcp4.Discover, vendor: "PXEClient", opts: []byte{55, 4, 15, 3, 17, 15}}.message(), host, []byte{0, 0, 0}, true) // all in the options field
	}
}

// fullHost gives what a host with an attribute of each kind is drawn from.
func fullHost() []byte {
	full := slices.Clone(plain[:len(plain)-1])
	full = append(full, 11)
	for _, a := range [][2]string{
		{"tftp_server", "10.42.0.7"},
		{"tftp_filename", "/pxelinux.0"},
		{"tftp_filename-efi64", "ipxe.efi"},
		{"tftp_server-bios", "tftp.example.org"},
		{"lease_time", "7200"},
		{"renewal_time", "60"},
		{"rebinding_time", "90"},
		{"server_id", "10.42.0.9"},
		{"broadcast_address", "10.42.0.254"},
		{"NTP_server", "10.42.0.3,10.42.0.4"},
		{"vendor_specific", "01:02:ff"},
	} {
		full = append(append(full, byte(slices.Index(optionNames, a[0])), 0, 0, 0, byte(len(a[1]))), a[1]...)
	}
	return full
}

// FuzzPrepare: an attribute of any name and value never fails a host; what is made of it
// for each class of clients can be walked to its end, no option is there twice, each is what
// the attributes set (see oracle_test.go) and no other is there, and what was left out is
// named in a warning.
func FuzzPrepare(f *testing.F) {
	texts := []string{"10.42.0.7,10.42.0.8", "0x00ff", `["a.example.org", 7, null]`, "-1", "/pool/x", ""}
	for i, name := range optionNames {
		f.Add(name, uint8(i), int64(i)<<24, texts[i%len(texts)], name, uint8(1), int64(-1), "x")
	}
	f.Add("tftp_filename", uint8(0), int64(0), strings.Repeat("f", 128), "tftp_filename-ipxe", uint8(0), int64(0), "menu.ipxe")
	f.Add("server_id", uint8(0), int64(0), "10.42.0.9", "rebinding_time", uint8(1), int64(90), "")
	f.Fuzz(func(t *testing.T, name string, typ uint8, num int64, text, name2 string, typ2 uint8, num2 int64, text2 string) {
		h := testHost(attr(name, clusto.Value{Type: valueTypes[typ%5], Int: num, Str: text}), attr(name2, clusto.Value{Type: valueTypes[typ2%5], Int: num2, Str: text2}))
		p, warnings := Prepare(h, PrepareConfig{Extra: map[string]byte{"extra": 224}})
		if p.Verdict != engine.Reply || p.t1 >= p.t2 || p.t2 >= p.lease {
			t.Errorf("%v, T1 %d, T2 %d, lease %d", p.Verdict, p.t1, p.t2, p.lease)
		}
		for _, w := range warnings {
			if w.Entity == "" || w.Reason == "" {
				t.Errorf("a warning that says nothing: %+v", w)
			}
		}
		extra := map[string]byte{"extra": 224}
		named := func(name string) bool {
			return slices.ContainsFunc(warnings, func(w Warning) bool { return w.Attribute == name })
		}
		differ := false
		for _, o := range plainOptions(h.Attrs, extra) {
			differ = differ || o.by != ""
			if o.val == nil && o.name != "ipmanager" && !named(o.name) {
				t.Errorf("%q was left out, and %v does not say so", o.name, warnings)
			}
			if o.code == 67 && len(o.val) > 127 && !named(o.name) {
				t.Errorf("the file of %d bytes does not fit the file field, and %v does not say so", len(o.val), warnings)
			}
		}
		for l, loader := range loaders {
			for a, arch := range archs {
				if l+a > 0 && !differ && !p.byClass {
					continue // all get the same
				}
				r := p.first
				if p.byClass {
					r = p.boots.Value()[l][a]
				}
				set := setFor(h, extra, loader, arch)
				checkPrepared(t, p, &r, h, &set)
			}
		}
	})
}

// checkPrepared: what clients of one class get is what the attributes set for them.
func checkPrepared(t *testing.T, p *Prepared, r *boot, h *clusto.Host, set *[256][]byte) {
	t.Helper()
	lease, t1, t2 := leaseTimes(set)
	if p.lease != lease || p.t1 != t1 || p.t2 != t2 || !bytes.Equal(p.server[:], slices.Concat(set[54], make([]byte, 4-len(set[54])))) {
		t.Errorf("lease %d, T1 %d, T2 %d, server %v, want %d, %d, %d, %v", p.lease, p.t1, p.t2, p.server, lease, t1, t2, set[54])
	}
	set[51], set[54], set[58], set[59] = nil, nil, nil, nil
	for i := range p.bindings {
		want := *set
		j := slices.IndexFunc(h.Addresses, func(a clusto.Address) bool { return a.IP.As4() == p.bindings[i].yiaddr() })
		networkOptions(&want, h.Addresses[j])
		var got [256][]byte
		for _, opts := range []string{p.bindings[i].opts.Value(), p.body.Value(), r.opts.Value()} {
			last := -1
			for opts != "" {
				code, one := first(opts)
				if int(code) <= last || len(one) < 3 || got[code] != nil {
					t.Errorf("option %d of %d bytes behind %d, or twice", code, len(one), last)
				}
				for part := one; part != ""; part = part[2+int(part[1]):] {
					got[code] = append(got[code], part[2:2+int(part[1])]...)
				}
				last, opts = int(code), opts[len(one):]
			}
		}
		for code := range want {
			if !bytes.Equal(got[code], want[code]) {
				t.Errorf("option %d is % x, want % x", code, got[code], want[code])
			}
		}
	}
}

// FuzzPrepared: bytes of a kept host are taken, and, whatever was done to them, refused or
// make a host that can be answered from, and that is kept as the same bytes ever after.
func FuzzPrepared(f *testing.F) {
	for name, p := range saved(f) {
		b, _ := p.AppendBinary(nil)
		var q Prepared
		if err := q.UnmarshalBinary(b); err != nil {
			f.Errorf("%s: %v", name, err)
		}
		if again, _ := q.AppendBinary(nil); !bytes.Equal(again, b) {
			f.Errorf("%s: % x was kept as % x", name, b, again)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q Prepared
		if p.UnmarshalBinary(b) != nil {
			return
		}
		again, _ := p.AppendBinary(nil)
		if err := q.UnmarshalBinary(again); err != nil || q.Verdict != p.Verdict || len(q.bindings) != len(p.bindings) {
			t.Fatalf("%v: %+v became %+v", err, p, q)
		}
		if more, _ := q.AppendBinary(nil); !bytes.Equal(more, again) {
			t.Errorf("kept as % x, and then as % x", again, more)
		}
		if a, b := answers(t, &p), answers(t, &q); !bytes.Equal(a, b) {
			t.Errorf("answers of % x, and kept once more of % x", a, b)
		}
	})
}
