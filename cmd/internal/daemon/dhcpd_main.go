package daemon

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/clusto/clusto-engine/engine"
)

// DHCPMain is the whole program clusto-dhcpd. It returns the exit code: 0 after
// SIGTERM or SIGINT, 2 if flags, configuration or interfaces are wrong, 1 for
// what happens later.
func DHCPMain(args []string) int {
	var cfg DHCP
	return serve(Program{
		Name: "clusto-dhcpd", Section: "dhcp",
		About: "Answers DHCP and BOOTP requests of the hosts that clusto knows.",
	}, args, &cfg, func(ctx context.Context) error { return ServeDHCP(ctx, &cfg, cfg.Logger(os.Stderr)) })
}

// ServeDHCP answers DHCP until ctx is over. SIGHUP marks the cache stale. An
// error that wraps ErrConfig is one of the set-up.
func ServeDHCP(ctx context.Context, cfg *DHCP, log *slog.Logger) error {
	return serveDHCP(ctx, cfg, log)
}

// serveDHCP serves metrics of other daemons too.
func serveDHCP(ctx context.Context, cfg *DHCP, log *slog.Logger, others ...measured) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	s, err := NewDHCPServer(cfg, log)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if cfg.Metrics != "" {
		wait, err := serveMetrics(ctx, log, cfg.Metrics, append([]measured{s}, others...)...)
		if err != nil {
			return err
		}
		defer wait()
		defer cancel()
	}
	go s.hangUps(ctx, hup)
	err = s.Run(ctx)
	t := s.stats.Totals()
	log.Info("stopped", "received", t.Received, "sent", t.Sent, "replies", t.Verdicts[engine.Reply])
	return err
}

func (s *DHCPServer) hangUps(ctx context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			s.log.Info("SIGHUP: every host is fetched again")
			s.MarkStale()
		}
	}
}
