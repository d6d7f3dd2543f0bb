package dhcp

import (
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

// optionRow is a name of scapy's, or of the original's services.conf.
type optionRow struct {
	code byte
	name string
	typ  string // of the value, as its RFC has it
}

// unsaid gives the types that the table leaves open. The others of these are
// text or bytes, whatever the attribute says.
var unsaid = map[byte]string{
	88: "domains", 91: "uint32", 93: "uint16 list", 97: "opaque", 114: "string", 124: "opaque", 125: "opaque",
	128: "ip", 137: "domains", 141: "domains", 213: "domains",
}

// optionTable reads testdata/options.tsv: one row for a name, the newest.
func optionTable(t *testing.T) map[string]optionRow {
	t.Helper()
	b, err := os.ReadFile("testdata/options.tsv")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]optionRow{"domain_search": {119, "domain_search", "domains"}}
	for line := range strings.Lines(string(b)) {
		col := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		code, err := strconv.ParseUint(col[1], 10, 8)
		if err != nil {
			continue // the head
		}
		r := optionRow{byte(code), col[2], col[4]}
		if typ := unsaid[r.code]; typ != "" {
			r.typ = typ
		}
		switch r.code {
		case 12:
			r.typ = "host"
		case 66:
			r.typ = "server"
		}
		table[r.name] = r
	}
	return table
}

// relations to an entity with two addresses, and to one without.
var (
	toServer = clusto.Value{Type: clusto.Relation, Str: "/server/tftp1", Addrs: []netip.Addr{netip.MustParseAddr("10.42.0.7"), netip.MustParseAddr("10.42.0.8")}}
	toRack   = clusto.Value{Type: clusto.Relation, Str: "/rack/r01"}
)

// form is a value as clusto holds it, and the option in hex.
type form struct {
	value any
	want  string
}

// forms are the values of every type that fit, in all forms that it allows, and
// some that do not.
var forms = map[string]struct {
	fit   []form
	unfit []any
}{
	"ip": {
		[]form{{"10.42.0.7", "0a2a0007"}, {" 10.42.0.7 ", "0a2a0007"}, {jsonValue(`"10.42.0.7"`), "0a2a0007"}, {jsonValue(`["10.42.0.7"]`), "0a2a0007"}, {toServer, "0a2a0007"}},
		[]any{"", 17, "tftp1.example.org", "10.42.0.7,10.42.0.8", "10.42.0.07", "2001:db8::1", jsonValue(`["10.42.0.7","10.42.0.8"]`), jsonValue(`{}`), jsonValue(`[]`), toRack},
	},
	"ip list": {
		[]form{{"10.42.0.7", "0a2a0007"}, {"10.42.0.7,10.42.0.8", "0a2a00070a2a0008"}, {jsonValue(`["10.42.0.7","10.42.0.8"]`), "0a2a00070a2a0008"}, {toServer, "0a2a00070a2a0008"}},
		[]any{"", ",", 17, "ntp.example.org", "10.42.0.7,ntp", jsonValue(`[7]`), jsonValue(`[`), toRack},
	},
	"ip pairs": {
		[]form{{"10.0.0.0,255.0.0.0", "0a000000ff000000"}, {jsonValue(`["10.0.0.0","255.0.0.0"]`), "0a000000ff000000"}, {jsonValue(`[["10.0.0.0","255.0.0.0"]]`), "0a000000ff000000"}},
		[]any{"", 17, "10.0.0.0", "10.0.0.0/8,10.0.0.1", jsonValue(`["10.0.0.0"]`), toRack},
	},
	"routes": {
		[]form{{"10.0.0.0/8:10.42.0.1", "080a0a2a0001"}, {"10.0.0.0/8,10.42.0.1", "080a0a2a0001"}, {jsonValue(`["0.0.0.0/0","10.42.0.1"]`), "000a2a0001"}, {jsonValue(`[["10.0.0.0/8","10.42.0.1"]]`), "080a0a2a0001"}},
		[]any{"", 17, "10.0.0.0/8", "10.0.0.0/33:10.42.0.1", "10.0.0.0/8:gw", jsonValue(`{"10.0.0.0/8":"10.42.0.1"}`), toRack},
	},
	"uint8": {
		[]form{{64, "40"}, {"64", "40"}, {"0x40", "40"}, {jsonValue("64"), "40"}, {jsonValue("[64]"), "40"}},
		[]any{"", 256, -1, "many", "6.4", jsonValue("[6,4]"), jsonValue("6.4"), jsonValue("6 4"), toServer},
	},
	"uint16": {
		[]form{{9000, "2328"}, {"9000", "2328"}, {jsonValue("9000"), "2328"}},
		[]any{"", 65536, -1, "many", jsonValue("null"), toServer},
	},
	"uint32": {
		[]form{{7, "00000007"}, {"7", "00000007"}, {"0x07", "00000007"}, {jsonValue("7"), "00000007"}},
		[]any{"", -1, "4294967296", "soon", jsonValue("[7,7]"), toServer},
	},
	"int32": {
		[]form{{-3600, "fffff1f0"}, {"-3600", "fffff1f0"}, {3600, "00000e10"}, {jsonValue("-3600"), "fffff1f0"}},
		[]any{"", 1 << 31, "-2147483649", "UTC", toServer},
	},
	"uint16 list": {
		[]form{{68, "0044"}, {"68,296", "00440128"}, {"68 296", "00440128"}, {jsonValue("[68,296]"), "00440128"}},
		[]any{"", "68,65536", "a", jsonValue("[[]]"), toServer},
	},
	"flag": {
		[]form{{1, "01"}, {0, "00"}, {"1", "01"}, {"true", "01"}, {"no", "00"}, {jsonValue("false"), "00"}},
		[]any{"", 2, "maybe", jsonValue("[true,false]"), toServer},
	},
	"string": {
		[]form{{"Text, as it is", text("Text, as it is")}, {42, text("42")}, {jsonValue(`"text"`), text("text")}, {jsonValue("42"), text("42")}, {toServer, text("tftp1")}},
		[]any{"", jsonValue(`["a","b"]`), jsonValue(`{"a":1}`), jsonValue("text")},
	},
	"server": {
		[]form{{"10.42.0.7", text("10.42.0.7")}, {"tftp.example.org", text("tftp.example.org")}, {toServer, text("10.42.0.7")}, {toRack, text("r01")}},
		[]any{"", jsonValue(`["10.42.0.7","10.42.0.8"]`)},
	},
	"host": {
		[]form{{"web-1", text("web-1")}, {"web-1.example.org", text("web-1.example.org")}, {42, text("42")}, {jsonValue(`"web-1"`), text("web-1")}, {toServer, text("tftp1")}},
		[]any{"web_1", "web 1", "-web", jsonValue(`["a","b"]`)},
	},
	"opaque": {
		[]form{{"0x0102ff", "0102ff"}, {"01:02:FF", "0102ff"}, {"text", text("text")}, {42, text("42")}, {jsonValue(`"0x0102ff"`), "0102ff"}, {toRack, text("r01")}},
		[]any{"", "0x012", "0xzz", jsonValue(`["0x01","0x02"]`)},
	},
	"domains": {
		[]form{{"a.example.org", "0161" + "07" + text("example") + "03" + text("org") + "00"}, {"a,b.", "016100016200"}, {jsonValue(`["a","b"]`), "016100016200"}, {toRack, "03" + text("r01") + "00"}},
		[]any{"", "a..b", "a." + strings.Repeat("b", 64), strings.Repeat("a.", 127) + "a", jsonValue(`{}`)},
	},
	"?":                   {fit: []form{{"text", text("text")}, {42, text("42")}, {jsonValue(`"text"`), text("text")}}, unfit: []any{"", jsonValue(`["a","b"]`)}},
	"4 bytes f1 00 74 7e": {fit: []form{{"x", "f100747e"}, {1, "f100747e"}, {jsonValue("[]"), "f100747e"}}},
	"-":                   {},
	"byte list":           {},
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

// TestEveryOptionName takes every name of the table through a reply, with
// values of every form that its type allows, and with such as do not fit: those
// are one warning each, and the rest of the answer stands.
func TestEveryOptionName(t *testing.T) {
	table := optionTable(t)
	for name, code := range optionCodes {
		if r, ok := table[name]; !ok || r.code != code {
			t.Errorf("%s is option %d here, and %d in the table", name, code, r.code)
		}
	}
	for name, r := range table {
		f, ok := forms[r.typ]
		if !ok {
			t.Fatalf("%s: no forms of type %q", name, r.typ)
		}
		if _, ok := refused[r.code]; ok {
			refuses(t, r)
			continue
		}
		for _, v := range f.fit {
			taken(t, r, v)
		}
		for _, v := range f.unfit {
			r.warned(t, v, "left out: ")
		}
	}
}

// refuses: what belongs to others may not be set, however it is written.
func refuses(t *testing.T, r optionRow) {
	t.Helper()
	for _, v := range []any{"10.42.0.7", 1, jsonValue("[1]"), toServer} {
		r.warned(t, v, "option "+strconv.Itoa(int(r.code))+" may not be set")
	}
}

// taken: the value goes out as v.want, and nobody is warned.
func taken(t *testing.T, r optionRow, v form) {
	t.Helper()
	p, warnings := Prepare(testHost(attr(r.name, v.value)), PrepareConfig{})
	for _, w := range warnings {
		t.Errorf("%s = %v: %s", r.name, v.value, w)
	}
	verdict, out := answerTo(t, p, Site{}, ask{typ: discover})
	if verdict != engine.Reply {
		t.Errorf("%s = %v: %v", r.name, v.value, verdict)
		return
	}
	if got := hex.EncodeToString(decode(t, out).opt(r.code)); got != v.want {
		t.Errorf("%s = %v: option %d is %s, want %s", r.name, v.value, r.code, got, v.want)
	}
}

// warned checks that a value is one warning with entity, attribute and reason,
// and that the reply has the network's netmask and another attribute's option.
func (r optionRow) warned(t *testing.T, v any, reason string) {
	t.Helper()
	other, code := "root_disk_path", byte(17)
	if r.code == code {
		other, code = "dump_path", 14
	}
	p, warnings := Prepare(testHost(attr(r.name, v), attr(other, "/export")), PrepareConfig{})
	if len(warnings) != 1 {
		t.Errorf("%s = %v: warnings %v, want one", r.name, v, warnings)
		return
	}
	if w := warnings[0]; w.Entity != "/pool/pxeboot-servers" || w.Attribute != r.name || !strings.Contains(w.Reason, reason) || strings.HasSuffix(w.Reason, ": ") {
		t.Errorf("%s = %v: warning %q, want one about %q", r.name, v, w, reason)
	}
	verdict, out := answerTo(t, p, Site{}, ask{typ: discover})
	if verdict != engine.Reply {
		t.Errorf("%s = %v: %v", r.name, v, verdict)
		return
	}
	reply := decode(t, out)
	if string(reply.opt(code)) != "/export" || len(reply.opt(1)) != 4 {
		t.Errorf("%s = %v: the rest of the answer did not stand: %v", r.name, v, reply.codes())
	}
}
