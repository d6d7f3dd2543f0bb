package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	site "github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

// The second act: a rack whose servers nobody wrote down.
const (
	demoTrapMetrics = "127.0.0.1:9968"
	demoRack        = "sv2-r01"
	demoLayout      = "201001"
	rackServers     = 30
	unmappedPort    = 31 // of the switch: the layout has no server there
	demoVLAN        = 42
)

var (
	rackNet   = netip.MustParsePrefix("10.42.0.0/24")
	daemonIP  = netip.MustParseAddr("10.42.0.1")
	rackSwIP  = netip.MustParseAddr("10.42.0.2")
	demoSetup = rackCreateFlags{
		Rack: demoRack, In: "sv2", Driver: "basicrack", SwitchIP: rackSwIP.String(), Discover: true,
	}
)

// rackSiteText is all that is known of the rack's servers before they come: what
// they will be called, and where their addresses will come from.
const rackSiteText = `networks:
  nodes: {cidr: 10.42.0.0/24, gateway: 10.42.0.254}
locations:
  sv2:
    driver: basicdatacenter
    dhcp: {enabled: 1, ipmanager: nodes, tftp_server: 10.42.0.1, tftp_filename: /install/pxelinux.0}
servers:
  clusto: {ip: 10.42.0.1}
entities:
  servernames:
    driver: simpleentitynamemanager
    attrs:
      - {key: basename, subkey: property, value: node}
      - {key: digits, subkey: property, value: 4}
`

// makeRack creates a rack instance, and starts the daemon that its switch
// reports to.
func (d *demo) makeRack(ctx context.Context) error {
	s, err := site.Parse("rack.yaml", []byte(rackSiteText))
	if err != nil {
		return fmt.Errorf("read the rack's site: %w", err)
	}
	layouts, err := rack.Load("")
	if err != nil {
		return err
	}
	layout, err := layouts.Find(demoLayout)
	if err != nil {
		return err
	}
	api, err := d.api()
	if err != nil {
		return err
	}
	defer api.Close()
	if err := api.Apply(ctx, append(s.Ops(), demoSetup.ops(layout)...)); err != nil {
		return fmt.Errorf("create rack %s: %w", demoRack, err)
	}
	if err := (*netlab.Net)(nil).AddAddr(serverLink, netip.PrefixFrom(daemonIP, rackNet.Bits())); err != nil {
		return fmt.Errorf("give the server its address in %s: %w", rackNet, err)
	}
	if err := d.hall.AddAddr(clientLink, netip.PrefixFrom(rackSwIP, rackNet.Bits())); err != nil {
		return fmt.Errorf("give the rack's switch its address: %w", err)
	}
	d.say("\nA rack is rolled in: %s, layout %s; of its servers nothing is known.", demoRack, demoLayout)
	c, err := d.start("clusto-snmptrapd", "--interface", serverLink, "--api-url", "http://"+demoAPI,
		"--metrics", demoTrapMetrics, "--journal", d.journal(), "--hold-down", "300ms", "--discover-mac", "--discover-ip", "rack")
	if err != nil {
		return err
	}
	return c.await(ctx, func() error { return ready("http://" + demoTrapMetrics + "/readyz") })
}

func (d *demo) journal() string { return filepath.Join(d.dir, "events") }

// rackMAC is the MAC of the server on a switch port.
func rackMAC(port int) hardware { return hardware{0, 0x1e, 0xc9, 0, 0x0a, byte(port)} }

// askInVain switches the rack's servers on before anybody has told of them. They
// have to stay unanswered, each as a host that clusto does not have.
func (d *demo) askInVain(ctx context.Context) error {
	unknown := func() (int, error) {
		verdicts, err := byLabel(demoMetrics, `clusto_dhcpd_frames_total{verdict="`)
		return verdicts[engine.UnknownHost.String()], err
	}
	before, err := unknown()
	if err != nil {
		return err
	}
	clients := make([]storm.Client, rackServers)
	for i := range clients {
		clients[i].MAC = rackMAC(i + 1)
	}
	res, err := d.storm(ctx, storm.Config{Schedule: []time.Duration{300 * time.Millisecond}}, clients, storm.Discover)
	if err != nil {
		return fmt.Errorf("power on %s: %w", demoRack, err)
	}
	if res.Received > 0 {
		return fmt.Errorf("%d answers to servers that clusto does not have", res.Received)
	}
	if err := awaitCount(ctx, "servers counted as unknown", before+rackServers, unknown); err != nil {
		return err
	}
	d.say("They are switched on and ask in vain: clusto-dhcpd counts %d unknown_host, and leaves them so for %s unless the change feed names them.", rackServers, demoUnknown)
	return nil
}

// plugIn has the rack's switch report a MAC on each port, in all the ways that
// switches have.
func (d *demo) plugIn(ctx context.Context) error {
	var conn net.Conn
	err := d.hall.Do(func() (err error) {
		from := &net.UDPAddr{IP: rackSwIP.AsSlice()}
		conn, err = (&net.Dialer{LocalAddr: from}).DialContext(ctx, "udp4", net.JoinHostPort(daemonIP.String(), "162"))
		return err
	})
	if err != nil {
		return fmt.Errorf("make the switch's socket: %w", err)
	}
	defer conn.Close()
	began := time.Now()
	sw := storm.Switch{Conn: conn}
	err = errors.Join(
		sw.Inform(ctx, learnt(1, 24)...),
		sw.Trap(learnt(25, 28)...),
		sw.TrapV1(learnt(29, rackServers)...),
		sw.Inform(ctx, learnt(unmappedPort, unmappedPort)...),
	)
	if err != nil {
		return fmt.Errorf("report to clusto-snmptrapd: %w", err)
	}
	if err := awaitEvents(ctx, rackServers+1); err != nil {
		return err
	}
	d.say("Its switch reported %d MACs in informs (acknowledged) and traps of SNMPv2c and SNMPv1; something became of all of them in %s.",
		rackServers+1, round(time.Since(began)))
	return nil
}

// learnt are the MACs on ports from first to last.
func learnt(first, last int) (out []macnotify.Record) {
	for p := first; p <= last; p++ {
		out = append(out, macnotify.Record{Op: macnotify.Learnt, VLAN: demoVLAN, MAC: rackMAC(p), Port: uint16(p)})
	}
	return out
}

// awaitEvents waits until so many events have an outcome.
func awaitEvents(ctx context.Context, n int) error {
	return awaitCount(ctx, "MACs worked off", n, func() (sum int, err error) {
		outcomes, err := trapOutcomes()
		for _, k := range outcomes {
			sum += k
		}
		return sum, err
	})
}

// awaitCount waits until there are n of something.
func awaitCount(ctx context.Context, what string, n int, count func() (int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := count()
		if err != nil || got >= n {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d %s: %w", got, n, what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// trapOutcomes reads from clusto-snmptrapd's metrics what became of events.
func trapOutcomes() (map[string]int, error) {
	return byLabel(demoTrapMetrics, `clusto_snmptrapd_events_total{outcome="`)
}

// byLabel reads a metric of a daemon. begins is how its lines begin, up to the
// label.
func byLabel(addr, begins string) (map[string]int, error) {
	text, err := fetch("http://" + addr + "/metrics")
	if err != nil {
		return nil, fmt.Errorf("read the metrics at %s: %w", addr, err)
	}
	out := map[string]int{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, begins); ok {
			name, n, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
			if out[name], err = strconv.Atoi(n); err != nil {
				return nil, fmt.Errorf("read the metrics at %s: %w", addr, err)
			}
		}
	}
	return out, nil
}

// bootRack shows the rack, powers it on, and judges all of it.
func (d *demo) bootRack(ctx context.Context) error {
	in, found, err := d.findRack(ctx)
	if err != nil {
		return err
	}
	d.showRack(&in, found)
	if err := judgeRack(found); err != nil {
		return err
	}
	d.want = nil
	for _, s := range found {
		d.want = append(d.want, expectation{s.Name, rackMAC(s.port), s.ip})
	}
	if err := d.boot(ctx); err != nil {
		return fmt.Errorf("power on %s: %w", demoRack, err)
	}
	return d.judge("discovery gave it")
}

// rackServer is a server that discovery made.
type rackServer struct {
	clusto.Object
	port int // of the switch, from which its MAC is
	unit int // 0 if it is not in the rack
	ip   netip.Addr
}

// findRack asks the inventory for the rack, and for the server of each MAC in the
// order of the ports.
func (d *demo) findRack(ctx context.Context) (in clusto.Object, found []rackServer, err error) {
	api, err := d.api()
	if err != nil {
		return in, nil, err
	}
	defer api.Close()
	if in, err = api.Object(ctx, demoRack); err != nil {
		return in, nil, err
	}
	for port := 1; port <= rackServers; port++ {
		hosts, err := api.Find(ctx, rackMAC(port).String())
		if err != nil {
			return in, nil, fmt.Errorf("port %d of the switch: %w", port, err)
		}
		s := rackServer{port: port}
		if s.Object, err = api.Object(ctx, hosts[0].Name); err != nil {
			return in, nil, err
		}
		if a := hosts[0].Addresses; len(a) > 0 {
			s.ip = a[0].IP
		}
		s.unit = unitIn(&in, s.Path())
		found = append(found, s)
	}
	return in, found, nil
}

// unitIn is the lowest unit of a rack that something is in; 0 for none.
func unitIn(in *clusto.Object, path string) (unit int) {
	for i := range in.Attrs {
		if n, what, ok := inUnit(&in.Attrs[i]); ok && what == path && (unit == 0 || n < unit) {
			unit = n
		}
	}
	return unit
}

// showUnmapped tells of the MAC that no layout has a place for.
func (d *demo) showUnmapped(context.Context) error {
	outcomes, err := trapOutcomes()
	if err != nil {
		return err
	}
	if outcomes["created"] != rackServers || outcomes["unmapped"] != 1 {
		return fmt.Errorf("clusto-snmptrapd counts %d servers made and %d unmapped ports, want %d and 1", outcomes["created"], outcomes["unmapped"], rackServers)
	}
	if err := d.awaitLetter(); err != nil {
		return err
	}
	d.say("\n\"clusto traps\" lists what nothing could be made of:")
	return (&trapsFlags{Journal: d.journal()}).run(context.Background(), os.Stdout, os.Stderr)
}

// awaitLetter waits until the dead letter is on disk: they are written in groups.
func (d *demo) awaitLetter() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	j, err := journal.Open(ctx, journal.Config{File: d.journal(), Look: true})
	if err != nil {
		return err
	}
	defer j.Close()
	for {
		letters, err := j.Letters(ctx, 1)
		if err != nil {
			return fmt.Errorf("wait for the dead letter: %w", err)
		}
		if len(letters) > 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}
