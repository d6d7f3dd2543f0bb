package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// rule exempts some exchanges from answering as the original did: in the fields
// that want gives, and with exactly these values, "" for a field that is not
// there. A rule that meets no exchange, two for one field, and one that asks
// for what the original did anyway are mistakes.
type rule struct {
	says string // the sentence of the behaviour that asks for it
	of   func(*exchange) bool
	like string // the exchange that is answered the same, but for want, where the original was silent
	want func(*exchange) answer
}

// named takes exchanges by how their names begin: "2010 DISCOVER s0006", or
// without the recording for both.
func named(names ...string) func(*exchange) bool {
	return func(e *exchange) bool {
		for _, n := range names {
			if strings.HasPrefix(e.What, n) || strings.HasPrefix(e.String(), n) {
				return true
			}
		}
		return false
	}
}

func fixed(a answer) func(*exchange) answer { return func(*exchange) answer { return a } }

func verdict(v engine.Verdict) func(*exchange) answer { return fixed(answer{"verdict": v.String()}) }

// its gives the exchanges in which the original's reply has a field so.
func its(field, val string) func(*exchange) bool {
	return func(e *exchange) bool { return e.Reply != nil && e.Reply[field] == val }
}

func answered(e *exchange) bool { return e.Reply != nil }

// text is a value of an option that is text.
func text(s string) string { return hex.EncodeToString([]byte(s)) }

// addr is a value of an option that is an address.
func addr(s string) string { a := ip(s); return hex.EncodeToString(a[:]) }

// asked gives the request. Broken ones, which some exchanges hold, are zeros.
func asked(e *exchange) (m dhcp4.View, opts dhcp4.Index) {
	b, _ := hex.DecodeString(e.Request) // payload checks it
	m, err := dhcp4.Parse(b)
	if err != nil {
		m, _ = dhcp4.Parse(make([]byte, 300))
	}
	_ = opts.Build(m) // as far as it goes
	return m, opts
}

func requestFlags(e *exchange) string {
	m, _ := asked(e)
	return fmt.Sprintf("%04x", m.Flags())
}

func requestXID(e *exchange) string {
	m, _ := asked(e)
	return fmt.Sprintf("%08x", m.XID())
}

func requestMAC(e *exchange) string {
	m, _ := asked(e)
	mac := m.MAC()
	return net.HardwareAddr(mac[:]).String()
}

func clientID(e *exchange) string {
	_, opts := asked(e)
	id, _ := opts.Get(dhcp4.OptClientID)
	return hex.EncodeToString(id)
}

// path tells how a request came: "relay", "ciaddr" or "".
func path(e *exchange) string {
	switch m, _ := asked(e); {
	case m.GIAddr() != ip("0.0.0.0"):
		return "relay"
	case m.CIAddr() != ip("0.0.0.0"):
		return "ciaddr"
	}
	return ""
}

const (
	s0001     = "DISCOVER s0001: plain host"
	moreWins  = "more specific wins: server over its pool, pool over its parent pool, over the datacenter"
	thenLives = "then a normal DISCOVER s0001"
)

var rules = []rule{
	// What every reply has.
	{says: "BOOTP payload padded with zeros after END", of: answered, want: fixed(answer{"end": "yes"})},
	{
		says: "client-id (RFC 6842) is echoed",
		of:   func(e *exchange) bool { return answered(e) && clientID(e) != "" },
		want: func(e *exchange) answer { return answer{"option 61": clientID(e)} },
	},
	{
		says: "flags are the request's (RFC 2131 section 4.3.1, table 3)",
		of:   func(e *exchange) bool { return answered(e) && requestFlags(e) != e.Reply["flags"] },
		want: func(e *exchange) answer { return answer{"flags": requestFlags(e)} },
	},
	{
		says: "the DISCOVER's xid in the ACK is mended: it is the request's own",
		of:   named("REQUEST s0001 with a new xid", "REQUEST s0001 renewing"),
		want: func(e *exchange) answer { return answer{"xid": requestXID(e)} },
	},
	{
		says: "T1 < T2 < lease always: T2 is 7/8 of the lease (RFC 2131 section 4.4.5)",
		of:   its("option 59", ""),
		want: func(e *exchange) answer {
			lease, _ := hex.DecodeString(e.Reply["option 51"])
			return answer{"option 59": fmt.Sprintf("%08x", uint64(binary.BigEndian.Uint32(lease))*7/8)}
		},
	},
	{
		says: "renewal_time 1600, scaled to half of a shorter lease",
		of:   named("DISCOVER s0002", "REQUEST s0002"),
		want: fixed(answer{"option 58": fmt.Sprintf("%08x", 600/2)}),
	},
	{says: "option 208 is f1 00 74 7e; the original sent 75 by mistake", of: its("option 208", "f100757e"), want: fixed(answer{"option 208": "f100747e"})},

	// Where it goes, and comes from.
	{
		says: "else unicast to yiaddr at chaddr, without ARP",
		of:   func(e *exchange) bool { return answered(e) && requestFlags(e) == "0000" && path(e) == "" },
		want: func(e *exchange) answer { return answer{"eth dst": requestMAC(e), "ip dst": e.Reply["yiaddr"]} },
	},
	{
		says: "giaddr set: to giaddr, port 67; layer 2 where no neighbour is known: the frame's source MAC",
		of:   func(e *exchange) bool { return answered(e) && path(e) == "relay" },
		want: fixed(answer{"giaddr": "10.42.0.1", "ip dst": "10.42.0.1", "udp dst": "67", "eth dst": net.HardwareAddr(relayMAC[:]).String()}),
	},
	{
		says: "ciaddr set: to ciaddr, port 68",
		of:   func(e *exchange) bool { return answered(e) && path(e) == "ciaddr" },
		want: func(e *exchange) answer {
			return answer{"ciaddr": "10.42.0.11", "ip dst": "10.42.0.11", "eth dst": requestMAC(e)}
		},
	},
	{
		says: "the source is the interface's own address, of the client's network if it has one there",
		of:   func(e *exchange) bool { return answered(e) && strings.HasPrefix(e.Reply["yiaddr"], "10.43.0.") },
		want: fixed(answer{"ip src": "10.43.0.5"}),
	},
	{
		says: "the source is the interface's own address, of the client's network if it has one there",
		of:   func(e *exchange) bool { return answered(e) && strings.HasPrefix(e.Reply["yiaddr"], "203.0.113.") },
		want: fixed(answer{"ip src": "203.0.113.5"}),
	},

	// Which address.
	{
		says: "where the port's osportname names an interface, its addresses come first; then private before public",
		of:   named("newest DISCOVER s0006"),
		want: fixed(answer{"yiaddr": "203.0.113.16", "option 3": addr("203.0.113.1"), "option 28": addr("203.0.113.255"), "ip src": "203.0.113.5"}),
	},
	{
		says: "where the port's osportname names an interface, its addresses come first; ... then the lowest",
		of:   named("newest DISCOVER s0020"),
		want: fixed(answer{"yiaddr": "10.43.0.20", "option 3": addr("10.43.0.1"), "option 28": addr("10.43.0.255"), "ip src": "10.43.0.5"}),
	},

	// Which options.
	{
		says: moreWins, of: its("siaddr", "10.42.0.9"), // of production; pxeboot-servers in it has another
		want: fixed(answer{"siaddr": "10.42.0.5", "option 66": text("10.42.0.5")}),
	},
	{
		says: moreWins,
		of: func(e *exchange) bool {
			return its("option 15", text("production.example.org"))(e) && !named("DISCOVER s0002", "REQUEST s0002")(e)
		},
		want: fixed(answer{"option 15": text("example.org")}),
	},
	{
		says: moreWins, of: named("DISCOVER s0002", "REQUEST s0002"),
		want: fixed(answer{"option 15": text("s0002.example.org"), "file": "/special.0", "option 67": text("/special.0")}),
	},
	{says: moreWins, of: named("DISCOVER s0013", "REQUEST s0013"), want: fixed(answer{"option 15": text("override.example.org")})},
	{says: moreWins, of: named("DISCOVER s0028", "REQUEST s0028"), want: fixed(answer{"option 15": text("example.org")})},
	{
		says: "hostname: attribute hostname, else entity name", of: named("2010 DISCOVER s0009", "2010 REQUEST s0009"),
		want: fixed(answer{"option 12": text("web01")}),
	},
	{says: "refused with a warning: 0, 50, 52, 53, 55, 57, 61, 82, 255", of: named("DISCOVER s0013", "REQUEST s0013"), want: fixed(answer{"option 57": ""})},
	{
		says: "several attributes of one name at one level make a list where the type is a list",
		of:   named("DISCOVER s0023", "REQUEST s0023"), want: fixed(answer{"option 6": addr("10.43.0.53") + addr("10.43.0.54")}),
	},
	{says: "values are encoded by the option's type, 211 as uint32", of: named("DISCOVER s0026", "REQUEST s0026"), want: fixed(answer{"option 211": "0000003c"})},

	// Who is answered though the original was silent.
	{says: "stateless: a REQUEST is answered on the inventory alone", of: named("REQUEST without a prior DISCOVER"), like: "REQUEST s0009"},
	{
		says: "values come as string, int, JSON list or relation; what can be converted is", of: named("DISCOVER s0015"), like: s0001,
		want: fixed(answer{"yiaddr": "10.42.0.25", "option 12": text("s0015"), "option 23": "40"}),
	},
	{
		says: "values come as string, int, JSON list or relation", of: named("DISCOVER s0024"), like: "DISCOVER s0023",
		want: fixed(answer{"yiaddr": "10.43.0.24", "option 12": text("s0024")}),
	},
	{
		says: "values come as string, int, JSON list or relation", of: named("DISCOVER s0025"), like: "DISCOVER s0026",
		want: fixed(answer{"yiaddr": "10.43.0.25", "option 12": text("s0025")}),
	},
	{
		says: "MACs: any case and separator is accepted", of: named("DISCOVER s0016"), like: s0001,
		want: fixed(answer{"yiaddr": "10.42.0.26", "option 12": text("s0016")}),
	},
	{
		says: "none: also any other nic-eth port's mac", of: named("DISCOVER s0017"), like: s0001,
		want: fixed(answer{"yiaddr": "10.42.0.27", "option 12": text("s0017")}),
	},
	{says: "names with a dot are not cut", of: named("2010 DISCOVER db.example.org"), like: "newest DISCOVER db.example.org"},
	{says: "private before public: a public address alone is eligible", of: named("newest DISCOVER s0011"), like: "2010 DISCOVER s0011"},
	{
		says: "INFORM: ACK to ciaddr without yiaddr and lease times", of: named("INFORM s0001"), like: "REQUEST s0001 renewing",
		want: fixed(answer{"yiaddr": "0.0.0.0", "flags": "8000", "option 51": "", "option 58": "", "option 59": ""}),
	},
	{
		says: "BOOTP (no 53; an all-zero or cookie-less vend is legal): reply with the address, no lease",
		of:   named("bad: BOOTP request", "bad: cookie, then nothing", "bad: options but no message type"), like: s0001,
		want: fixed(answer{"option 53": "", "option 54": "", "option 51": "", "option 58": "", "option 59": ""}),
	},
	{says: "accept: client-ids of any legal size", of: named("2010 bad: DISCOVER with an RFC 4361 client id", "2010 bad: DISCOVER with a 3 byte client id"), like: s0001},
	{
		says: "the original died of one malformed packet; Malformed: counted, nothing else",
		of:   func(e *exchange) bool { return e.What == thenLives && e.Reply == nil }, like: s0001,
	},

	// Who is not answered, and why.
	{says: "the most specific one decides, so 0 on a server switches off what its pool switched on", of: named("DISCOVER s0003"), want: verdict(engine.Disabled)},
	{says: `"0", "false" and "" are false, though the original took any text for true`, of: named("DISCOVER s0012", "REQUEST s0012"), want: verdict(engine.Disabled)},
	{says: "subkey=enabled must be set and true", of: named("DISCOVER s0010", "DISCOVER s0019"), want: verdict(engine.Disabled)},
	{says: "none eligible at all, or none in the network: NoAddress", of: named("DISCOVER s0004"), want: verdict(engine.NoAddress)},
	{says: "more than one entity: ignore, warn with all names", of: named("DISCOVER 00:1e:c9:00:00:07", "update_ipmi: DISCOVER duplicate MAC"), want: verdict(engine.Ambiguous)},
	{
		says: "no port and no BMC has it: ignore, warn with details",
		of:   named("DISCOVER 00:1e:c9:00:00:08", "DISCOVER 00:1e:c9:00:00:ff", "DISCOVER s0018", "update_ipmi: DISCOVER unknown MAC"), want: verdict(engine.UnknownHost),
	},
	{says: "54 not ours: silent", of: named("REQUEST s0001 selecting ANOTHER server"), want: verdict(engine.OtherServer)},
	{says: "a NAK not to a vendor class that begins PXEClient unless configured", of: named("REQUEST s0001 for a wrong address"), want: verdict(engine.NakWithheld)},
	{says: "DECLINE: warning naming host and address, metric", of: named("DECLINE s0001"), want: verdict(engine.Declined)},
	{says: "RELEASE: counted", of: named("RELEASE s0001"), want: verdict(engine.Released)},
	{
		says: "op != 1, truncated or overlong options: Malformed, counted, nothing else",
		of: named("bad: empty datagram", "bad: 40 bytes of garbage", "bad: message type of length 0", "bad: first 100 bytes",
			"bad: an option longer than the packet", "bad: op=2", "bad: message type 0"),
		want: verdict(engine.Malformed),
	},
	{says: "sound, but no request to this server", of: named("bad: unknown message type 99"), want: verdict(engine.NotForUs)},
	{
		says: "a request whose MAC is no port's is also looked up by attribute bootstrap/mac, never delaying an answer: the first one has none",
		of:   named("2010 update_ipmi: DISCOVER s0018 (bootstrap MAC, no port MAC)"), want: verdict(engine.UnknownHost),
	},
	{
		says: "it counts as a BMC's when its vendor class is in ipmi_vendor_classes: then boot firmware with that MAC has no BMC's address, once",
		of:   named("2010 update_ipmi: DISCOVER s0018 (bootstrap MAC), vendor class PXEClient"), want: verdict(engine.NoAddress),
	},
	{
		says: "a BMC with the very MAC of its host gets the host's answers; it is stored by now",
		of:   named("newest update_ipmi: DISCOVER s0018 (bootstrap MAC, no port MAC)"), like: "update_ipmi: DISCOVER s0018 again",
	},
}

// expected gives the answer to each exchange: the original's, but for the rules.
func expected(t *testing.T, all []*exchange) []answer {
	t.Helper()
	used := make([]bool, len(rules))
	out := make([]answer, len(all))
	for i, e := range all {
		out[i] = expect(t, all, e, used)
	}
	for i, r := range rules {
		if !used[i] {
			t.Errorf("rule %d, %q, exempts nothing", i, r.says)
		}
	}
	return out
}

func expect(t *testing.T, all []*exchange, e *exchange, used []bool) answer {
	t.Helper()
	base := e.its()
	changes := answer{}
	for i, r := range rules {
		if !r.of(e) {
			continue
		}
		used[i] = true
		if r.like != "" {
			base = e.as(t, all, r.like)
		}
		if r.want != nil {
			change(t, e, r, changes)
		}
	}
	if v, ok := changes["verdict"]; ok { // silence has no fields
		return answer{"verdict": v}
	}
	for field, val := range changes {
		if base[field] == val {
			t.Errorf("%s: the exemption of %s exempts nothing: it is %q", e, field, val)
		}
		base[field] = val
		if val == "" {
			delete(base, field)
		}
	}
	return base
}

func change(t *testing.T, e *exchange, r rule, changes answer) {
	t.Helper()
	for field, val := range r.want(e) {
		if _, dup := changes[field]; dup {
			t.Errorf("%s: two rules exempt %s", e, field)
		}
		changes[field] = val
	}
}

// as is the expected answer to another exchange, made out to e's client.
func (e *exchange) as(t *testing.T, all []*exchange, name string) answer {
	t.Helper()
	for _, o := range all {
		if !strings.HasPrefix(o.String(), name) && !strings.HasPrefix(o.String(), e.By+" "+name) {
			continue
		}
		a := maps.Clone(expect(t, all, o, make([]bool, len(rules))))
		m, _ := asked(e)
		chaddr := m.CHAddr()
		a["xid"], a["chaddr"], a["option 61"] = requestXID(e), hex.EncodeToString(chaddr[:]), clientID(e)
		if a["option 61"] == "" {
			delete(a, "option 61")
		}
		return a
	}
	t.Fatalf("%s: there is no exchange %q", e, name)
	return nil
}
