package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// httpdGrace is how long requests in flight may take to end once the program
// shall end.
const httpdGrace = 5 * time.Second

// HTTPDMain is the whole program clusto-httpd. It returns the exit code: 0 after
// SIGTERM or SIGINT, 2 if flags, configuration, database or address are wrong, 1
// for what happens later.
func HTTPDMain(args []string) int {
	var cfg HTTPD
	return serve(Program{
		Name: "clusto-httpd", Section: "http",
		About: "Serves the inventory over HTTP: /v2, and every call of the original's API.",
	}, args, &cfg, func(ctx context.Context) error { return ServeHTTPD(ctx, cfg, cfg.Logger(os.Stderr), nil) })
}

// ServeHTTPD opens the database and serves it until ctx is over and the requests
// in flight have ended, which takes five seconds at most. listening, if not nil,
// is called once with the URL that is served, and with what lets this process in
// there. SIGHUP has tokens and certificate read again. An error that wraps
// ErrConfig is one of the set-up.
func ServeHTTPD(ctx context.Context, cfg HTTPD, log *slog.Logger, listening func(url string, own APIAccess)) error {
	a, err := openAccess(&cfg.HTTPAccess, listening != nil, log)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s, err := store.Open(ctx, cfg.DB, log)
	if ctx.Err() != nil && err != nil {
		return nil // told to end before it began
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			log.Warn("the database does not close", "err", err)
		}
	}()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w: listen on %s: %w", ErrConfig, cfg.Listen, explainListen(cfg.Listen, "--listen", err))
	}
	defer a.reloadOnHangUp()()
	a.warnExposed(l.Addr(), log)
	most := connections(cfg.MaxConnections, log)
	log.Info("listening", "address", l.Addr().String(), "tokens", a.tokens != nil, "tls", a.cert != nil)
	if listening != nil {
		listening(a.scheme()+"://"+l.Addr().String(), APIAccess{own: a})
	}
	srv := httpd.NewServer(httpd.New(httpd.Config{
		Store: s, Log: log, Version: version(), MaxBody: int64(cfg.MaxBody) << 20,
		Tokens: a.who(), Limits: cfg.limits(), Ending: ctx, ReadOnlyGet: cfg.ReadOnlyGet,
	}), log)
	srv.TLSConfig = a.tls()
	return serveUntil(ctx, srv, netutil.LimitListener(l, most), log)
}

// reloadOnHangUp reads tokens and certificate again at SIGHUP, until stop.
func (a *access) reloadOnHangUp() (stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hup:
				a.reload()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		close(done)
	}
}

// filesBeside is how many files the program may have open beside connections.
const filesBeside = 64

// connections is how many connections may be open: no more than the files that
// the kernel allows.
func connections(want int, log *slog.Logger) int {
	want = cmp.Or(want, 1024)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= uint64(want+filesBeside) {
		return want
	}
	most := max(1, int(limit.Cur)-filesBeside)
	log.Warn("the kernel allows fewer open files than max_connections needs: raise ulimit -n (systemd: LimitNOFILE), or lower max_connections",
		"files", limit.Cur, "max_connections", want, "used", most)
	return most
}

// serveUntil serves until ctx is over, and then lets requests end.
func serveUntil(ctx context.Context, srv *http.Server, l net.Listener, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			failed <- srv.ServeTLS(l, "", "")
			return
		}
		failed <- srv.Serve(l)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpdGrace)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		log.Warn("requests in flight are cut off", "after", httpdGrace, "err", err)
		_ = srv.Close() // nothing is left to be told
	}
	log.Info("stopped")
	return nil
}

// explainListen says what to do about an address that cannot be listened on.
func explainListen(addr, flag string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: the port is taken; \"ss -ltnp sport = :%s\" shows by whom; end that, or give another with %s", err, port, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine does not have the address; \"ip addr\" lists those that it has", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 need CAP_NET_BIND_SERVICE; give it, or another port with %s", err, flag)
	}
	return err
}
