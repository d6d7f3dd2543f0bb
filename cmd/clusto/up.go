package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	site "github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

const upAbout = "Inventory, DHCP and traps in one process: import a site, answer its hosts, and make servers of those that switches report."

// upFlags are clusto-dhcpd's, and what makes it an inventory too, and one that
// takes traps. api_url and cache_file are not used: up is its own.
type upFlags struct {
	Inventory string `key:"-" placeholder:"FILE" help:"Import this site, written in YAML, before answering."`
	DB        string `key:"-" name:"db" placeholder:"DSN" help:"Keep the inventory in this database: FILE, sqlite:////FILE or postgresql://USER@HOST/NAME. Unset: in memory, from --inventory alone."`
	Listen    string `key:"-" default:"127.0.0.1:9996" placeholder:"HOST:PORT" help:"Serve the inventory over HTTP here (${default})."`
	Traps     bool   `key:"-" default:"true" negatable:"" help:"Make servers of the MACs that switches report by SNMP, where clusto says so."`

	daemon.DHCP `embed:""`

	HTTP daemon.HTTPAccess `embed:"" group:"http"`

	SNMP upTraps `embed:"" prefix:"traps-" group:"snmp" set:"journal=" set:"journal_is=beside the database" set:"discover_mac=true"`
}

// Validate adds to what clusto-dhcpd asks for.
func (f *upFlags) Validate() error {
	if f.Inventory == "" && f.DB == "" && !f.CheckConfig {
		return errors.New("there is nothing to answer from; give --inventory, --db or both")
	}
	checks := []func() error{f.DHCP.Validate, f.checkHTTP, f.checkTraps}
	if f.CheckConfig {
		checks = append(checks, f.checkFiles)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (f *upFlags) checkHTTP() error { return inSection("http", f.HTTP.Check()) }

// checkFiles looks at what the settings name, but for what has no meaning here.
func (f *upFlags) checkFiles() error {
	if f.Inventory != "" {
		if _, err := readSite(f.Inventory); err != nil {
			return &daemon.FieldError{Key: "--inventory", What: strings.Join(strings.Fields(err.Error()), " ")}
		}
	}
	if err := inSection("http", f.HTTP.CheckFiles()); err != nil || !f.Traps {
		return err
	}
	return inSection("snmp", (&daemon.Traps{Journal: f.journal(), RackLayouts: f.SNMP.RackLayouts}).CheckFiles())
}

func upMain(args []string) int {
	flags := upFlags{DHCP: daemon.DHCP{Inside: true}}
	program := daemon.Program{Name: "clusto up", About: upAbout, Section: "dhcp", Without: []string{"api-url", "api-token-file", "api-ca-file", "cache-file"}, Elsewhere: elsewhere}
	if err := daemon.ParseFlags(program, args, &flags); err != nil {
		return daemon.ExitCode("clusto up", err)
	}
	var s *site.Site
	if flags.Inventory != "" {
		var err error
		if s, err = readSite(flags.Inventory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitUsage
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return daemon.ExitCode("clusto up", flags.run(ctx, s, flags.Logger(os.Stderr)))
}

// run serves the inventory, and answers DHCP and takes traps once it is filled.
// Whatever ends first ends all.
func (f *upFlags) run(ctx context.Context, s *site.Site, log *slog.Logger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.CacheFile = "" // the inventory is here itself
	cfg := daemon.HTTPD{DB: f.DB, Listen: f.Listen, HTTPAccess: f.HTTP, Common: f.Common}
	if cfg.DB == "" {
		cfg.DB = ":memory:"
	}
	listening := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(daemon.ServeHTTPD(ctx, cfg, log, func(url string, own daemon.APIAccess) {
			f.APIURL, f.APIAccess = url, own
			close(listening)
		}))
	}()
	defer func() {
		cancel(nil)
		<-ended
	}()
	select {
	case <-ctx.Done():
		return cause(ctx)
	case <-listening:
	}
	if err := f.fill(ctx, s, log); err != nil {
		return err
	}
	if err := f.serve(ctx, log); err != nil {
		return err
	}
	return cause(ctx)
}

func (f *upFlags) serve(ctx context.Context, log *slog.Logger) error {
	traps, done, err := f.traps(log)
	if err != nil {
		return err
	}
	defer done()
	if traps == nil {
		return daemon.ServeDHCP(ctx, &f.DHCP, log)
	}
	return daemon.ServeBoth(ctx, &f.DHCP, traps, log)
}

// cause tells a failure from being told to stop.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// fill imports the site into the inventory that is served.
func (f *upFlags) fill(ctx context.Context, s *site.Site, log *slog.Logger) error {
	if s == nil {
		return nil
	}
	cfg := client.Config{URL: f.APIURL, Agent: "clusto up"}
	if err := f.AddTo(&cfg, log); err != nil {
		return err
	}
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Apply(ctx, s.Ops()); err != nil {
		if errors.As(err, new(*clusto.OpError)) {
			return fmt.Errorf("%w: %w; %s; nothing was imported", daemon.ErrConfig, s.Explain(err), mend(err))
		}
		return fmt.Errorf("import %s: %w", f.Inventory, err)
	}
	log.Info("imported "+summary(s), "file", f.Inventory)
	return nil
}
