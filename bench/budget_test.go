//go:build !race

package bench

import (
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/cache"
	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/dhcp"
	"github.com/clusto/clusto-engine/engine/storm"
	"github.com/clusto/clusto-engine/engine/trap"
)

// budget is how many allocations an operation may make. The race detector makes
// some of its own, so it does not see this.
type budget struct {
	name string
	most float64
	once func() bool // does it, and says whether it was done
}

// TestBudgets: what happens for each frame allocates nothing. What happens for
// each host, when it is met for the first time, has its number here, so that
// more than before is a decision.
func TestBudgets(t *testing.T) {
	host := siteHost(t)
	for _, budgets := range [][]budget{dhcpBudgets(t, host), trapBudgets(t), hostBudgets(t, host)} {
		for _, b := range budgets {
			if !b.once() {
				t.Errorf("%s: it does not do it", b.name)
				continue
			}
			if n := testing.AllocsPerRun(200, func() { b.once() }); n > b.most {
				t.Errorf("%s: %v allocations, %v at the most", b.name, n, b.most)
			}
		}
	}
}

const budgetSite = `
networks:
  lan: {cidr: 10.42.0.0/24, gateway: 10.42.0.1}
pools:
  halls: {dhcp: {enabled: 1, tftp_server: 10.42.0.5, tftp_filename: /pxelinux.0}}
  hall:  {in: halls, dhcp: {domain: example.org, NTP_server: 10.42.0.6}}
servers:
  s0001: {in: hall, mac: "00:1e:c9:00:00:01", ip: 10.42.0.11}
`

var (
	budgetMAC  = clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}
	serverIP   = netip.MustParseAddr("10.42.0.5")
	budgetLink = &engine.Link{
		Name: "eth0", Index: 2, MAC: [6]byte{2}, MTU: 1500, Up: true,
		Addrs: []netip.Prefix{netip.PrefixFrom(serverIP, 24)}, Local: map[netip.Addr]struct{}{serverIP: {}},
	}
)

// siteStore holds budgetSite in SQLite.
func siteStore(t *testing.T) *store.Store {
	site, err := inventory.Parse("site.yaml", []byte(budgetSite))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "clusto.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Apply(t.Context(), site.Ops()); err != nil {
		t.Fatal(err)
	}
	return s
}

func siteHost(t *testing.T) *clusto.Host {
	h, err := siteStore(t).Host(t.Context(), budgetMAC)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// known is an inventory of one host, at hand.
type known struct{ p *dhcp.Prepared }

func (k known) Lookup(clusto.MAC, int64) (*dhcp.Prepared, dhcp.State) { return k.p, dhcp.Fresh }

func (k known) PeekAll(to []*dhcp.Prepared, macs []clusto.MAC) []*dhcp.Prepared {
	peeked += len(macs)
	return append(to, k.p)
}

// peeked is how many hosts batches that were seen ahead have asked for.
var peeked int

func (k known) Fetch(context.Context, clusto.MAC) (*dhcp.Prepared, dhcp.State, error) {
	return k.p, dhcp.Fresh, nil
}

// dhcpBudgets is the way of a DISCOVER, in parts and whole.
func dhcpBudgets(t *testing.T, host *clusto.Host) []budget {
	in := storm.AppendFrame(nil, &storm.Client{MAC: budgetMAC, VendorClass: "PXEClient:Arch:00000:UNDI:002001", ParameterList: []byte{1, 3, 6}},
		&storm.Message{Type: dhcp4.Discover, XID: 7})
	var u frame.UDP4
	if err := u.Parse(in, false); err != nil {
		t.Fatal(err)
	}
	msg, room, now := u.Payload, make([]byte, 0, engine.FrameSize), time.Now().UnixNano()
	p, _ := dhcp.Prepare(host, dhcp.PrepareConfig{})
	lot := engine.NewLot(engine.LotConfig{Slots: 8})
	h := dhcp.NewServer(dhcp.Config{Hosts: known{p}, Lot: lot}).Handler()
	pkt := &engine.Packet{Data: in, Link: budgetLink}
	c, err := cache.New(cache.Config[clusto.MAC, int]{
		Hash: func(m clusto.MAC) uint64 { return uint64(m[5]) }, Name: func(m clusto.MAC) string { return string(m[:]) },
		Load: func(context.Context, clusto.MAC) (int, error) { return 0, context.Canceled }, IsAbsent: func(error) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.PutAt(c.Generation(), budgetMAC, 7)
	var x dhcp4.Index
	return []budget{
		{"frame: parse", 0, func() bool { return u.Parse(in, false) == nil }},
		{"DHCP message: parse and index", 0, func() bool {
			v, err := dhcp4.Parse(msg)
			return err == nil && x.Build(v) == nil
		}},
		{"cache: a hit", 0, func() bool {
			_, state := c.Lookup(budgetMAC, now)
			return state == cache.Fresh
		}},
		{"DISCOVER to OFFER, frame to frame", 0, func() bool {
			_, v := h.Handle(room, pkt)
			return v == engine.Reply
		}},
		{"a batch of DISCOVERs, seen ahead", 0, func() bool {
			before := peeked
			h.Ahead([]engine.Packet{*pkt, *pkt})
			return peeked == before+2
		}},
		{"a frame that is parked and taken", 0, func() bool {
			to := engine.Packet{Data: room[:0]}
			return lot.Park(budgetMAC, pkt, now) == engine.Parked && lot.Take(budgetMAC, &to)
		}},
	}
}

// discard is a journal that keeps nothing.
type discard struct{}

func (discard) Append(events []trap.Event) (int, error) { return len(events), nil }

// trapBudgets is the way of a trap, up to the journal, and that of the Response.
func trapBudgets(t *testing.T) []budget {
	notice := storm.Notice{Community: []byte("public"), ID: 7, Records: []macnotify.Record{
		{Op: macnotify.Learnt, VLAN: 42, MAC: budgetMAC, Port: 1}, {Op: macnotify.Removed, VLAN: 42, MAC: [6]byte{2}, Port: 2},
	}}
	in, inform := notice.AppendTrap(nil), notice.AppendInform(nil)
	fh := frame.Header{EthDst: budgetLink.MAC, EthSrc: [6]byte{6}, Src: [4]byte{10, 42, 0, 2}, Dst: serverIP.As4(), SrcPort: 5000, DstPort: trap.Port}
	data := append(fh.AppendTo(nil), in...)
	fh.Finish(data)
	pkt, room := &engine.Packet{Data: data, Link: budgetLink}, make([]byte, 0, engine.FrameSize)
	h := trap.NewServer(trap.Config{Journal: discard{}, Communities: []string{"public"}}).Handler()
	var m, im snmp.Message
	if err := im.Parse(inform); err != nil {
		t.Fatal(err)
	}
	return []budget{
		{"trap: parse, to the MACs", 0, func() bool {
			if m.Parse(in) != nil || macnotify.KindOf(&m) != macnotify.Changed {
				return false
			}
			n, it := 0, macnotify.Records(&m)
			for _, ok := it.Next(); ok; _, ok = it.Next() {
				n++
			}
			return n == 2
		}},
		{"inform: the Response", 0, func() bool { return len(snmp.AppendResponse(room, &im)) > 50 }},
		{"trap: frame to the journal's door", 0, func() bool {
			_, v := h.Handle(room, pkt)
			return v == engine.Queued
		}},
	}
}

// hostBudgets is what a host costs when it is met for the first time.
func hostBudgets(t *testing.T, host *clusto.Host) []budget {
	s := siteStore(t)
	text, err := json.Marshal(host)
	if err != nil || !strings.Contains(string(text), "example.org") {
		t.Fatal(err, string(text))
	}
	return []budget{
		{"a host from SQLite by MAC", 220, func() bool {
			h, err := s.Host(t.Context(), budgetMAC)
			return err == nil && h.Enabled
		}},
		{"a host as JSON, written", 6, func() bool {
			b, err := json.Marshal(host)
			return err == nil && len(b) == len(text)
		}},
		{"a host as JSON, read", 52, func() bool {
			var h clusto.Host
			return json.Unmarshal(text, &h) == nil && h.MAC == budgetMAC
		}},
		{"a host made ready to answer", 25, func() bool {
			p, problems := dhcp.Prepare(host, dhcp.PrepareConfig{})
			return p != nil && len(problems) == 0
		}},
	}
}
