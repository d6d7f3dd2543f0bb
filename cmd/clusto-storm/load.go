package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/storm"
)

// pace is how fast, how long and how patient.
type pace struct {
	Rate        float64        `placeholder:"N" help:"Begin N exchanges a second, whatever becomes of those before; latencies count from when each was due. 0: begin one whenever one has ended."`
	Outstanding int            `short:"w" placeholder:"N" help:"Exchanges under way at once: without --rate all the time, 256; with it at most, 256 and a quarter more than begin within --timeout."`
	Count       int            `short:"n" placeholder:"N" help:"End after N exchanges. 0: after --time, and without it after 10,000,000 at the latest."`
	Time        *time.Duration `short:"t" placeholder:"TIME" help:"Begin no exchange that is due after TIME. Without it after 10s, and it is an error if --count was not reached by then."`
	Timeout     time.Duration  `default:"1s" placeholder:"TIME" help:"What is not answered by then is lost (${default})."`
	Seed        uint64         `placeholder:"N" help:"Of ids and random MACs; 0: another one each time."`
}

// The bounds of loads that were given none.
const (
	usualTime  = 10 * time.Second
	usualCount = 10_000_000
)

// bounds are how many exchanges begin, 0 for as many as the time allows, and for how
// long.
func (p *pace) bounds() (count int, d time.Duration) {
	switch {
	case p.Time != nil:
		return p.Count, *p.Time
	case p.Count == 0:
		return usualCount, usualTime
	}
	return p.Count, usualTime
}

// short is an error if a load ended before its count by a time that nobody gave.
func (p *pace) short(r *result) error {
	if p.Time == nil && r.Begun < p.Count {
		return fmt.Errorf("%s of --count %s had begun after %v, when a load without --time ends: give it a --time", number3(r.Begun), number3(p.Count), usualTime)
	}
	return nil
}

// config makes a load's, of a Group that g.Close ends.
func (p *pace) config(g *afpacket.Group) (storm.LoadConfig, error) {
	count, d := p.bounds()
	switch {
	case !(p.Rate >= 0) || math.IsInf(p.Rate, 1) || p.Outstanding < 0 || count < 0 || d <= 0 || p.Timeout <= 0: // no NaN either
		return storm.LoadConfig{}, fmt.Errorf("%w: --rate, --outstanding and --count are 0 or more, --time and --timeout more than 0", errUsage)
	case p.Outstanding > storm.MaxUnderWay:
		return storm.LoadConfig{}, fmt.Errorf("%w: --outstanding %d: %d at most", errUsage, p.Outstanding, storm.MaxUnderWay)
	}
	if p.Seed == 0 {
		p.Seed = uint64(time.Now().UnixNano())
	}
	return storm.LoadConfig{
		Conn: g.Conn(0), Rate: p.Rate, Outstanding: p.Outstanding, Count: count, Time: d, Timeout: p.Timeout,
		Seed: p.Seed, Sleep: nap,
	}, nil
}

// asking is what clients say, and by which way.
type asking struct {
	Relay  string `placeholder:"ADDRESS" help:"Play a relay with this address (giaddr), to --server. It is to be one of the interface's, so that replies find it."`
	Params []byte `name:"params" default:"1,3,6,12,15,28,42,66,67" placeholder:"CODE,..." help:"Options that clients ask for (option 55; ${default})."`
	Vendor string `placeholder:"TEXT" help:"Vendor class of clients (option 60)."`
	Bcast  bool   `name:"broadcast-replies" help:"Have clients ask for broadcast replies (the flag of RFC 2131)."`
}

// clients makes one of each MAC.
func (a *asking) clients(ctx context.Context, w *wire, g *afpacket.Group, macs [][6]byte) ([]storm.Client, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	relay, err := a.relay(ctx, w, g)
	if err != nil {
		return nil, err
	}
	clients := make([]storm.Client, len(macs))
	for i, mac := range macs {
		c := &clients[i]
		*c = storm.Client{MAC: mac, ParameterList: a.Params, VendorClass: a.Vendor, Broadcast: a.Bcast, Relay: relay}
		c.Tags, c.NTags = w.tags()
	}
	return clients, nil
}

// check refuses what would not fit.
func (a *asking) check() error {
	if len(a.Vendor) > storm.MaxText || len(a.Params) > storm.MaxText {
		return fmt.Errorf("%w: --vendor is %d bytes at most, --params as many options", errUsage, storm.MaxText)
	}
	return nil
}

func (a *asking) relay(ctx context.Context, w *wire, g *afpacket.Group) (*storm.Relay, error) {
	if a.Relay == "" {
		if w.Server != "" {
			return nil, fmt.Errorf("%w: clients that broadcast have no --server; --relay ADDRESS plays a relay to it", errUsage)
		}
		return nil, nil
	}
	giaddr, err := parseIPv4("--relay", a.Relay)
	if err != nil {
		return nil, err
	}
	if _, own := g.Link().Local[giaddr]; !own {
		return nil, fmt.Errorf("%w: --relay %s is no address of this machine, so that nobody would answer the server's ARP: ip addr add %s/24 dev %s", errUsage, giaddr, giaddr, w.Interface)
	}
	server, mac, err := w.server(ctx, g)
	if err != nil {
		return nil, err
	}
	return &storm.Relay{Addr: giaddr.As4(), MAC: g.Link().MAC, Server: server.As4(), ServerMAC: mac}, nil
}

// dhcpPorts are those that replies come to: of clients and of relays.
var dhcpPorts = []uint16{dhcp4.ClientPort, dhcp4.ServerPort}

// whose says which machines ask.
type whose struct {
	MACs string `name:"macs" required:"" placeholder:"MACS" help:"The clients: FIRST+N, FIRST..LAST, or a file with a MAC on each line (-: standard input)."`
}

type discover struct {
	wire
	whose
	asking
	pace
	output
	Mirrored bool `help:"Count DISCOVERs that come back from clusto-storm mirror, in the place of OFFERs."`
}

func (d *discover) run(ctx context.Context) error {
	return load(ctx, "discover", storm.DHCPLoad{Verbs: storm.Discover, Mirrored: d.Mirrored}, &d.wire, d.MACs, &d.asking, &d.pace, &d.output)
}

type dora struct {
	wire
	whose
	asking
	pace
	output
}

func (d *dora) run(ctx context.Context) error {
	return load(ctx, "dora", storm.DHCPLoad{Verbs: storm.DORA}, &d.wire, d.MACs, &d.asking, &d.pace, &d.output)
}

type flood struct {
	wire
	asking
	pace
	output
}

// floodRate is that of a flood without --rate: nobody answers it, so that a closed
// loop would stand still.
const floodRate = 10_000

func (f *flood) run(ctx context.Context) error {
	if f.Rate == 0 {
		f.Rate = floodRate
	}
	return load(ctx, "flood", storm.DHCPLoad{Verbs: storm.Discover, Strangers: true}, &f.wire, "", &f.asking, &f.pace, &f.output)
}

// load has the clients of macs ask.
func load(ctx context.Context, name string, d storm.DHCPLoad, w *wire, macs string, a *asking, p *pace, o *output) error {
	fleet := make([][6]byte, 1)
	if !d.Strangers {
		var err error
		if fleet, err = readMACs(macs); err != nil {
			return err
		}
	}
	g, err := w.open(dhcpPorts...)
	if err != nil {
		return err
	}
	defer g.Close()
	if d.Clients, err = a.clients(ctx, w, g, fleet); err != nil {
		return err
	}
	cfg, err := p.config(g)
	if err != nil {
		return err
	}
	steps := []string{"offer", "ack"}
	if d.Verbs == storm.Discover {
		steps = steps[:1]
	}
	m := newMeter(steps)
	cfg.OnReply, cfg.OnProgress = m.reply, o.progress(name)
	res, err := storm.LoadDHCP(ctx, cfg, &d)
	rep := loadReport(name, w, res, m, g.Stats())
	if d.Strangers {
		rep.MACs = "random"
		return o.report(rep, err, errors.Join(rep.unsent(), p.short(rep)))
	}
	return o.report(rep, err, errors.Join(rep.unanswered(), rep.unsent(), p.short(rep)))
}

type traps struct{ notices }

func (t *traps) run(ctx context.Context) error { return t.notify(ctx, "traps", false) }

type informs struct{ notices }

func (t *informs) run(ctx context.Context) error { return t.notify(ctx, "informs", true) }

// notices are what switches send.
type notices struct {
	wire
	Switches  string `required:"" placeholder:"ADDRESS[+N]" help:"Where they come from: one address, or N from it on."`
	Community string `default:"public" help:"SNMP community (${default})."`
	MACs      string `name:"macs" placeholder:"MACS" help:"What is reported, as --macs of the others, dealt out to the switches. Without it random, locally administered ones."`
	Records   int    `default:"1" placeholder:"N" help:"MACs in each notification, 1 to 23 (${default})."`
	Ports     int    `default:"48" placeholder:"N" help:"Ports of a switch (${default})."`
	pace
	output
}

func (t *notices) notify(ctx context.Context, name string, await bool) error {
	load := storm.TrapLoad{Community: []byte(t.Community), Informs: await, Records: t.Records, Ports: t.Ports}
	if t.Records < 1 || t.Records > storm.MaxRecords || t.Ports < 1 || t.Ports > 1<<16-1 {
		return fmt.Errorf("%w: --records is 1 to %d, --ports 1 to 65535", errUsage, storm.MaxRecords)
	}
	if len(t.Community) > storm.MaxText {
		return fmt.Errorf("%w: --community is %d bytes at most", errUsage, storm.MaxText)
	}
	if t.VLAN != 0 {
		return fmt.Errorf("%w: notifications have no --vlan", errUsage)
	}
	if t.MACs != "" {
		var err error
		if load.MACs, err = readMACs(t.MACs); err != nil {
			return err
		}
	}
	g, err := t.open(storm.AgentPort)
	if err != nil {
		return err
	}
	defer g.Close()
	server, mac, err := t.server(ctx, g)
	if err != nil {
		return err
	}
	load.Server, load.ServerMAC = server.As4(), mac
	if load.Agents, err = agents(t.Switches, g.Link().MAC); err != nil {
		return err
	}
	if n := len(load.MACs); n > 0 && n < len(load.Agents) {
		return fmt.Errorf("%w: --macs are %d, and --switches %d: one for each at least", errUsage, n, len(load.Agents))
	}
	cfg, err := t.config(g)
	if err != nil {
		return err
	}
	m := newMeter([]string{"response"})
	cfg.OnReply, cfg.OnProgress = m.reply, t.progress(name)
	res, err := storm.LoadTraps(ctx, cfg, &load)
	rep := loadReport(name, &t.wire, res, m, g.Stats())
	if !await {
		return t.report(rep, err, errors.Join(rep.unsent(), t.short(rep))) // nobody answers traps
	}
	return t.report(rep, err, errors.Join(rep.unanswered(), rep.unsent(), t.short(rep)))
}

// maxSwitches bounds --switches.
const maxSwitches = 10_000

// agents reads --switches.
func agents(text string, mac [6]byte) (out []storm.Agent, err error) {
	first, count, many := strings.Cut(text, "+")
	n := 1
	if many {
		if n, err = strconv.Atoi(count); err != nil || n < 1 || n > maxSwitches {
			return nil, fmt.Errorf("%w: --switches %s: want ADDRESS+N with N from 1 to %d", errUsage, text, maxSwitches)
		}
	}
	addr, err := parseIPv4("--switches", first)
	if err != nil {
		return nil, err
	}
	for range n {
		if !addr.IsValid() || addr.IsMulticast() {
			return nil, fmt.Errorf("%w: --switches %s goes beyond the addresses that there are", errUsage, text)
		}
		out = append(out, storm.Agent{Addr: addr.As4(), MAC: mac})
		addr = addr.Next()
	}
	return out, nil
}
