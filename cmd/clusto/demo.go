package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	site "github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

const demoAbout = "Power on a hall of simulated servers, on a network of its own, and watch them get their addresses; then roll in a rack of unknown ones."

type demoFlags struct {
	Servers     int `default:"1000" placeholder:"N" help:"Servers of the sample site (${default})."`
	Outstanding int `default:"256" placeholder:"N" help:"Servers that wait for a reply at once (${default})."`
	Workers     int `default:"0" placeholder:"N" help:"Workers of clusto-dhcpd; 0 is one for two CPUs."`
	Shown       int `default:"3" placeholder:"N" help:"Replies to show in full (${default})."`
}

// Limits of the demo: it is one, and no load test.
const (
	maxDemoServers = 50_000
	demoPatience   = 30 * time.Second // for a daemon to come up
)

// Validate checks the flags.
func (f *demoFlags) Validate() error {
	switch {
	case f.Servers < 1 || f.Servers > maxDemoServers:
		return fmt.Errorf("--servers: want 1 to %d, got %d", maxDemoServers, f.Servers)
	case f.Outstanding < 1 || f.Outstanding > 4096:
		return fmt.Errorf("--outstanding: want 1 to 4096, got %d", f.Outstanding)
	case f.Workers < 0 || f.Workers > 64:
		return fmt.Errorf("--workers: want 0 to 64, got %d", f.Workers)
	case f.Shown < 0:
		return fmt.Errorf("--shown: want 0 or more, got %d", f.Shown)
	}
	return nil
}

func demoMain(args []string) int {
	var flags demoFlags
	if code, ok := parse("demo", demoAbout, args, &flags); !ok {
		return code
	}
	if err := netlab.Enter(); err != nil {
		return fail("demo", exitFailed, err)
	}
	// SIGPIPE too, so that "| head" leaves nothing behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	d := demo{flags: flags}
	err := d.run(ctx)
	interrupted := ctx.Err() != nil
	if cerr := d.close(err != nil && !interrupted); err == nil {
		err = cerr
	}
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "clusto demo: interrupted; all of it is gone")
		return exitInterrupted
	case err != nil:
		return fail("demo", exitFailed, err)
	}
	return 0
}

// Where things are in the demo's own network namespace.
const (
	demoAPI     = "127.0.0.1:9996"
	demoMetrics = "127.0.0.1:9967"
	demoUnknown = "1h" // for so long an unknown host stays so, unless the change feed names it
	serverLink  = "srv0"
	clientLink  = "cli0"
)

// demo is the network, the daemons in it, and the clients.
type demo struct {
	flags   demoFlags
	dir     string
	hall    *netlab.Net // where the clients are
	running []*child
	site    *site.Site
	want    []expectation
	clients []storm.Client
	acks    [][]byte // the last ACK of each client, as it came over the cable
	lost    error    // why something could not be shown
}

func (d *demo) run(ctx context.Context) (err error) {
	for _, step := range []func(context.Context) error{
		d.writeSite, d.makeNetwork, d.startInventory, d.importSite, d.startDHCP, d.powerOn,
		d.makeRack, d.askInVain, d.plugIn, d.bootRack, d.showUnmapped,
	} {
		if err := errors.Join(ctx.Err(), d.lost); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return d.lost
}

// writeSite makes the file that everything else is judged by.
func (d *demo) writeSite(context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "clusto-demo-"); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	text := site.Sample(d.flags.Servers)
	// The daemons are not to find this machine's own configuration.
	if err := os.WriteFile(filepath.Join(d.dir, "services.conf"), []byte("{}\n"), 0o600); err != nil {
		return fmt.Errorf("write an empty configuration: %w", err)
	}
	file := filepath.Join(d.dir, "site.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the sample site: %w", err)
	}
	if d.site, err = site.Parse(file, text); err != nil {
		return fmt.Errorf("read the sample site: %w", err)
	}
	if d.want, err = expectations(text); err != nil {
		return err
	}
	d.say("A site of %s in %s, written to %s", count(len(d.want), "server"), count(len(d.site.Networks()), "network"), file)
	return nil
}

// makeNetwork makes a cable from the daemons to the hall. The server has an
// address in each network.
func (d *demo) makeNetwork(context.Context) (err error) {
	if d.hall, err = netlab.New(); err != nil {
		return fmt.Errorf("make a network namespace for the clients: %w", err)
	}
	if err := netlab.Veth(nil, serverLink, d.hall, clientLink); err != nil {
		return fmt.Errorf("make a cable to the clients: %w", err)
	}
	for _, n := range d.site.Networks() {
		addr := netip.PrefixFrom(n.Prefix.Masked().Addr().Next(), n.Prefix.Bits())
		if err := (*netlab.Net)(nil).AddAddr(serverLink, addr); err != nil {
			return fmt.Errorf("give the server its address in %s: %w", n.Name, err)
		}
	}
	return nil
}

// storm has clients ask, over a socket of their own.
func (d *demo) storm(ctx context.Context, cfg storm.Config, clients []storm.Client, verbs storm.Verb) (res storm.Result, err error) {
	conn, err := afpacket.Open(afpacket.Config{
		Interface: clientLink, Ports: []uint16{dhcp4.ClientPort}, OtherHosts: true, In: d.hall.Do,
	})
	if err != nil {
		return res, err
	}
	defer conn.Close()
	cfg.Conn = conn.Conn(0)
	return storm.Run(ctx, cfg, clients, verbs)
}

func (d *demo) startInventory(ctx context.Context) error {
	db := filepath.Join(d.dir, "clusto.db")
	c, err := d.start("clusto-httpd", "--db", db, "--listen", demoAPI)
	if err != nil {
		return err
	}
	api, err := d.api()
	if err != nil {
		return err
	}
	defer api.Close()
	return c.await(ctx, func() error { return api.Ready(ctx) })
}

func (d *demo) api() (*client.Client, error) {
	return client.New(client.Config{URL: "http://" + demoAPI, Agent: "clusto demo"})
}

func (d *demo) importSite(ctx context.Context) error {
	api, err := d.api()
	if err != nil {
		return err
	}
	defer api.Close()
	began := time.Now()
	if err := api.Apply(ctx, d.site.Ops()); err != nil {
		return fmt.Errorf("import the sample site: %w", d.site.Explain(err))
	}
	d.say("clusto-httpd runs on SQLite; %s imported in %s", count(len(d.site.Ops()), "operation"), round(time.Since(began)))
	return nil
}

func (d *demo) startDHCP(ctx context.Context) error {
	began := time.Now()
	c, err := d.start("clusto-dhcpd", "--interface", serverLink, "--api-url", "http://"+demoAPI,
		"--metrics", demoMetrics, "--negative-ttl", demoUnknown, "--cache-file", filepath.Join(d.dir, "hosts"), "--workers", fmt.Sprint(d.flags.Workers))
	if err != nil {
		return err
	}
	if err := c.await(ctx, func() error { return ready("http://" + demoMetrics + "/readyz") }); err != nil {
		return err
	}
	d.say("clusto-dhcpd listens on a raw socket; all hosts at hand %s after its start", round(time.Since(began)))
	return nil
}

// powerOn switches the hall on, and judges what came of it.
func (d *demo) powerOn(ctx context.Context) error {
	if err := d.boot(ctx); err != nil {
		return fmt.Errorf("power on: %w", err)
	}
	if err := d.showVerdicts(); err != nil {
		return err
	}
	return d.judge(filepath.Base(d.site.Where(-1)) + " gives it")
}

// boot has every server that is wanted ask for its address, and shows the
// answers.
func (d *demo) boot(ctx context.Context) error {
	d.clients = make([]storm.Client, len(d.want))
	d.acks = make([][]byte, len(d.want))
	for i, w := range d.want {
		d.clients[i] = storm.Client{MAC: w.mac, VendorClass: "PXEClient:Arch:00000:UNDI:002001", ParameterList: wishes, Options: biosArch}
	}
	bar := newBar(os.Stdout, len(d.want))
	res, err := d.storm(ctx, storm.Config{Outstanding: d.flags.Outstanding, OnProgress: bar.show, OnReply: d.keep}, d.clients, storm.DORA)
	bar.end()
	if err != nil {
		return err
	}
	d.showReplies()
	d.showResult(&res)
	return nil
}

// wishes is the parameter request list of a PXE ROM; biosArch says that it is one.
var (
	wishes   = []byte{1, 2, 3, 5, 6, 11, 12, 13, 15, 16, 17, 18, 43, 54, 60, 66, 67, 128}
	biosArch = []byte{dhcp4.OptArch, 2, 0, 0}
)

// keep keeps the last reply of each client: of a client that is bound, the ACK.
func (d *demo) keep(i int, reply *engine.Packet) {
	d.acks[i] = append(d.acks[i][:0], reply.Data...)
}

// judge compares what came over the cable with what is wanted; by says whose
// wish that is: "site.yaml gives it".
func (d *demo) judge(by string) error {
	wrong := 0
	for i, w := range d.want {
		if err := w.check(d.acks[i]); err != nil {
			if wrong++; wrong <= 5 {
				d.say("  %s (%s): %v", w.name, clusto.MAC(w.mac), err)
			}
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%s of %d did not get the address that %s", count(wrong, "client"), len(d.want), by)
	}
	d.say("Every client has exactly the address that %s.", by)
	return nil
}

// close ends what was started; what the daemons said is shown if it failed.
func (d *demo) close(failed bool) error {
	var errs []error
	for i := len(d.running) - 1; i >= 0; i-- {
		errs = append(errs, d.running[i].stop(failed))
	}
	if d.hall != nil {
		errs = append(errs, d.hall.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

func (d *demo) say(format string, args ...any) {
	if _, err := fmt.Printf(format+"\n", args...); err != nil {
		d.lost = fmt.Errorf("show what happens: %w", err)
	}
}
