package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/storm"
)

// hall is many machines on cli0.
type hall struct {
	*lab
	clients []storm.Client
	storm   *storm.Storm
}

func hallMAC(i int) [6]byte { return [6]byte{2, 1, 0, byte(i >> 16), byte(i >> 8), byte(i)} }

func hallIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 20, byte(1 + i>>8), byte(i)}) }

// hallYAML has n servers in one network.
func hallYAML(n int) string {
	var b strings.Builder
	b.WriteString("networks: {big: {cidr: 10.20.0.0/16, gateway: 10.20.0.254}}\nservers:\n")
	for i := range n {
		fmt.Fprintf(&b, "  x%d: {in: boot, mac: %q, ip: %s}\n", i, clusto.MAC(hallMAC(i)), hallIP(i))
	}
	return b.String()
}

// newHall makes n machines that clusto knows. They lose patience quickly, and
// often: what counts is that each is answered.
func newHall(t *testing.T, n int) *hall {
	t.Helper()
	h := &hall{lab: newLab(t), clients: make([]storm.Client, n)}
	h.apply(hallYAML(n))
	must(t, h.net.AddAddr("srv0", netip.MustParsePrefix("10.20.0.253/16")))
	for i := range h.clients {
		h.clients[i] = storm.Client{MAC: hallMAC(i)}
	}
	h.storm = h.machines(h.clients, 40)
	return h
}

// machines makes a Storm of clients that try a number of times.
func (h *hall) machines(clients []storm.Client, tries int) *storm.Storm {
	h.t.Helper()
	g, err := afpacket.Open(afpacket.Config{Interface: "cli0", Ports: []uint16{68}, OtherHosts: true, In: h.peer.Do})
	must(h.t, err)
	schedule := make([]time.Duration, tries)
	for i := range schedule {
		schedule[i] = 250 * time.Millisecond
	}
	s, err := storm.New(storm.Config{Conn: g.Conn(0), Schedule: schedule}, clients)
	must(h.t, err)
	h.t.Cleanup(func() {
		s.Close()
		g.Close()
	})
	return s
}

// allBound has every machine acquire its address, and judges that.
func (h *hall) allBound(what string) storm.Result {
	h.t.Helper()
	res, err := h.storm.Do(h.t.Context(), storm.DORA)
	must(h.t, err)
	if res.Done != len(h.clients) || res.Naks != 0 {
		h.t.Fatalf("%s: %d of %d bound, %d failed, %d NAKs\n%s", what, res.Done, len(h.clients), res.Failed, res.Naks, h.log)
	}
	for i := range h.clients {
		if want := hallIP(i).As4(); h.clients[i].Addr != want {
			h.t.Fatalf("%s: machine %d has %v, want %v", what, i, h.clients[i].Addr, want)
		}
	}
	return res
}

// resident is the daemon's memory in MB.
func (h *hall) resident() int {
	h.t.Helper()
	return labtest.Resident(h.t, h.daemon.Process.Pid) >> 20
}

// TestInventoryFailsDuringAStorm: ten thousand machines power on while the
// inventory fails in every way. All that is known is answered and nothing is
// refused; a new machine is answered within two seconds of the inventory's return.
// It waited behind ten thousand known ones that had been answered already.
func TestInventoryFailsDuringAStorm(t *testing.T) { stormOfFaults(t, false) }

// TestInventoryFailsDuringAStormWithFeed: the same, while word of changes comes
// through where the server is there at all: nothing ages but while it is killed.
func TestInventoryFailsDuringAStormWithFeed(t *testing.T) { stormOfFaults(t, true) }

func stormOfFaults(t *testing.T, feed bool) {
	h := newHall(t, scaled(10_000))
	h.api.follow(feed)
	h.start("--cache-ttl", "1ms", "--negative-ttl", "1ms")
	if feed {
		h.following()
	}
	huge, err := json.Marshal(map[string]any{"mac": "02:00:00:00:00:01", "attrs": strings.Repeat("x", 10<<20)})
	must(t, err)
	say := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	outages := 0
	for _, fault := range []struct {
		name string
		fail func() (mend func())
	}{
		{"killed", func() func() { h.api.down(); return h.api.up }},
		{"hanging", func() func() {
			return h.api.with(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		}},
		{"500", func() func() { return h.api.with(say(500, "text/html", "Traceback (most recent call last)")) }},
		{"half a JSON", func() func() { return h.api.with(say(200, "application/json", `{"mac":"02:0`)) }},
		{"10 MB of JSON", func() func() { return h.api.with(say(200, "application/json", string(huge))) }},
		{"wrong types", func() func() { return h.api.with(say(200, "application/json", `{"mac":[1],"attrs":{}}`)) }},
	} {
		mend := fault.fail()
		res := h.allBound(fault.name)
		outages++
		h.newcomer(fault.name, outages, mend)
		h.until("the inventory counts as up", func() bool { return h.metric("clusto_dhcpd_inventory_up") == 1 })
		t.Logf("%s: p50 %v, p99 %v, slowest %v", fault.name, res.Percentile(50), res.Percentile(99), res.Percentile(100))
	}
	h.allBound("after it all")
	if rss, threads := h.resident(), h.metric("go_goroutines"); (rss > 400 && !raceEnabled) || threads > 500 {
		t.Errorf("the daemon has grown to %d MB and %d goroutines", rss, threads)
	}
	for _, line := range []string{"the inventory does not answer", "the inventory answers again"} {
		if n := strings.Count(h.log.String(), line); n < outages || n > outages && !raceEnabled { // under it the inventory is slow by itself
			t.Errorf("%q is logged %d times for %d outages", line, n, outages)
		}
	}
}

// newcomer is a machine that clusto gets to know during an outage.
func (h *hall) newcomer(fault string, i int, mend func()) {
	h.t.Helper()
	c := []storm.Client{{MAC: [6]byte{2, 2, 0, 0, 0, byte(i)}}}
	h.apply(fmt.Sprintf("servers: {late%d: {in: boot, mac: %q, ip: 10.20.200.%d}}", i, clusto.MAC(c[0].MAC), i))
	s := h.machines(c, 80)
	type end struct {
		res storm.Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		res, err := s.Do(h.t.Context(), storm.DORA)
		ended <- end{res, err}
	}()
	h.until("the newcomer waits", func() bool { return h.metric("clusto_dhcpd_waiting_frames") > 0 })
	h.until("the inventory counts as down", func() bool { return h.metric("clusto_dhcpd_inventory_up") == 0 })
	mend()
	back := time.Now()
	e := <-ended
	must(h.t, e.err)
	if e.res.Done != 1 || e.res.Naks != 0 {
		h.t.Errorf("%s: the newcomer is not answered after it: %+v", fault, c[0])
	}
	took := time.Since(back).Round(time.Millisecond)
	if took > 2*time.Second && !raceEnabled {
		h.t.Errorf("%s: a newcomer is bound only %v after the inventory's return", fault, took)
	}
	h.t.Logf("%s: a newcomer is bound %v after the inventory's return", fault, took)
}

// TestFloodOfRandomMACs: known machines get their addresses beside a flood of
// unknown ones at full rate; memory, absences and log stay bounded.
func TestFloodOfRandomMACs(t *testing.T) {
	h := newHall(t, scaled(1000))
	h.start("--cache-size", "4000")
	g, err := afpacket.Open(afpacket.Config{Interface: "cli0", Ports: []uint16{9}, In: h.peer.Do})
	must(t, err)
	t.Cleanup(g.Close)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	flooded := make(chan int)
	go func() { flooded <- flood(ctx, g.Conn(0), scaled(300_000)) }()
	h.until("the flood", func() bool { return h.metric("clusto_dhcpd_received_total") > 1000 })
	before := h.resident()
	var res storm.Result
	for range 3 {
		res = h.allBound("beside the flood")
	}
	n := <-flooded
	st := fmt.Sprintf("%d random MACs; of %d frames the kernel dropped %d; known machines: %d tries again, p50 %v, p99 %v",
		n, h.metric("clusto_dhcpd_received_total"), h.metric(`clusto_dhcpd_kernel_dropped_total{interface="srv0"}`),
		res.Retransmitted, res.Percentile(50), res.Percentile(99))
	t.Log(st)
	if absent := h.metric("clusto_dhcpd_cache_absences"); absent > 3000 {
		t.Errorf("%d absences are remembered, of a quarter of 4,000", absent)
	}
	if rss := h.resident(); rss > before+100 && !raceEnabled {
		t.Errorf("the daemon grew from %d to %d MB", before, rss)
	}
	if lines := strings.Count(h.log.String(), "\n"); lines > 1000 {
		t.Errorf("the flood made %d lines in the log", lines)
	}
	h.allBound("after the flood")
	if v := h.verdicts(engine.UnknownHost); v == 0 {
		t.Error("no frame of the flood was judged")
	}
}

// flood sends n DISCOVERs of MACs that nobody knows, until ctx is over.
func flood(ctx context.Context, c engine.Conn, n int) (sent int) {
	rnd := rand.New(rand.NewPCG(5, 6))
	b := &engine.Batch{}
	for range engine.BatchSize {
		b.Replies = append(b.Replies, make([]byte, 0, 512))
	}
	for ; sent < n && ctx.Err() == nil; sent += engine.BatchSize {
		for i := range b.Replies {
			r := rnd.Uint64()
			m := [6]byte{6, byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24), byte(r >> 32)}
			b.Replies[i] = storm.AppendFrame(b.Replies[i][:0], &storm.Client{MAC: m}, &storm.Message{Type: dhcp4.Discover, XID: uint32(r)})
		}
		c.Send(b)
	}
	return sent
}
