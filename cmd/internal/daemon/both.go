package daemon

import (
	"context"
	"errors"
	"log/slog"
)

// ServeBoth answers DHCP and takes traps until ctx is over. Whatever ends first
// ends both; metrics of both are at cfg's address. An error that wraps ErrConfig
// is one of the set-up.
func ServeBoth(ctx context.Context, cfg *DHCP, traps *SNMP, log *slog.Logger) error {
	s, err := NewTrapServer(ctx, traps, log)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- s.Run(ctx)
	}()
	err = serveDHCP(ctx, cfg, log, s)
	cancel()
	return errors.Join(err, <-ended)
}
