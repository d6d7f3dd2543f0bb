package dhcp

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

func testReporter(log *bytes.Buffer) *reporter {
	r := new(reporter)
	r.init(Config{Log: slog.New(slog.NewTextHandler(log, nil)), Warn: time.Hour})
	return r
}

// TestWarnOncePerMAC: each MAC and reason once in the interval; DECLINE always.
func TestWarnOncePerMAC(t *testing.T) {
	var log bytes.Buffer
	r := testReporter(&log)
	start := time.Now()
	for _, c := range []struct {
		after   time.Duration
		mac     byte
		verdict engine.Verdict
		lines   int // in all
	}{
		{0, 1, engine.UnknownHost, 1},
		{time.Minute, 1, engine.UnknownHost, 1},
		{time.Minute, 2, engine.UnknownHost, 2},
		{time.Minute, 1, engine.NoServerID, 3},
		{59 * time.Minute, 1, engine.UnknownHost, 3},
		{time.Hour, 1, engine.UnknownHost, 4},
		{time.Hour, 1, engine.Declined, 5},
		{time.Hour + time.Second, 1, engine.Declined, 6},
	} {
		r.take(&event{verdict: c.verdict, mac: clusto.MAC{5: c.mac}}, start.Add(c.after))
		if n := strings.Count(log.String(), "\n"); n != c.lines {
			t.Fatalf("%v of %d after %v: %d lines, want %d\n%s", c.verdict, c.mac, c.after, n, c.lines, &log)
		}
	}
}

// TestWarningHeldBackComesLater: a flood of random MACs does not use up the
// warning about a host that matters.
func TestWarningHeldBackComesLater(t *testing.T) {
	var log bytes.Buffer
	r := testReporter(&log)
	now := time.Now()
	for i := range 100 {
		r.take(&event{verdict: engine.UnknownHost, mac: clusto.MAC{2, byte(i)}}, now)
	}
	e := event{verdict: engine.NoServerID, mac: hostMAC}
	r.take(&e, now)
	if n := strings.Count(log.String(), "\n"); n != linesPerSec {
		t.Errorf("%d lines in one second, want %d", n, linesPerSec)
	}
	if len(r.seen) != linesPerSec {
		t.Errorf("%d MACs remembered, %d warned of", len(r.seen), linesPerSec)
	}
	r.take(&e, now.Add(time.Second))
	for _, want := range []string{hostMAC.String(), "held back", "count=81"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, &log)
		}
	}
}

// TestReporterForgets: its memory is bounded.
func TestReporterForgets(t *testing.T) {
	r := testReporter(new(bytes.Buffer))
	for i := range 3 * rememberMACs {
		r.remember(seenKey{mac: clusto.MAC{byte(i >> 16), byte(i >> 8), byte(i)}}, time.Now())
	}
	if n := len(r.seen) + len(r.older); n > 2*rememberMACs {
		t.Errorf("%d MACs remembered", n)
	}
}

// TestWarningsSayWhy: what an operator needs to mend it stands in the line.
func TestWarningsSayWhy(t *testing.T) {
	elsewhere := testHost()
	elsewhere.Addresses = elsewhere.Addresses[:1]
	ambiguous := testHost()
	ambiguous.Ambiguous = []string{"/server/s0001", "/server/s0002"}
	plain := prepared(t, testHost())
	for _, c := range []struct {
		name string
		p    *Prepared
		ask  ask
		want []string
	}{
		{"no address on a direct link", prepared(t, elsewhere), ask{typ: discover}, []string{"no_address", "/server/s0001", "10.43.0.11", "interface=eth0", "network=10.42.0.0/24"}},
		{"no address behind a relay", prepared(t, elsewhere), ask{typ: discover, giaddr: "10.42.0.1", dst: "10.42.0.5"}, []string{"network=10.42.0.1", "relay=10.42.0.1", "10.43.0.11"}},
		{"ambiguous", prepared(t, ambiguous), ask{typ: discover}, []string{"/server/s0001, /server/s0002", hostMAC.String()}},
		{"decline", plain, ask{typ: 4, server: "10.42.0.5", requested: "10.42.0.11"}, []string{"declined", "/server/s0001", "requested=10.42.0.11", "DECLINE"}},
		{"nak", plain, ask{typ: request, requested: "10.42.0.99"}, []string{"refused", "requested=10.42.0.99"}},
		{"BOOTP on a VLAN", prepared(t, ambiguous), ask{}, []string{"message=BOOTP"}},
	} {
		var log bytes.Buffer
		s := NewServer(Config{Hosts: fixedHosts{hostMAC: {c.p, Fresh}}, Lot: smallLot(), Log: slog.New(slog.NewTextHandler(&log, nil))})
		handle(s.Handler(), c.ask)
		select {
		case e := <-s.report.events:
			s.report.take(&e, time.Now())
		default:
			t.Errorf("%s: no event", c.name)
		}
		for _, want := range c.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, &log)
			}
		}
	}
}
