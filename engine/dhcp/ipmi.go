package dhcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// BootServer is a server that has an attribute bootstrap/mac, and what its
// port-nic-eth 1 has.
type BootServer struct {
	Path      string     // "/server/s0001"
	MAC, IPMI clusto.MAC // mac and ipmi-mac of port-nic-eth 1; zero: none is stored
	Elsewhere bool       // another of its ports has the MAC that it was asked for
}

// Bootstrap is what a Server needs of the inventory to store MACs in it.
// Errors wrap clusto.ErrUnavailable where it makes sense to try again.
type Bootstrap interface {
	// BootServer reads the one server whose bootstrap/mac is mac. The error
	// wraps clusto.ErrNotFound if there is none, and clusto.ErrConflict if
	// there are several or nobody can tell what is stored there.
	BootServer(ctx context.Context, mac clusto.MAC) (BootServer, error)
	// SetPortMAC makes mac the mac of the server's port-nic-eth 1, or its
	// ipmi-mac. The error wraps clusto.ErrConflict if the server is not as was
	// read any more, or if the MAC is another entity's.
	SetPortMAC(ctx context.Context, was BootServer, bmc bool, mac clusto.MAC) error
	// Purge forgets that a MAC is known, or unknown.
	Purge(mac clusto.MAC)
}

// AdoptConfig says which MACs that nobody knows are stored. Without an
// inventory none are.
type AdoptConfig struct {
	Inventory Bootstrap
	Classes   []string // vendor classes (option 60) that mark a BMC
	Hosts     int      // known hosts that may be alive at once; 200,000
}

// Bounds of the adopter: what waits, what it remembers, and its pace.
const (
	adoptQueue    = 256  // requests on their way to it
	adoptWaiting  = 1024 // that wait for the inventory
	rememberAsks  = 1 << 14
	adoptPace     = 50 * time.Millisecond
	adoptLeast    = time.Second      // between tries while the inventory fails; then twice that, and so on
	adoptMost     = 30 * time.Second // to this
	unknownAgain  = 10 * time.Second // then a MAC is looked up again that no bootstrap/mac names
	conflictAgain = time.Minute      // and one that was not stored
	aliveFor      = time.Hour        // since its last request
)

// bootAsk is a request that may tell a MAC to store: one of an unknown MAC, or
// of boot firmware with a BMC's. It is passed by value, and is a key of what is
// remembered: another kind of client with the same MAC is another matter.
type bootAsk struct {
	mac, client clusto.MAC // chaddr; the MAC in option 61, zero if it has none
	class       bool       // its vendor class is a BMC's
	known       bool       // the inventory knows the MAC, but has no address for it
}

// adopted is what was stored once, and is never stored again: if it is gone,
// somebody took it out.
type adopted struct {
	path string
	mac  clusto.MAC
	bmc  bool
}

// warnedOf is what was warned of: that a MAC is not stored, or not yet.
type warnedOf struct {
	mac clusto.MAC
	yet bool
}

// adopter stores the MACs of requests that attribute bootstrap/mac names, on
// port-nic-eth 1 of the server that has it: as ipmi-mac if it is a BMC that
// asks, else as mac. A BMC is who says so by its vendor class, or by a client-id
// that is the ipmi-mac stored so far. What is stored already stays while its
// owner is alive. Each try reads the inventory anew, one call at a time, and
// none is on the hot path. A nil adopter stores nothing.
type adopter struct {
	AdoptConfig
	log  *slog.Logger
	warn time.Duration

	asks         chan bootAsk
	alive        sightings
	stored, lost atomic.Uint64

	born    time.Time
	waiting []bootAsk
	waits   map[bootAsk]bool
	next    time.Time // of the first that waits
	timer   *time.Timer
	pause   time.Duration // 0 while the inventory answers

	settled generations[bootAsk, time.Time] // until when
	done    generations[adopted, struct{}]
	warned  generations[warnedOf, time.Time]
}

func newAdopter(cfg Config) *adopter {
	if cfg.Adopt.Inventory == nil {
		return nil
	}
	if cfg.Adopt.Hosts == 0 {
		cfg.Adopt.Hosts = 200_000
	}
	return &adopter{
		AdoptConfig: cfg.Adopt, log: cfg.Log, warn: cfg.Warn,
		asks: make(chan bootAsk, adoptQueue), alive: newSightings(cfg.Adopt.Hosts), born: time.Now(), waits: map[bootAsk]bool{},
	}
}

// saw notes that a known host is alive; it never waits.
func (a *adopter) saw(mac clusto.MAC) {
	if a != nil {
		a.alive.saw(mac, time.Now())
	}
}

// note hands a request to the adopter; it never waits.
func (a *adopter) note(r *Request, known bool) {
	if a == nil || r.MAC == (clusto.MAC{}) || r.MAC[0]&1 != 0 {
		return // no MAC of an interface
	}
	switch r.Type {
	case 0, dhcp4.Discover, dhcp4.Request:
	default:
		return // it wants no address
	}
	e := bootAsk{mac: r.MAC, class: a.isBMC(r.vendorClass), known: known}
	if id := r.clientID; len(id) == 7 && id[0] == dhcp4.HTypeEthernet {
		e.client = clusto.MAC(id[1:])
	}
	select {
	case a.asks <- e:
	default:
		a.lost.Add(1)
	}
}

func (a *adopter) isBMC(class []byte) bool {
	class = bytes.TrimRight(class, "\x00") // some clients send C's zero too
	return slices.ContainsFunc(a.Classes, func(c string) bool { return string(class) == c })
}

// unaddressed notes boot firmware that asks with a MAC for which the inventory
// has no address: the MAC may be stored as a BMC's, though it is the host's own.
func (h *Handler) unaddressed(v engine.Verdict, p *Prepared) {
	if v == engine.NoAddress && len(p.bindings) == 0 && h.req.firmware() {
		h.s.adopt.note(&h.req, true)
	}
}

// run stores MACs until ctx is over.
func (a *adopter) run(ctx context.Context) {
	if a == nil {
		return
	}
	a.timer = time.NewTimer(time.Hour)
	defer a.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-a.asks:
			a.enqueue(e, time.Now())
		case <-a.timer.C:
			if len(a.waiting) > 0 {
				a.first(ctx)
			}
		}
	}
}

// enqueue has a request wait for the inventory, unless it is settled or waits
// already.
func (a *adopter) enqueue(e bootAsk, now time.Time) {
	if until, ok := a.settled.get(e); ok && now.Before(until) || a.waits[e] {
		return
	}
	if len(a.waiting) >= adoptWaiting {
		a.lost.Add(1)
		return
	}
	a.waits[e] = true
	if a.waiting = append(a.waiting, e); len(a.waiting) == 1 {
		a.timer.Reset(a.next.Sub(now))
	}
}

// first tries the request that has waited longest. If the inventory fails it
// goes to the end, so that one that always fails does not stop the others.
func (a *adopter) first(ctx context.Context) {
	e := a.waiting[0]
	a.waiting = a.waiting[1:]
	wait, err := adoptPace, a.adopt(ctx, &e)
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		delete(a.waits, e)
		a.pause = 0
	default:
		if a.pause == 0 && a.say(warnedOf{e.mac, true}) {
			a.log.Warn("a MAC could not be looked up as bootstrap/mac, or stored; this is tried again until the inventory answers",
				"mac", e.mac.String(), "error", err)
		}
		a.pause = min(max(2*a.pause, adoptLeast), adoptMost)
		wait, a.waiting = a.pause, append(a.waiting, e)
	}
	a.next = time.Now().Add(wait)
	a.timer.Reset(wait)
}

// adopt looks a MAC up, and stores it if it should be. An error means: try
// again.
func (a *adopter) adopt(ctx context.Context, e *bootAsk) error {
	srv, err := a.Inventory.BootServer(ctx, e.mac)
	switch {
	case errors.Is(err, clusto.ErrNotFound):
		a.settle(e, unknownAgain)
		return nil
	case refusal(err):
		a.refuse(e, "", err.Error())
		return nil
	case err != nil:
		return err
	}
	bmc, set, why := a.plan(e, &srv)
	if why != "" {
		a.refuse(e, srv.Path, why)
		return nil
	}
	a.settle(e, unknownAgain)
	if !set {
		return nil
	}
	switch err := a.Inventory.SetPortMAC(ctx, srv, bmc, e.mac); {
	case refusal(err):
		a.refuse(e, srv.Path, err.Error())
	case err != nil:
		return err
	default:
		a.finish(e, &srv, bmc)
	}
	return nil
}

// refusal tells a word of the inventory from its failure.
func refusal(err error) bool {
	return errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrInvalid) || errors.Is(err, clusto.ErrNotFound)
}

// plan decides whether to store a MAC, and as what; or says why it may not be.
func (a *adopter) plan(e *bootAsk, srv *BootServer) (bmc, set bool, why string) {
	none := clusto.MAC{}
	if e.known { // boot firmware asks, so it is the host's own that a BMC was taken for
		shared := e.mac == srv.IPMI && srv.MAC == none && !srv.Elsewhere
		return false, shared && !a.did(srv, e.mac, false), ""
	}
	named := e.client != none && e.client == srv.IPMI
	bmc, has := e.class || named, srv.MAC
	if bmc {
		has = srv.IPMI
	}
	switch {
	case e.mac == srv.MAC || e.mac == srv.IPMI || srv.Elsewhere: // stored meanwhile
	case a.did(srv, e.mac, bmc):
		why = "it was stored once and has been taken out since; it is not stored again"
	case has == none:
		set = true
	case a.alive.since(has, time.Now(), aliveFor):
		why = fmt.Sprintf("port-nic-eth 1 %s is %s, which is alive; correct the one or the other", subkey(bmc), has)
	case !named && time.Since(a.born) < aliveFor:
		why = fmt.Sprintf("port-nic-eth 1 %s is %s, which may be alive: nobody has watched for an hour yet", subkey(bmc), has)
	default:
		set = true
	}
	return bmc, set, why
}

func (a *adopter) did(srv *BootServer, mac clusto.MAC, bmc bool) bool {
	_, ok := a.done.get(adopted{srv.Path, mac, bmc})
	return ok
}

func subkey(bmc bool) string {
	if bmc {
		return "ipmi-mac"
	}
	return "mac"
}

// refuse warns of what will not be stored, once for each MAC in an interval.
func (a *adopter) refuse(e *bootAsk, path, why string) {
	a.settle(e, conflictAgain)
	if !a.say(warnedOf{e.mac, false}) {
		return
	}
	attrs := []any{"mac", e.mac.String(), "reason", why}
	if path != "" {
		attrs = append(attrs, "host", path)
	}
	a.log.Warn("bootstrap/mac names this MAC, but it is not stored", attrs...)
}

// say reports whether a warning comes for the first time in the interval.
func (a *adopter) say(w warnedOf) bool {
	now := time.Now()
	if last, ok := a.warned.get(w); ok && now.Sub(last) < a.warn {
		return false
	}
	a.warned.put(w, now, rememberAsks)
	return true
}

// finish notes what was stored, and has it looked up when it asks again.
func (a *adopter) finish(e *bootAsk, srv *BootServer, bmc bool) {
	a.done.put(adopted{srv.Path, e.mac, bmc}, struct{}{}, rememberMACs)
	was := srv.MAC
	if bmc {
		was = srv.IPMI
	}
	attrs := []any{"mac", e.mac.String(), "host", srv.Path, "port", "port-nic-eth 1", "set", subkey(bmc)}
	if was != (clusto.MAC{}) {
		attrs = append(attrs, "instead_of", was.String())
		a.Inventory.Purge(was)
	}
	a.Inventory.Purge(e.mac)
	a.log.Info("a MAC that bootstrap/mac names is stored", attrs...)
	a.stored.Add(1) // last: who sees it may ask
}

func (a *adopter) settle(e *bootAsk, wait time.Duration) {
	a.settled.put(*e, time.Now().Add(wait), rememberAsks)
}

// Adoption counts the MACs that were stored, and the requests that came faster
// than they could be looked at.
func (s *Server) Adoption() (stored, lost uint64) {
	if s.adopt == nil {
		return 0, 0
	}
	return s.adopt.stored.Load(), s.adopt.lost.Load()
}
