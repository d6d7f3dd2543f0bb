package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// answer is a reply taken apart: BOOTP's fields by their names, "option N" in
// hex, "end", where it goes ("eth dst", "ip dst", "udp dst") and comes from.
// "verdict" says what became of a request: "reply", or why there is none.
type answer map[string]string

// exchange is a request that the original's clusto-dhcpd got, and what it
// answered. The daemon was recorded twice, on the same database: the one of
// 2010, which asked over HTTP, and the newest one, which read the database.
type exchange struct {
	By, Set, What string
	Request       string // the UDP payload in hex
	Died          string // the exception that ended the daemon
	Reply         answer // nil: it was silent
}

// silent is the verdict of every request that the original did not answer: it
// told no reasons.
const silent = "silent"

// its is what the original did.
func (e *exchange) its() answer {
	if e.Reply == nil {
		return answer{"verdict": silent}
	}
	f := maps.Clone(e.Reply)
	f["verdict"] = engine.Reply.String()
	return f
}

func (e *exchange) String() string { return e.By + " " + e.What }

// payload is the request as it was sent: for some exchanges no DHCP at all.
func (e *exchange) payload(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString(e.Request)
	must(t, err)
	return b
}

func readExchanges(t *testing.T) (all []*exchange) {
	t.Helper()
	must(t, json.Unmarshal(corpus.Exchanges(t), &all))
	return all
}

// original is where the recording was made.
const original = "10.42.0.5"

// newOriginalLab runs our daemon in the place of the original's: on its
// database, with its server id, on a cable to all of the site's networks.
func newOriginalLab(t *testing.T, flags ...string) *lab {
	t.Helper()
	l := newLab(t)
	l.api.serve(newStore(t, originalDB(t)))
	for _, p := range []string{original + "/24", "10.43.0.5/24", "203.0.113.5/24"} {
		must(t, l.net.AddAddr("srv0", netip.MustParsePrefix(p)))
	}
	l.fence = &storm.Client{MAC: [6]byte{0, 0x1e, 0xc9, 0, 0, 2}}
	l.start(append([]string{"--server-id", original}, flags...)...)
	return l
}

// recordedFrame wraps a payload as its client, or its relay, would.
func recordedFrame(payload []byte) []byte {
	h := frame.Header{
		EthDst: [6]byte{255, 255, 255, 255, 255, 255}, EthSrc: [6]byte{0, 0x1e, 0xc9, 0, 0, 1},
		Dst: ip("255.255.255.255"), SrcPort: dhcp4.ClientPort, DstPort: dhcp4.ServerPort,
	}
	if m, err := dhcp4.Parse(payload); err == nil {
		h.EthSrc, h.Src = m.MAC(), m.CIAddr()
		if m.CIAddr() != ip("0.0.0.0") {
			h.Dst = ip(original)
		}
		if m.GIAddr() != ip("0.0.0.0") {
			h.EthSrc, h.Src, h.Dst, h.SrcPort = relayMAC, m.GIAddr(), ip(original), dhcp4.ServerPort
		}
	}
	b := append(h.AppendTo(nil), payload...)
	h.Finish(b)
	return b
}

var relayMAC = [6]byte{2, 0xaa, 0, 0, 0, 1}

// take has gopacket take a reply apart: what we wrote, others have to read.
func take(t *testing.T, b []byte) answer {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	eth, ok1 := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip4, ok2 := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	udp, ok3 := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	d, ok4 := p.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	if !ok1 || !ok2 || !ok3 || !ok4 || p.ErrorLayer() != nil {
		t.Fatalf("gopacket cannot read % x", b)
	}
	num := func(n int) string { return strconv.Itoa(n) }
	a := answer{
		"verdict": engine.Reply.String(), "eth dst": eth.DstMAC.String(), "ip src": ip4.SrcIP.String(), "ip dst": ip4.DstIP.String(),
		"udp src": num(int(udp.SrcPort)), "udp dst": num(int(udp.DstPort)),
		"op": num(int(d.Operation)), "htype": num(int(d.HardwareType)), "hlen": num(int(d.HardwareLen)), "hops": num(int(d.HardwareOpts)),
		"xid": fmt.Sprintf("%08x", d.Xid), "secs": num(int(d.Secs)), "flags": fmt.Sprintf("%04x", d.Flags),
		"ciaddr": d.ClientIP.String(), "yiaddr": d.YourClientIP.String(), "siaddr": d.NextServerIP.String(), "giaddr": d.RelayAgentIP.String(),
		"chaddr": hex.EncodeToString(udp.Payload[28:44]), "sname": zeroTerminated(d.ServerName), "file": zeroTerminated(d.File), "end": "no",
	}
	end := 240
	for _, o := range d.Options {
		a[option(byte(o.Type))] += hex.EncodeToString(o.Data)
		end += 2 + len(o.Data)
	}
	if end < len(udp.Payload) && udp.Payload[end] == dhcp4.OptEnd {
		a["end"] = "yes"
	}
	return a
}

func zeroTerminated(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func option(code byte) string { return "option " + strconv.Itoa(int(code)) }

// TestRecordedExchanges asks our daemon what the original's was asked, and
// compares the answers in every field and option, down to where they go. What
// is not the same has to be in rules, with the exact value that it has to have.
func TestRecordedExchanges(t *testing.T) {
	t.Parallel()
	all := readExchanges(t)
	want := expected(t, all)
	ipmi := func(e *exchange) bool { return e.Set == "ipmi" }
	for name, run := range map[string]struct {
		flags []string
		skip  func(*exchange) bool
	}{
		"plain": {nil, ipmi},
		"ipmi":  {[]string{"--update-ipmi"}, func(e *exchange) bool { return !ipmi(e) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newOriginalLab(t, run.flags...)
			for i, e := range all {
				if !run.skip(e) {
					compare(t, e, want[i], l.replay(e, want[i]["verdict"]))
				}
			}
		})
	}
}

// replay asks what was recorded. verdict says whether to wait for an answer or
// for the proof that there is none.
func (l *lab) replay(e *exchange, verdict string) answer {
	l.t.Helper()
	req := recordedFrame(e.payload(l.t))
	if e.stores() {
		defer l.stored(l.metric(storedMetric) + 1)
	}
	if verdict == engine.Reply.String() {
		return take(l.t, l.exchange(req).Data)
	}
	for v := range engine.Verdicts {
		if v.String() == verdict {
			l.silent(req, v)
			return answer{"verdict": verdict}
		}
	}
	l.t.Fatalf("%s: no verdict is called %q", e, verdict)
	return nil
}

func compare(t *testing.T, e *exchange, want, got answer) {
	t.Helper()
	both := maps.Clone(want)
	maps.Copy(both, got)
	for _, field := range slices.Sorted(maps.Keys(both)) {
		if got[field] != want[field] {
			t.Errorf("%s: %s is %q, want %q", e, field, got[field], want[field])
		}
	}
}
