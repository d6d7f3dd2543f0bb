package dhcp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

// option gives one option out of p's, all instances joined.
func (p *Prepared) option(code byte) []byte {
	var out []byte
	for _, opts := range []string{p.bindings[0].opts.Value(), p.body.Value()} {
		for one := find(opts, code); one != ""; one = one[2+int(one[1]):] {
			out = append(out, one[2:2+int(one[1])]...)
		}
	}
	return out
}

// TestOptionTypes: every type of the table, from every kind of value that
// clusto holds.
func TestOptionTypes(t *testing.T) {
	tftp := clusto.Value{Type: clusto.Relation, Str: "/server/tftp1", Addrs: []netip.Addr{netip.MustParseAddr("10.42.0.7"), netip.MustParseAddr("10.42.0.8")}}
	for _, c := range []struct {
		name  string
		value any
		code  byte
		want  string // hex
	}{
		{"swap-server", "10.0.0.1", 16, "0a000001"},
		{"swap-server", tftp, 16, "0a2a0007"},
		{"NTP_server", "10.0.0.1", 42, "0a000001"},
		{"NTP_server", "10.0.0.1,10.0.0.2", 42, "0a0000010a000002"},
		{"NTP_server", "10.0.0.1, 10.0.0.2", 42, "0a0000010a000002"},
		{"NTP_server", jsonValue(`["10.0.0.1","10.0.0.2"]`), 42, "0a0000010a000002"},
		{"NTP_server", tftp, 42, "0a2a00070a2a0008"},
		{"tftp_server", tftp, 66, hex.EncodeToString([]byte("10.42.0.7"))},
		{"static-routes", "10.0.0.1,10.0.0.2", 33, "0a0000010a000002"},
		{"static-routes", jsonValue(`[["10.0.0.1","10.0.0.2"]]`), 33, "0a0000010a000002"},
		{"classless_static_routes", "10.0.0.0/8:192.168.1.1", 121, "080ac0a80101"},
		{"classless_static_routes", "0.0.0.0/0:192.168.1.1,10.17.0.0/16:10.0.0.1", 121, "00c0a80101100a110a000001"},
		{"classless_static_routes", jsonValue(`[["10.42.0.128/25","10.0.0.1"]]`), 121, "190a2a00800a000001"},
		{"default_ttl", 64, 23, "40"},
		{"default_ttl", "64", 23, "40"},
		{"default_ttl", "0x40", 23, "40"},
		{"default_ttl", "064", 23, "40"},
		{"interface-mtu", 9000, 26, "2328"},
		{"arp_cache_timeout", "4000000000", 35, "ee6b2800"},
		{"time_zone", -3600, 2, "fffff1f0"},
		{"time_zone", "-3600", 2, "fffff1f0"},
		{"path-mtu-plateau-table", "68,296", 25, "00440128"},
		{"path-mtu-plateau-table", jsonValue("[68,296]"), 25, "00440128"},
		{"ip-forwarding", "true", 19, "01"},
		{"ip-forwarding", 0, 19, "00"},
		{"domain", "example.org", 15, hex.EncodeToString([]byte("example.org"))},
		{"domain", 42, 15, "3432"}, // the original lost the whole reply over this
		{"domain", "Köln", 15, hex.EncodeToString([]byte("Köln"))},
		{"vendor_specific", "0x0102", 43, "0102"},
		{"vendor_specific", "01:02:ff", 43, "0102ff"},
		{"vendor_specific", "no hex: text", 43, hex.EncodeToString([]byte("no hex: text"))},
		{"domain_search", "a.example.org,b", 119, "016107" + hex.EncodeToString([]byte("example")) + "036f7267000162" + "00"},
		{"client-last-transaction-time", 7, 91, "00000007"},
		{"pxe_client_architecture", "0,7", 93, "00000007"},
		{"pxelinux-reboottime", "30", 211, "0000001e"},
		{"pxelinux-configfile", "pxelinux.cfg/default", 208, "f100747e"},
		{"pxelinux-magic", "anything", 208, "f100747e"},
		{"subnet_mask", "255.255.254.0", 1, "fffffe00"},
		{"router", "10.42.0.2,10.42.0.3", 3, "0a2a00020a2a0003"},
		{"hostname", "web-1.example.org", 12, hex.EncodeToString([]byte("web-1.example.org"))},
		{"domain", strings.Repeat("x", 300), 15, strings.Repeat("78", 300)},
	} {
		p := prepared(t, testHost(attr(c.name, c.value)))
		if got := hex.EncodeToString(p.option(c.code)); got != c.want {
			t.Errorf("%s = %v: option %d is %s, want %s", c.name, c.value, c.code, got, c.want)
		}
	}
}

// TestValuesThatDoNotFit: one warning naming entity, attribute and reason, and
// the rest of the answer stands.
func TestValuesThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name   string
		value  any
		code   byte
		reason string
	}{
		{"NTP_server", "ntp.example.org", 42, "want an IPv4 address"},
		{"NTP_server", "", 42, "empty"},
		{"NTP_server", 17, 42, "want an IPv4 address"},
		{"NTP_server", "2001:db8::1", 42, "want an IPv4 address"},
		{"NTP_server", jsonValue(`{"a":1}`), 42, "want a text"},
		{"NTP_server", jsonValue(`[`), 42, "no JSON"},
		{"static-routes", "10.0.0.1", 33, "pairs"},
		{"default_ttl", 256, 23, "from 0 to 255"},
		{"default_ttl", "many", 23, "want a number"},
		{"interface-mtu", 65536, 26, "from 0 to 65535"},
		{"time_zone", 1 << 31, 2, "from -2147483648"},
		{"ip-forwarding", "maybe", 19, "want 1 or 0"},
		{"vendor_specific", "0x012", 43, "hex"},
		{"domain_search", "a..b", 119, "labels"},
		{"classless_static_routes", "10.0.0.0:10.0.0.1", 121, "prefix"},
		{"hostname", "web_1", 12, "legal host name"},
		{"hostname", "-web", 12, "legal host name"},
		{"no_such_option", "x", 0, "unknown option"},
		{"requested_addr", "10.0.0.1", 50, "may not be set"},
		{"dhcp-option-overload", 1, 52, "may not be set"},
		{"message-type", 2, 53, "may not be set"},
		{"param_req_list", "1,3", 55, "may not be set"},
		{"max_dhcp_size", 1500, 57, "may not be set"},
		{"client_id", "x", 61, "may not be set"},
		{"relay_agent_information", "x", 82, "may not be set"},
		{"end", "x", 255, "may not be set"},
		{"pad", "x", 0, "may not be set"},
		{"lease_time", 3, 51, "too short"},
		{"renewal_time", 7200, 58, "not below T2"},
		{"rebinding_time", 3600, 59, "not below the lease"},
		{"tftp_filename", strings.Repeat("f", 128), 67, "do not fit the file field"},
	} {
		p, warnings := Prepare(testHost(attr(c.name, c.value), attr("log_server", "10.42.0.9")), PrepareConfig{})
		if len(warnings) != 1 {
			t.Errorf("%s = %v: warnings = %v, want one", c.name, c.value, warnings)
			continue
		}
		w := warnings[0]
		if !strings.Contains(w.Reason, c.reason) || w.Attribute != c.name || w.Entity == "" {
			t.Errorf("%s = %v: warning = %q, want one about %q", c.name, c.value, w, c.reason)
		}
		if p.Verdict != engine.Reply || p.option(7) == nil {
			t.Errorf("%s = %v: the rest of the answer did not stand", c.name, c.value)
		}
		if c.code != 67 && c.code != 0 && c.code != 12 && p.option(c.code) != nil {
			t.Errorf("%s = %v: option %d is set all the same", c.name, c.value, c.code)
		}
	}
}

func TestSeveralAttributesOfOneName(t *testing.T) {
	p := prepared(t, testHost(attr("NTP_server", "10.0.0.1"), attr("NTP_server", "10.0.0.2"), attr("domain", "a"), attr("domain", "b")))
	if got := hex.EncodeToString(p.option(42)); got != "0a0000010a000002" {
		t.Errorf("a list option holds %s, want both", got)
	}
	if got := string(p.option(15)); got != "b" {
		t.Errorf("a single option holds %q, want the last", got)
	}
}

func TestTwoNamesOfOneCode(t *testing.T) {
	near := attr("tftp_server_name", "near")
	near.Distance, near.Origin = 0, "/server/s0001"
	for _, attrs := range [][]clusto.Attr{{attr("tftp_server", "far"), near}, {near, attr("tftp_server", "far")}} {
		if got := string(prepared(t, testHost(attrs...)).option(66)); got != "near" {
			t.Errorf("option 66 = %q, want the more specific one", got)
		}
	}
}

func TestExtraOptions(t *testing.T) {
	p, warnings := Prepare(testHost(attr("boot-menu", "x"), attr("controller", "10.0.0.1")),
		PrepareConfig{Extra: map[string]byte{"boot-menu": 224, "controller": 138}})
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	if string(p.option(224)) != "x" || hex.EncodeToString(p.option(138)) != "0a000001" {
		t.Errorf("224 = %q, 138 = % x", p.option(224), p.option(138))
	}
}

// TestExtraOptionInHex: iPXE is told not to wait for other DHCP servers by bytes,
// under a code that has no name; they went out as text.
func TestExtraOptionInHex(t *testing.T) {
	extra := PrepareConfig{Extra: map[string]byte{"ipxe": 175, "text": 224, "file": 209}}
	for _, c := range []struct {
		name  string
		value any
		code  byte
		want  string
	}{
		{"ipxe", "0xb00101", 175, "\xb0\x01\x01"},
		{"ipxe", "0XB00101", 175, "\xb0\x01\x01"},
		{"text", "10:30", 224, "10:30"},
		{"text", 7, 224, "7"},
		{"file", "0xb00101", 209, "0xb00101"}, // a code whose encoding is known
	} {
		p, warnings := Prepare(testHost(attr(c.name, c.value)), extra)
		if got := string(p.option(c.code)); len(warnings) > 0 || got != c.want {
			t.Errorf("%s = %v: %q, %v; want %q", c.name, c.value, got, warnings, c.want)
		}
	}
	for _, odd := range []string{"0xb", "0xhello", "0x"} {
		p, warnings := Prepare(testHost(attr("ipxe", odd)), extra)
		if len(warnings) != 1 || p.option(175) != nil || p.Verdict != engine.Reply {
			t.Errorf("%q: % x, %v; want one warning", odd, p.option(175), warnings)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		lease, t1, t2 any // attributes, nil for none
		want          [3]uint32
	}{
		{nil, nil, nil, [3]uint32{3600, 1600, 3150}},
		{7200, nil, nil, [3]uint32{7200, 1600, 6300}},
		{600, nil, nil, [3]uint32{600, 300, 525}},
		{"60", nil, nil, [3]uint32{60, 30, 52}},
		{4, nil, nil, [3]uint32{4, 2, 3}},
		{3600, 1800, 2700, [3]uint32{3600, 1800, 2700}},
		{3600, nil, 1000, [3]uint32{3600, 999, 1000}},
		{4294967295, nil, nil, [3]uint32{4294967295, 1600, 3758096383}},
	} {
		var attrs []clusto.Attr
		for i, v := range []any{c.lease, c.t2, c.t1} {
			if v != nil {
				attrs = append(attrs, attr([]string{"lease_time", "rebinding_time", "renewal_time"}[i], v))
			}
		}
		p := prepared(t, testHost(attrs...))
		if got := [3]uint32{p.lease, p.t1, p.t2}; got != c.want {
			t.Errorf("lease %v, T1 %v, T2 %v: got %v, want %v", c.lease, c.t1, c.t2, got, c.want)
		}
	}
}

func siaddr(p *Prepared) [4]byte { return p.boots.Value()[0][0].siaddr }

func TestSiaddr(t *testing.T) {
	if p := prepared(t, testHost(attr("tftp_server", "tftp.example.org"))); siaddr(p) != [4]byte{} || string(p.option(66)) != "tftp.example.org" {
		t.Errorf("a server by name: siaddr %v, option 66 %q; want none, and the name", siaddr(p), p.option(66))
	}
	if p := prepared(t, testHost()); siaddr(p) != [4]byte{} {
		t.Errorf("no server: siaddr %v", siaddr(p))
	}
	relation := clusto.Value{Type: clusto.Relation, Str: "/server/tftp1"}
	if p := prepared(t, testHost(attr("tftp_server", relation))); siaddr(p) != [4]byte{} || string(p.option(66)) != "tftp1" {
		t.Errorf("an entity without address: siaddr %v, option 66 %q; want none, and its name", siaddr(p), p.option(66))
	}
	relation.Addrs = []netip.Addr{netip.MustParseAddr("10.42.0.7")}
	if p := prepared(t, testHost(attr("tftp_server", relation))); siaddr(p) != ip4("10.42.0.7") {
		t.Errorf("an entity with an address: siaddr %v", siaddr(p))
	}
}

func TestEligibleAddresses(t *testing.T) {
	addr := func(ip, port string) clusto.Address {
		return clusto.Address{IP: netip.MustParseAddr(ip), OSPort: port, Network: net42}
	}
	h := testHost()
	h.Addresses = []clusto.Address{
		addr("203.0.113.5", ""), addr("10.42.0.20", ""), addr("10.42.0.9", "eth1"), addr("192.168.1.1", "eth0"),
		addr("10.42.0.200", "ipmi0"), addr("8.8.8.8", "eth0"), addr("10.42.0.20", ""),
		{IP: netip.MustParseAddr("2001:db8::1")},
	}
	h.OSPort = "eth0"
	list := func(h *clusto.Host) (s []string) {
		for _, a := range eligible(h, "ipmi0") {
			s = append(s, a.IP.String())
		}
		return s
	}
	if got, want := list(h), []string{"192.168.1.1", "8.8.8.8", "10.42.0.9", "10.42.0.20", "203.0.113.5"}; !slices.Equal(got, want) {
		t.Errorf("of the host: %v\nwant %v", got, want)
	}
	h.OSPort = "" // names no interface: then none comes first
	if got, want := list(h), []string{"10.42.0.9", "10.42.0.20", "192.168.1.1", "8.8.8.8", "203.0.113.5"}; !slices.Equal(got, want) {
		t.Errorf("of a port that names no interface: %v\nwant %v", got, want)
	}
	h.BMC = true
	if got, want := list(h), []string{"10.42.0.200"}; !slices.Equal(got, want) {
		t.Errorf("of its BMC: %v, want %v", got, want)
	}
}

func TestAddressWithoutManager(t *testing.T) {
	h := testHost()
	h.Addresses = []clusto.Address{{IP: netip.MustParseAddr("10.42.0.11")}}
	p, warnings := Prepare(h, PrepareConfig{})
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "10.42.0.11") {
		t.Errorf("warnings = %v, want one about the address", warnings)
	}
	v, out := answerTo(t, p, Site{}, ask{typ: discover})
	if v != engine.Reply {
		t.Fatalf("verdict = %v: the interface's network holds the address", v)
	}
	if r := decode(t, out); r.opt(1) != nil || r.opt(3) != nil {
		t.Error("a netmask or router out of nowhere")
	}
}

func TestHostnameOfEntity(t *testing.T) {
	if got := prepared(t, testHost()).option(12); string(got) != "s0001" {
		t.Errorf("option 12 = %q, want the entity's name", got)
	}
	h := testHost()
	h.Hostname = "not_legal"
	p, warnings := Prepare(h, PrepareConfig{})
	if p.option(12) != nil || len(warnings) != 1 {
		t.Errorf("option 12 = %q, warnings = %v; want none and one", p.option(12), warnings)
	}
}

// TestBodiesAreShared: a pool's hosts cost their options once.
func TestBodiesAreShared(t *testing.T) {
	a := prepared(t, testHost(attr("domain", "example.org"), attr("hostname", "same")))
	b := prepared(t, testHost(attr("domain", "example.org"), attr("hostname", "same")))
	if a.body != b.body || !bytes.Equal([]byte(a.body.Value()), []byte(b.body.Value())) {
		t.Error("equal bodies are not interned")
	}
}

// TestIPManagerIsNoOption: the attribute tells clusto-snmptrapd where addresses
// come from, and is no mistake.
func TestIPManagerIsNoOption(t *testing.T) { prepared(t, testHost(attr("ipmanager", "nodes"))) }
