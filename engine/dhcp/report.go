package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// event is what a handler tells the reporter. It is passed by value.
type event struct {
	verdict                           engine.Verdict
	typ                               dhcp4.MessageType
	mac                               clusto.MAC
	vlan                              uint16
	dropped                           int
	network, relay, requested, ciaddr uint32
	link                              *engine.Link
	host                              *Prepared
	err                               error // of a load
}

// Bounds of the reporter: what it remembers, and how much it writes.
const (
	eventQueue   = 1024
	rememberMACs = 1 << 16
	linesPerSec  = 20
)

// reporter writes warnings about single hosts: each once per MAC and verdict
// in an interval, and not more than linesPerSec in all, so that a flood of
// random MACs fills neither memory nor disk.
type reporter struct {
	events chan event
	log    *slog.Logger
	every  time.Duration

	seen, older map[seenKey]time.Time // two generations: bounded without an order
	window      time.Time
	lines, held int
}

type seenKey struct {
	mac     clusto.MAC
	verdict engine.Verdict
}

func (r *reporter) init(cfg Config) {
	r.events = make(chan event, eventQueue)
	r.log, r.every = cfg.Log, cfg.Warn
	r.seen = make(map[seenKey]time.Time)
}

func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-r.events:
			r.take(&e, time.Now())
		}
	}
}

func (r *reporter) take(e *event, now time.Time) {
	if e.verdict != engine.Declined && r.repeated(seenKey{e.mac, e.verdict}, now) {
		return
	}
	if now.Sub(r.window) >= time.Second {
		if r.held > 0 {
			r.log.Warn("more warnings of this kind held back", "count", r.held)
		}
		r.window, r.lines, r.held = now, 0, 0
	}
	if r.lines++; r.lines > linesPerSec { // not remembered: its time may come
		r.held++
		return
	}
	r.remember(seenKey{e.mac, e.verdict}, now)
	r.log.LogAttrs(context.Background(), level(e.verdict), e.text(), e.attrs()...)
}

func (r *reporter) repeated(k seenKey, now time.Time) bool {
	for _, m := range [...]map[seenKey]time.Time{r.seen, r.older} {
		if t, ok := m[k]; ok && now.Sub(t) < r.every {
			return true
		}
	}
	return false
}

func (r *reporter) remember(k seenKey, now time.Time) {
	if len(r.seen) >= rememberMACs {
		r.seen, r.older = make(map[seenKey]time.Time), r.seen
	}
	r.seen[k] = now
}

func level(v engine.Verdict) slog.Level {
	switch v {
	case engine.Disabled, engine.OtherServer, engine.Released:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// text says what happened and, where someone can mend it, how.
func (e *event) text() string {
	switch e.verdict {
	case engine.UnknownHost:
		return "ignored: no server in clusto has this MAC; set it as port-nic-eth 1 mac"
	case engine.Ambiguous, engine.Disabled:
		return "ignored: " + e.host.why
	case engine.NoAddress:
		if e.host.why != "" {
			return "ignored: " + e.host.why
		}
		return "ignored: the host has no address in the request's network; bind one in clusto"
	case engine.Declined:
		return "the client declined its address: something else uses it; the binding stays"
	case engine.Released:
		return "the client released its address; the binding stays"
	case engine.Nak:
		return "refused: clusto does not bind that address to this host here"
	case engine.NakWithheld:
		return "a NAK was due and withheld: the data is stale, or the client is boot firmware"
	case engine.NoServerID:
		return "ignored: the interface has no address; configure a server id"
	case engine.OtherServer:
		return "the client chose another server"
	case engine.Oversize:
		return "ignored: not even the indispensable options fit what the client takes"
	case engine.InventoryDown:
		return "the inventory answers others, but not for this host"
	case engine.Reply:
		return "options left out: the client takes no longer message"
	}
	return "ignored"
}

func (e *event) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("verdict", e.verdict.String()), slog.String("mac", e.mac.String()),
	}
	if e.link != nil {
		attrs = append(attrs, slog.String("interface", e.link.Name), slog.String("message", e.message()))
	}
	if e.verdict == engine.NoAddress && e.link != nil && e.network == 0 { // its networks are the request's
		attrs = append(attrs, slog.String("network", networks(e.link.AddrsOn(e.vlan))))
	}
	if e.err != nil {
		attrs = append(attrs, slog.Any("error", e.err))
	}
	if e.host != nil {
		attrs = append(attrs, slog.String("host", e.host.name))
		if a := e.host.addresses(); a != "" {
			attrs = append(attrs, slog.String("addresses", a))
		}
	}
	if e.vlan != 0 {
		attrs = append(attrs, slog.Int("vlan", int(e.vlan)))
	}
	if e.dropped > 0 {
		attrs = append(attrs, slog.Int("options", e.dropped))
	}
	for _, f := range [...]struct {
		name string
		ip   uint32
	}{{"network", e.network}, {"relay", e.relay}, {"requested", e.requested}, {"ciaddr", e.ciaddr}} {
		if f.ip != 0 {
			attrs = append(attrs, slog.String(f.name, netip.AddrFrom4(bytes4(f.ip)).String()))
		}
	}
	return attrs
}

func networks(addrs []netip.Prefix) string {
	var s []string
	for _, p := range addrs {
		s = append(s, p.Masked().String())
	}
	return strings.Join(s, " ")
}

func (e *event) message() string {
	if e.typ == 0 {
		return "BOOTP"
	}
	return fmt.Sprint(e.typ)
}
