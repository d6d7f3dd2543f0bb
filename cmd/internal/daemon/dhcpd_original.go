package daemon

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/clusto/clusto-engine/cache"
	"github.com/clusto/clusto-engine/clusto/client"
)

// newClient makes the client of clusto-httpd, of ours or of the original: it
// finds out by itself.
func (s *DHCPServer) newClient() (*client.Auto, error) {
	cfg := client.Config{URL: s.cfg.APIURL, Agent: "clusto-dhcpd/" + version()}
	if err := s.cfg.AddTo(&cfg, s.log); err != nil {
		return nil, err
	}
	cfg.Memory = func(read func(context.Context, string) (*client.Record, error)) (client.Memory, error) {
		return newAttributes(s.cfg.CacheTTL, read)
	}
	return client.NewAuto(cfg, s.foundServer)
}

func (s *DHCPServer) foundServer(is client.Server) {
	switch is {
	case client.Original:
		s.log.Info("the inventory is an original clusto-httpd: it is asked for one host at a time, and all hosts are fetched in the background", "api_url", s.cfg.APIURL)
	case client.V2:
		s.log.Info("the inventory is a clusto-httpd that speaks /v2", "api_url", s.cfg.APIURL)
	}
}

// loads is how many hosts the server loads at once; 0 for its default. An
// original clusto-httpd is asked for a few at once, whoever waits: more loaders
// would race for their turns, and hosts are to be answered in the order in which
// they came. Who is not there yet is taken for one of ours.
func (s *DHCPServer) loads() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.client.Ready(ctx) == nil && s.client.Server() == client.Original {
		return client.LegacyLoads
	}
	return 0
}

// attributes is the attribute cache: what hosts behind an original clusto-httpd
// share. It implements client.Memory.
type attributes struct {
	*cache.Cache[string, *client.Record]
}

func newAttributes(ttl time.Duration, read func(context.Context, string) (*client.Record, error)) (client.Memory, error) {
	seed := maphash.MakeSeed()
	c, err := cache.New(cache.Config[string, *client.Record]{
		Size: 1 << 13, TTL: ttl, LoadTimeout: time.Minute,
		Hash:     func(k string) uint64 { return maphash.String(seed, k) },
		Name:     func(k string) string { return k },
		Load:     read,
		IsAbsent: func(error) bool { return false },
	})
	if err != nil {
		return nil, fmt.Errorf("keep what hosts share: %w", err)
	}
	return attributes{c}, nil
}

// Get implements client.Memory. What is stale does not serve here: a host that
// is read must not look newer than it is.
func (m attributes) Get(ctx context.Context, key string) (*client.Record, error) {
	if r, state := m.Lookup(key, time.Now().UnixNano()); state == cache.Fresh {
		return r, nil
	}
	r, _, err := m.Fetch(ctx, key)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Forget implements client.Memory.
func (m attributes) Forget() { m.MarkStale() }

// beginWalk reports whether hosts come one by one, as they do from an original
// clusto-httpd. That may take hours, so the daemon is ready once it has begun:
// a host that asks before its turn is fetched at once.
func (s *DHCPServer) beginWalk() (oneByOne bool) {
	if oneByOne = s.client.Server() == client.Original; oneByOne {
		s.fill.hosts.Store(0)
		s.fill.networked = time.Now()
		s.fill.done.Store(true)
	}
	return oneByOne
}

// walked goes on after a host that came by itself, and gives the generation of
// the next one. The list of networks is kept up to date meanwhile.
func (s *DHCPServer) walked(ctx context.Context) (gen uint64) {
	s.fill.hosts.Add(1)
	if now := time.Now(); now.Sub(s.fill.networked) >= networksEvery {
		s.fill.networked = now
		if err := s.loadNetworks(ctx); err != nil {
			s.log.Debug("the networks could not be read again", "error", err)
		}
	}
	return s.hosts.Generation()
}
