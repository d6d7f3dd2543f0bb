package daemon

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/cache"
	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/dhcp"
)

// ErrConfig says that what was configured cannot work on this machine: the
// program ends with 2, as for a wrong flag.
var ErrConfig = errors.New("configuration")

// DHCPServer is clusto-dhcpd, put together: interfaces, policy, cache and the
// inventory's client.
type DHCPServer struct {
	cfg    *DHCP
	log    *slog.Logger
	client *client.Auto
	prep   dhcp.PrepareConfig
	hosts  hosts
	server *dhcp.Server
	lot    *engine.Lot
	stats  *engine.Stats
	links  links
	sink   *afpacket.Sink
	warned once
	fill   prefetch
	feed   feed
	epoch  atomic.Pointer[epoch]
}

// hosts is what dhcp.Server needs of a cache.
type hosts struct {
	*cache.Cache[clusto.MAC, *dhcp.Prepared]
}

// Lookup implements dhcp.Hosts. The two rooms' states have the same order.
func (h hosts) Lookup(mac clusto.MAC, now int64) (*dhcp.Prepared, dhcp.State) {
	p, state := h.Cache.Lookup(mac, now)
	return p, dhcp.State(state)
}

// fetchTries is how often a host is fetched that changes while it is fetched.
const fetchTries = 3

// Fetch implements dhcp.Hosts. Among the frames that wait for a load may be one
// that came after word of a change which the load knows nothing of: then the host
// is fetched again. Where changes are faster than loads, what came last serves as
// if it were old.
func (h hosts) Fetch(ctx context.Context, mac clusto.MAC) (p *dhcp.Prepared, state dhcp.State, err error) {
	for range fetchTries {
		gen := h.Generation()
		var found cache.State
		p, found, err = h.Cache.Fetch(ctx, mac)
		state = dhcp.State(found)
		if err != nil || !h.PurgedSince(gen, mac) {
			return p, state, err
		}
	}
	if state == dhcp.Fresh {
		state = dhcp.Stale
	}
	return p, state, nil
}

// links are the interfaces that are answered on, by name.
type links map[string]*afpacket.Group

// SendOn implements dhcp.Sender.
func (l links) SendOn(link *engine.Link, frame []byte) error {
	g := l[link.Name]
	if g == nil {
		return fmt.Errorf("send on %s: %w", link.Name, afpacket.ErrNoInterface)
	}
	return g.SendOn(link, frame)
}

// NewDHCPServer opens the interfaces and makes everything ready; frames wait in
// the kernel until Run. Close has to be called in the end. An error that wraps
// ErrConfig is one of the set-up.
func NewDHCPServer(cfg *DHCP, log *slog.Logger) (*DHCPServer, error) {
	s := &DHCPServer{
		cfg: cfg, log: log, links: links{}, fill: prefetch{wanted: make(chan struct{}, 1), ranges: make(chan struct{}, 1), whole: make(chan struct{}, 1)},
		prep: dhcp.PrepareConfig{Lease: cfg.LeaseTime, IPMIOSPort: cfg.IPMIOSPort, Extra: cfg.Extra()},
	}
	s.feed.init()
	s.warned.every = cfg.WarnInterval
	if err := cfg.checkCacheFile(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := s.makeInventory(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	s.makeServer()
	s.restore()
	return s, nil
}

func (s *DHCPServer) makeInventory() (err error) {
	if s.client, err = s.newClient(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.newEpoch()
	seed := maphash.MakeSeed()
	s.hosts.Cache, err = cache.New(cache.Config[clusto.MAC, *dhcp.Prepared]{
		Size: s.cfg.CacheSize, TTL: s.cfg.CacheTTL, AbsentTTL: s.cfg.NegativeTTL, MaxStale: s.cfg.MaxStale,
		Hash:     func(m clusto.MAC) uint64 { return maphash.Comparable(seed, m) },
		Name:     func(m clusto.MAC) string { return string(m[:]) },
		Load:     s.load,
		IsAbsent: func(err error) bool { return errors.Is(err, clusto.ErrNotFound) },
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// epoch is the time between two outages of the inventory. Loads end with it:
// they hang on connections that will never answer.
type epoch struct {
	ctx context.Context
	end context.CancelFunc
}

func (s *DHCPServer) newEpoch() {
	ctx, end := context.WithCancel(context.Background())
	if old := s.epoch.Swap(&epoch{ctx, end}); old != nil {
		old.end()
	}
}

// load asks the inventory for one host.
func (s *DHCPServer) load(ctx context.Context, mac clusto.MAC) (*dhcp.Prepared, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.epoch.Load().ctx, cancel)()
	h, err := s.client.Host(ctx, mac)
	if err != nil {
		return nil, err
	}
	return s.prepare(h), nil
}

// try asks for a host without regard to loads of it that are on their way.
func (s *DHCPServer) try(ctx context.Context, mac clusto.MAC) error {
	_, err := s.client.Host(ctx, mac)
	if errors.Is(err, clusto.ErrNotFound) {
		return nil
	}
	return err
}

// prepare encodes a host, and says once what could not be.
func (s *DHCPServer) prepare(h *clusto.Host) *dhcp.Prepared {
	p, warnings := dhcp.Prepare(h, s.prep)
	for _, w := range warnings {
		key := w.String()
		if strings.HasPrefix(w.Reason, "unknown option") { // one for each name, whoever uses it
			key = w.Attribute
		}
		if s.warned.first(key, time.Now()) {
			s.log.Warn("left out of replies: "+w.String(), "entity", w.Entity, "attribute", w.Attribute)
		}
	}
	return p
}

// open opens the interfaces, and holds the port that the kernel would refuse.
func (s *DHCPServer) open() error {
	if err := afpacket.CheckOverlap(s.cfg.Interface); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, name := range s.cfg.Interface {
		g, err := afpacket.Open(afpacket.Config{
			Interface: name, Ports: []uint16{dhcp4.ServerPort}, Workers: s.workers(), Log: s.log,
		})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		s.links[name] = g
		if err := s.checkAddress(g.Link()); err != nil {
			return err
		}
	}
	sink, err := afpacket.OpenSink(dhcp4.ServerPort)
	if err != nil {
		s.log.Warn("another program may answer DHCP on this machine, or the kernel answers unicast requests with \"port unreachable\"", "error", err)
		return nil
	}
	s.sink = sink
	return nil
}

func (s *DHCPServer) workers() int {
	if s.cfg.Workers > 0 {
		return s.cfg.Workers
	}
	return max(1, runtime.NumCPU()/2)
}

// checkAddress refuses an interface that replies could not come from. One that
// is not there yet may have an address when it is.
func (s *DHCPServer) checkAddress(l *engine.Link) error {
	if l == nil || len(l.Addrs) > 0 || len(l.VLANs) > 0 || s.cfg.ServerID != "" {
		return nil
	}
	return fmt.Errorf("%w: interface %s has no IPv4 address, and no server id is configured; give it an address (ip addr add), or set --server-id", ErrConfig, l.Name)
}

func (s *DHCPServer) makeServer() {
	n := s.workers() * len(s.links)
	s.stats = engine.NewStats(n + 1) // one for the filler
	s.lot = engine.NewLot(engine.LotConfig{})
	s.server = dhcp.NewServer(dhcp.Config{
		Hosts: s.hosts, Lot: s.lot, Loads: s.loads(), Log: s.log, Site: s.site(nil), Warn: s.cfg.WarnInterval, Counter: s.stats.Counter(n),
		Ping: s.client.Ready, Try: s.try, Returned: s.newEpoch, Adopt: s.adoption(),
	})
}

// site is what the policy knows beside hosts.
func (s *DHCPServer) site(networks []netip.Prefix) dhcp.Site {
	site := dhcp.Site{NakPXE: s.cfg.NakPXE, Networks: networks}
	if id := s.cfg.ServerAddr(); id.IsValid() {
		site.ServerID = id.As4()
	}
	return site
}

// Run answers until ctx is over, then lets what is on its way come to an end.
func (s *DHCPServer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers, rest sync.WaitGroup
	i := 0
	for _, g := range s.links {
		for j := range g.Workers() {
			w := &engine.Worker{Conn: g.Conn(j), Handler: s.server.Handler(), Counter: s.stats.Counter(i), Crashed: s.crashed}
			workers.Go(func() {
				if err := w.Run(); err != nil {
					cancel(fmt.Errorf("worker on %s: %w", g.Name(), err))
				}
			})
			i++
		}
	}
	rest.Go(func() { s.server.Run(ctx, s.links) })
	rest.Go(func() { s.prefetch(ctx) })
	rest.Go(func() { s.client.Follow(ctx, follower{s}) })
	rest.Go(func() { s.refetch(ctx) })
	rest.Go(func() { s.save(ctx) })
	<-ctx.Done()
	for _, g := range s.links {
		for j := range g.Workers() {
			g.Conn(j).Stop()
		}
	}
	workers.Wait()
	rest.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *DHCPServer) crashed(err error) {
	if s.warned.first("crash", time.Now()) {
		s.log.Error("a frame made the server stumble; please report this", "error", err)
	}
}

// MarkStale has every host asked for again, when its next request comes, and
// all of them in bulk right away.
func (s *DHCPServer) MarkStale() {
	s.client.Forget() // first: a host that is read from now on is not read from memory
	s.hosts.MarkStale()
	s.fill.again()
}

// Close closes the interfaces. Run has to have returned.
func (s *DHCPServer) Close() {
	for _, g := range s.links {
		g.Close()
	}
	if s.sink != nil {
		s.sink.Close()
	}
	s.client.Close()
}

// once remembers what was said, for a while, and not without bound.
type once struct {
	every time.Duration
	mu    sync.Mutex
	said  map[string]time.Time
}

const rememberSaid = 1 << 14

// first reports whether key comes for the first time in the interval.
func (o *once) first(key string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t, ok := o.said[key]; ok && now.Sub(t) < o.every {
		return false
	}
	if o.said == nil || len(o.said) >= rememberSaid {
		o.said = map[string]time.Time{}
	}
	o.said[key] = now
	return true
}
