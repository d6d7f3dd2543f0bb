package discovery

import (
	"net/netip"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

func newWorker(cfg Config) *worker {
	return &worker{d: New(cfg), sw: netip.MustParseAddr("10.42.0.2"), ports: map[uint16]*portMACs{}}
}

// TestForgedPortsAreForgotten: each port that a sender named was remembered for good,
// 65,536 of each of the addresses that anybody can send from.
func TestForgedPortsAreForgotten(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	w := newWorker(Config{})
	for i := range 1 << 16 {
		w.note(&Event{At: begin, Port: uint16(i), Kind: Learnt}, UnknownSwitch)
	}
	if len(w.ports) != 0 {
		t.Errorf("%d ports of an unknown switch are remembered", len(w.ports))
	}
	w.class = member
	const up, busy = 7, 8
	w.markUplink(Event{At: begin, Port: up})
	for i := range 1 << 16 {
		at := begin.Add(time.Duration(i) * time.Second / 1000) // the hold-down holds 2,000 of them
		w.note(&Event{At: at, Port: busy, MAC: clusto.MAC{5: 1}, Kind: Learnt}, Known)
		w.note(&Event{At: at, Port: uint16(i), MAC: clusto.MAC{5: 2}, Kind: Learnt}, Unmapped)
		if len(w.ports) > portsPerSwitch {
			t.Fatalf("%d ports are remembered", len(w.ports))
		}
	}
	if w.ports[up] == nil || w.ports[busy] == nil || len(w.ports[busy].seen) == 0 {
		t.Errorf("an uplink, or a port that shows something, was forgotten: %v, %v", w.ports[up], w.ports[busy])
	}
	for i := range 1 << 16 { // all at once
		w.note(&Event{At: begin.Add(time.Hour), Port: uint16(i), MAC: clusto.MAC{5: 2}, Kind: Learnt}, Unmapped)
		if i%1024 == 0 && len(w.ports) > portsPerSwitch {
			t.Fatalf("%d ports are remembered", len(w.ports))
		}
	}
}

// TestManyMACsPerPort: with max_macs_per_port over 64 no port was ever an uplink: no
// more MACs were told apart.
func TestManyMACsPerPort(t *testing.T) {
	w := newWorker(Config{MaxMACs: 100})
	w.class = member
	ev := Event{At: time.Now(), Port: 1, Kind: Learnt}
	for i := range 1000 {
		ev.MAC = clusto.MAC{4: byte(i >> 8), 5: byte(i)}
		w.note(&ev, Known)
	}
	if n := w.macsOn(ev); n <= 100 || n > 102 {
		t.Errorf("%d MACs", n)
	}
}

// TestForgedLocalMACsAreForgotten: what is no server's MAC ends before clusto is asked
// about the switch, so of each forged address thousands of ports were remembered, with
// up to 64 such MACs each.
func TestForgedLocalMACsAreForgotten(t *testing.T) {
	w := newWorker(Config{})
	w.counts(1)
	ev := Event{At: time.Now(), Kind: Learnt, MAC: clusto.MAC{0: 2}}
	show := func(ports, macs int) (n int) {
		for i := range ports {
			for j := range macs {
				ev.Port, ev.MAC[5] = uint16(i), byte(j)
				w.note(&ev, NotServerMAC)
			}
		}
		for _, p := range w.ports {
			n += len(p.seen)
		}
		return n
	}
	if n, most := show(100, 100), portsOfStranger*(w.d.cfg.MaxMACs+1); n != most {
		t.Errorf("of a stranger %d MACs are remembered, want %d", n, most)
	}
	w.classify(false)
	if len(w.ports) != 0 {
		t.Errorf("of one that clusto does not have, %d ports are remembered", len(w.ports))
	}
	w.classify(true)
	if n := show(100, 10); n != 100*10 {
		t.Errorf("of a switch of clusto's %d MACs are remembered, want %d", n, 100*10)
	}
}
