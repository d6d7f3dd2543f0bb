package dhcp

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

// client is how the boot stages of a machine show themselves: vendor class, and
// options 77, 93 and 175.
type client struct {
	vendor string
	opts   []byte
}

func (c client) ask() ask { return ask{typ: discover, vendor: c.vendor, opts: c.opts} }

func arch(typ byte) []byte { return []byte{93, 2, 0, typ} }

var (
	iPXEClass = []byte{77, 4, 'i', 'P', 'X', 'E'}
	clients   = map[string]client{
		"an operating system":            {"", nil},
		"dhclient with a class":          {"anaconda-Linux", nil},
		"PXE, BIOS":                      {"PXEClient:Arch:00000:UNDI:002001", arch(0)},
		"PXE, BIOS, by its class alone":  {"PXEClient:Arch:00000:UNDI:002001", nil},
		"PXE, UEFI x64":                  {"PXEClient:Arch:00007:UNDI:003016", arch(7)},
		"PXE, UEFI x64, by RFC's letter": {"PXEClient:Arch:00009:UNDI:003016", arch(9)},
		"PXE, UEFI x64, two types":       {"PXEClient", []byte{93, 4, 0, 7, 0, 0}},
		"PXE, UEFI x64, class alone":     {"PXEClient:Arch:00007:UNDI:003016", nil},
		"PXE, UEFI IA32":                 {"PXEClient:Arch:00006:UNDI:003016", arch(6)},
		"PXE, UEFI ARM64":                {"PXEClient:Arch:00011:UNDI:003000", arch(11)},
		"PXE, RISC-V":                    {"PXEClient:Arch:00027:UNDI:003000", arch(27)},
		"PXE, no type at all":            {"PXEClient", nil},
		"PXE, a broken class":            {"PXEClient:Arch:7", nil},
		"PXE, no digits":                 {"PXEClient:Arch:0000?:UNDI:003016", nil}, // '?' is 15 behind '0', and 15 is an IA32
		"PXE, a slash":                   {"PXEClient:Arch:0001/:UNDI:003016", nil}, // '/' is -1, and 9 an x64
		"HTTP, UEFI x64":                 {"HTTPClient:Arch:00016:UNDI:003001", arch(16)},
		"HTTP, UEFI ARM64":               {"HTTPClient:Arch:00019:UNDI:003001", arch(19)},
		"iPXE, BIOS":                     {"PXEClient:Arch:00000:UNDI:002001", slices.Concat(arch(0), iPXEClass, []byte{175, 3, 39, 1, 1})},
		"iPXE, UEFI x64, class alone":    {"PXEClient:Arch:00007:UNDI:003016", slices.Concat(arch(7), iPXEClass)},
		"iPXE, class as RFC 3004 has it": {"PXEClient", []byte{77, 5, 4, 'i', 'P', 'X', 'E'}},
		"another user class":             {"PXEClient", []byte{77, 4, 'g', 'r', 'u', 'b'}},
	}
)

// TestBootByClient: one pool boots BIOS, UEFI, HTTP and iPXE machines.
func TestBootByClient(t *testing.T) {
	p := prepared(t, testHost(
		attr("tftp_filename", "any"), attr("tftp_filename-bios", "undionly.kpxe"), attr("tftp_filename-efi64", "ipxe64.efi"),
		attr("tftp_filename-efi32", "ipxe32.efi"), attr("tftp_filename-arm64", "ipxearm.efi"),
		attr("tftp_filename-ipxe", "http://boot/menu.ipxe"), attr("tftp_filename-http", "http://boot/ipxe.efi"),
		attr("tftp_server", "10.42.0.7"), attr("tftp_server-ipxe", "10.42.0.8"),
	))
	for name, file := range map[string]string{
		"an operating system": "any", "dhclient with a class": "any",
		"PXE, BIOS": "undionly.kpxe", "PXE, BIOS, by its class alone": "undionly.kpxe",
		"PXE, UEFI x64": "ipxe64.efi", "PXE, UEFI x64, by RFC's letter": "ipxe64.efi",
		"PXE, UEFI x64, two types": "ipxe64.efi", "PXE, UEFI x64, class alone": "ipxe64.efi",
		"PXE, UEFI IA32": "ipxe32.efi", "PXE, UEFI ARM64": "ipxearm.efi", "PXE, RISC-V": "any",
		"PXE, no type at all": "any", "PXE, a broken class": "any", "PXE, no digits": "any", "PXE, a slash": "any",
		"HTTP, UEFI x64": "http://boot/ipxe.efi", "HTTP, UEFI ARM64": "http://boot/ipxe.efi",
		"iPXE, BIOS": "http://boot/menu.ipxe", "iPXE, UEFI x64, class alone": "http://boot/menu.ipxe",
		"iPXE, class as RFC 3004 has it": "http://boot/menu.ipxe", "another user class": "any",
	} {
		v, out := answerTo(t, p, Site{}, clients[name].ask())
		if v != engine.Reply {
			t.Errorf("%s: %v", name, v)
			continue
		}
		r := decode(t, out)
		if got := strings.TrimRight(string(r.dhcp.File), "\x00"); got != file || string(r.opt(67)) != file {
			t.Errorf("%s: file %q, option 67 %q; want %q", name, got, r.opt(67), file)
		}
		server := "10.42.0.7"
		if strings.HasPrefix(name, "iPXE") {
			server = "10.42.0.8"
		}
		if got := r.dhcp.NextServerIP.String(); got != server || string(r.opt(66)) != server {
			t.Errorf("%s: siaddr %s, option 66 %q; want %s", name, got, r.opt(66), server)
		}
		if n := slices.Index(r.codes(), 67); n >= 0 && slices.Contains(r.codes()[n+1:], 67) {
			t.Errorf("%s: option 67 twice in %v", name, r.codes())
		}
	}
}

// TestQualifiersRank: a qualified attribute beats an unqualified one wherever
// they are set, the loader beats the architecture, and the nearer of two equals
// wins.
func TestQualifiersRank(t *testing.T) {
	near := func(name, value string) clusto.Attr {
		a := attr(name, value)
		a.Distance, a.Origin = 0, "/server/s0001"
		return a
	}
	for _, c := range []struct {
		name   string
		attrs  []clusto.Attr
		client string
		want   string // option 67
	}{
		{"of the pool over the server's", []clusto.Attr{near("tftp_filename", "own"), attr("tftp_filename-ipxe", "menu")}, "iPXE, BIOS", "menu"},
		{"of the server over the pool's", []clusto.Attr{attr("tftp_filename", "far"), near("tftp_filename-ipxe", "menu")}, "iPXE, BIOS", "menu"},
		{"not for this client", []clusto.Attr{near("tftp_filename-efi64", "efi"), attr("tftp_filename", "any")}, "PXE, BIOS", "any"},
		{"for others alone", []clusto.Attr{attr("tftp_filename-efi64", "efi")}, "PXE, BIOS", ""},
		{"loader over architecture", []clusto.Attr{near("tftp_filename-bios", "bios"), attr("tftp_filename-ipxe", "menu")}, "iPXE, BIOS", "menu"},
		{"no loader of its own", []clusto.Attr{attr("tftp_filename-bios", "bios"), attr("tftp_filename", "any")}, "iPXE, BIOS", "bios"},
		{"two names of one option", []clusto.Attr{attr("boot-file-name-bios", "far"), near("tftp_filename-bios", "own")}, "PXE, BIOS", "own"},
		{"two names, the other way about", []clusto.Attr{near("boot-file-name-bios", "own"), attr("tftp_filename-bios", "far")}, "PXE, BIOS", "own"},
	} {
		_, out := answerTo(t, prepared(t, testHost(c.attrs...)), Site{}, clients[c.client].ask())
		if r := decode(t, out); string(r.opt(67)) != c.want {
			t.Errorf("%s: %q, want %q", c.name, r.opt(67), c.want)
		}
	}
}

// TestQualifiedOptions: any option may be qualified, but for those that are the
// same for all; what is no qualifier is part of the name.
func TestQualifiedOptions(t *testing.T) {
	p := prepared(t, testHost(attr("vendor_class_id-http", "HTTPClient:mine"), attr("domain-efi64", "efi.example.org"), attr("domain", "example.org")))
	_, out := answerTo(t, p, Site{}, clients["HTTP, UEFI x64"].ask())
	if r := decode(t, out); string(r.opt(60)) != "HTTPClient:mine" || string(r.opt(15)) != "efi.example.org" || slices.Contains(r.codes()[slices.Index(r.codes(), 60)+1:], 60) {
		t.Errorf("options %v, 60 is %q, 15 is %q", r.codes(), r.opt(60), r.opt(15))
	}
	_, out = answerTo(t, p, Site{}, ask{typ: discover})
	if r := decode(t, out); r.opt(60) != nil || string(r.opt(15)) != "example.org" {
		t.Errorf("another client: 60 is %q, 15 is %q", r.opt(60), r.opt(15))
	}
	for name, reason := range map[string]string{
		"router-efi64": "same for all clients", "lease_time-ipxe": "same for all clients", "server_id-bios": "same for all clients",
		"client_id-bios": "may not be set", "tftp_filename-mips": "unknown option", "tftp_filename-": "unknown option",
		"efi64": "unknown option", "-efi64": "unknown option", "tftp_filename-efi64-ipxe": "unknown option",
	} {
		_, warnings := Prepare(testHost(attr(name, "10.42.0.9")), PrepareConfig{})
		if len(warnings) != 1 || !strings.Contains(warnings[0].Reason, reason) || warnings[0].Attribute != name {
			t.Errorf("%s: %v, want one warning about %q", name, warnings, reason)
		}
	}
	extra := PrepareConfig{Extra: map[string]byte{"menu": 224, "menu-bios": 225}}
	p, warnings := Prepare(testHost(attr("menu-bios", "a name of its own"), attr("menu-efi64", "x")), extra)
	if len(warnings) > 0 || string(p.option(225)) != "a name of its own" || !p.byClass {
		t.Errorf("extra names: %v, 225 is %q", warnings, p.option(225))
	}
}

// TestBootsAreShared: the hosts of a pool hold one set between them.
func TestBootsAreShared(t *testing.T) {
	a, b := testHost(attr("tftp_filename-bios", "x")), testHost(attr("tftp_filename-bios", "x"))
	b.Hostname = "another"
	if pa, pb := prepared(t, a), prepared(t, b); pa.boots != pb.boots || pa.body == pb.body {
		t.Error("boots are not shared, or bodies are mixed up")
	}
}

// TestLongReplyKeepsQualifiedOptions: the slow path knows them too.
func TestLongReplyKeepsQualifiedOptions(t *testing.T) {
	h := longHost()
	h.Attrs = append(h.Attrs, attr("tftp_filename-bios", "undionly.kpxe"))
	a := clients["PXE, BIOS"].ask()
	a.opts = append([]byte{55, 1, 67}, a.opts...)
	_, out := answerTo(t, prepared(t, h), Site{}, a)
	if r := decode(t, out); string(r.opt(67)) != "undionly.kpxe" {
		t.Errorf("option 67 = %q in %v", r.opt(67), r.codes())
	}
}
