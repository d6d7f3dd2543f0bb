package dhcp

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// hotCases are the ways through Handle, with the verdict that ends each; the
// allocation guard and the benchmark share them.
func hotCases(t testing.TB) []hotCase {
	p := prepared(t, testHost(attr("tftp_server", "10.42.0.7"), attr("tftp_filename", "/pxelinux.0"), attr("domain", "example.org")))
	disabled := testHost()
	disabled.Enabled = false
	pxe := ask{typ: discover, vendor: "PXEClient:Arch:00000:UNDI:002001", opts: []byte{55, 6, 1, 3, 6, 12, 66, 67, 57, 2, 5, 192, 61, 7, 1, 0, 0x1e, 0xc9, 0, 0, 1}}
	truncated := ask{typ: discover, change: func(m []byte) []byte { return append(m[:243], 12, 200, 'x') }}
	relayed := pxe
	relayed.giaddr, relayed.dst, relayed.opts = "10.42.0.1", "10.42.0.5", append([]byte{82, 6, 1, 4, 'p', 'o', 'r', 't'}, pxe.opts...)
	return []hotCase{
		{"offer", p, Fresh, pxe, engine.Reply},
		{"ack", p, Fresh, ask{typ: request, server: "10.42.0.5", requested: "10.42.0.11"}, engine.Reply},
		{"relayed", p, Fresh, relayed, engine.Reply},
		{"nak", p, Fresh, ask{typ: request, requested: "10.42.0.99"}, engine.Nak},
		{"inform", p, Fresh, ask{typ: dhcp4.Inform, ciaddr: "10.42.0.11"}, engine.Reply},
		{"bootp", p, Fresh, ask{}, engine.Reply},
		{"too long", prepared(t, longHost()), Fresh, pxe, engine.Reply},
		{"overloaded", prepared(t, longHost()), Fresh, ask{typ: discover}, engine.Reply},
		{"by client", prepared(t, testHost(attr("tftp_filename-bios", "undionly.kpxe"), attr("tftp_filename-ipxe", "menu"))), Fresh, pxe, engine.Reply},
		{"long echoes", prepared(t, wideHost()), Fresh, echoing(600, 250), engine.Reply},
		{"echoes too long", prepared(t, wideHost()), Fresh, echoing(1000, 250), engine.Oversize},
		{"nak with long echoes", p, Fresh, ask{typ: request, requested: "10.42.0.99", opts: echoing(250, 200).opts}, engine.Nak},
		{"parked", nil, Missing, pxe, engine.Replaced},
		{"parked, known", p, Stale, pxe, engine.Replaced},
		{"shed", nil, Missing, echoing(600, 250), engine.Shed},
		{"stale, no room", p, Stale, echoing(600, 250), engine.Reply},
		{"other server", p, Fresh, ask{typ: request, server: "10.42.0.9", requested: "10.42.0.11"}, engine.OtherServer},
		{"no address", p, Fresh, ask{typ: discover, giaddr: "10.44.0.1", dst: "10.42.0.5"}, engine.NoAddress},
		{"unknown host", nil, Absent, pxe, engine.UnknownHost},
		{"disabled", prepared(t, disabled), Fresh, pxe, engine.Disabled},
		{"malformed options", p, Fresh, truncated, engine.Malformed},
		{"stray relay", p, Fresh, ask{typ: discover, giaddr: "10.42.0.255", dst: "10.42.0.5"}, engine.Malformed},
		{"not for us", p, Fresh, ask{typ: discover, dst: "10.42.0.9"}, engine.NotForUs},
	}
}

// wideHost has more options than a frame holds.
func wideHost() *clusto.Host {
	return testHost(attr("domain", strings.Repeat("d", 1000)), attr("root_disk_path", strings.Repeat("r", 900)))
}

// echoing asks with a client-id and a relay option of the given lengths, and
// takes long answers.
func echoing(id, agent int) ask {
	opts := dhcp4.AppendUint16(nil, dhcp4.OptMaxSize, 1500)
	opts = dhcp4.AppendOption(opts, dhcp4.OptClientID, make([]byte, id))
	return ask{typ: discover, opts: dhcp4.AppendOption(opts, dhcp4.OptAgentInfo, make([]byte, agent))}
}

type hotCase struct {
	name  string
	p     *Prepared
	state State
	ask   ask
	want  engine.Verdict
}

// run gives a function that handles the case's frame once.
func (c *hotCase) run(t testing.TB) func() engine.Verdict {
	h := handlerFor(c.p, c.state, Site{ServerID: ip4("10.42.0.5")})
	pkt := &engine.Packet{Data: c.ask.frame(), Link: testLink()}
	slot := make([]byte, 0, engine.FrameSize)
	once := func() engine.Verdict {
		_, v := h.Handle(slot, pkt)
		return v
	}
	once() // what is parked is replaced from the second time on
	if v := once(); v != c.want {
		t.Fatalf("%s: %v, want %v", c.name, v, c.want)
	}
	return once
}

func TestHandleNoAllocs(t *testing.T) {
	for _, c := range hotCases(t) {
		once := c.run(t)
		if raceOn {
			continue
		}
		if n := testing.AllocsPerRun(1000, func() { once() }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", c.name, n)
		}
	}
}

// parsed gives the case's request, the host and what is decided on them.
func (c *hotCase) parsed(t testing.TB) (pkt *engine.Packet, r *Request, d Decision, site *Site) {
	r, site = new(Request), &Site{ServerID: ip4("10.42.0.5")}
	pkt = &engine.Packet{Data: c.ask.frame(), Link: testLink()}
	if v := r.Parse(pkt); v != engine.None {
		t.Fatalf("%s: %v", c.name, v)
	}
	return pkt, r, Decide(r, c.p, true, site), site
}

// answered are the cases that end in a frame.
func answered(t testing.TB) (cases []hotCase) {
	for _, c := range hotCases(t) {
		if c.state == Fresh && (c.want == engine.Reply || c.want == engine.Nak) {
			cases = append(cases, c)
		}
	}
	return cases
}

// TestFullLen: the length that is known beforehand is the length there is.
func TestFullLen(t *testing.T) {
	for _, c := range append(answered(t), hotCase{"all echoes", prepared(t, testHost()), Fresh, ask{
		typ: discover, vendor: "HTTPClient", opts: slices.Concat([]byte{118, 4, 10, 42, 0, 0}, []byte{97, 3, 0, 1, 2}, []byte{61, 2, 0, 1}, []byte{82, 0}),
	}, engine.Reply}) {
		_, r, d, _ := c.parsed(t)
		if got, want := fullLen(r, c.p, &d), len(appendFull(nil, r, c.p, &d)); got != want {
			t.Errorf("%s: %d bytes foretold, %d there", c.name, got, want)
		}
	}
}

// BenchmarkParse, BenchmarkDecide and BenchmarkAppendReply are the parts of
// BenchmarkHandle.
func BenchmarkParse(b *testing.B) {
	for _, c := range answered(b) {
		b.Run(c.name, func(b *testing.B) {
			pkt, r, _, _ := c.parsed(b)
			b.ReportAllocs()
			for b.Loop() {
				r.Parse(pkt)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, c := range answered(b) {
		b.Run(c.name, func(b *testing.B) {
			_, r, _, site := c.parsed(b)
			b.ReportAllocs()
			for b.Loop() {
				if d := Decide(r, c.p, true, site); d.Verdict != c.want {
					b.Fatal(d.Verdict)
				}
			}
		})
	}
}

func BenchmarkAppendReply(b *testing.B) {
	for _, c := range answered(b) {
		b.Run(c.name, func(b *testing.B) {
			_, r, d, _ := c.parsed(b)
			slot := make([]byte, 0, engine.FrameSize)
			b.ReportAllocs()
			for b.Loop() {
				appendReply(slot, r, c.p, &d)
			}
		})
	}
}

func BenchmarkHandle(b *testing.B) {
	for _, c := range hotCases(b) {
		b.Run(c.name, func(b *testing.B) {
			once := c.run(b)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}

// TestAhead: to be shown what comes changes nothing and allocates nothing, whatever
// the hosts and frames are.
func TestAhead(t *testing.T) {
	for _, c := range hotCases(t) {
		h := handlerFor(c.p, c.state, Site{ServerID: ip4("10.42.0.5")})
		in := c.ask.frame()
		var batch []engine.Packet
		for n := range min(engine.BatchSize-1, len(in)) { // whole, and cut short
			batch = append(batch, engine.Packet{Data: in[:len(in)-n*len(in)/engine.BatchSize], Link: testLink()})
		}
		want, wantVerdict := handlerFor(c.p, c.state, Site{ServerID: ip4("10.42.0.5")}).Handle(nil, &batch[0])
		h.Ahead(batch)
		if got, v := h.Handle(nil, &batch[0]); v != wantVerdict || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, % x\nwant %v, % x", c.name, v, got, wantVerdict, want)
		}
		if raceOn {
			continue // it makes allocations of its own
		}
		if n := testing.AllocsPerRun(100, func() { h.Ahead(batch) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", c.name, n)
		}
	}
}

// asked is a Hosts that writes down which hosts it is shown.
type asked struct {
	fixedHosts
	macs []clusto.MAC
}

func (a *asked) PeekAll(to []*Prepared, macs []clusto.MAC) []*Prepared {
	a.macs = append(a.macs, macs...)
	return a.fixedHosts.PeekAll(to, macs)
}

// TestAheadAsksForTheHostsOfABatch: chaddr of each frame that is long enough to have one.
func TestAheadAsksForTheHostsOfABatch(t *testing.T) {
	var hosts asked
	h := NewServer(Config{Hosts: &hosts, Lot: smallLot()}).Handler()
	whole := ask{typ: discover}.frame()
	other := slices.Clone(whole)
	at := bytes.Index(other[14:], hostMAC[:]) + 14 // chaddr: the client's address in Ethernet is before
	other[at+5] = 9
	h.Ahead([]engine.Packet{{Data: whole}, {Data: whole[:at+5]}, {Data: other}, {}})
	second := hostMAC
	second[5] = 9
	if want := []clusto.MAC{hostMAC, second}; !slices.Equal(hosts.macs, want) {
		t.Errorf("asked for %v, want %v", hosts.macs, want)
	}
}
