package storm

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// bubble runs f in virtual time with a server behind a wire.
func bubble(t *testing.T, srv *server, f func(t *testing.T, client, srv *end)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := newWire()
		srv.conn, srv.record = b, true
		serve(t, srv)
		f(t, a, b)
	})
}

func mustRun(t *testing.T, cfg Config, c []Client, v Verb) Result {
	t.Helper()
	res, err := Run(t.Context(), cfg, c, v)
	if err != nil {
		t.Fatal(err)
	}
	if n := res.Offers + res.Acks + res.Naks + res.Late + res.Invalid + res.Stray; n != res.Received {
		t.Errorf("frames received %d, accounted for %d: %+v", res.Received, n, res)
	}
	return res
}

func checkBound(t *testing.T, c []Client) {
	t.Helper()
	for i := range c {
		if c[i].State != Bound || c[i].Addr != addrOf(c[i].MAC) || c[i].Server != serverAddr || c[i].ServerMAC != serverMAC || c[i].Lease != 3600 {
			t.Fatalf("client %d: %+v", i, c[i])
		}
	}
}

// A thousand clients, half of whom ask for broadcasts, get their addresses.
func TestDORA(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, _ *end) {
		c := fleet(1000)
		for i := range c {
			c[i].Broadcast = i%2 == 0
		}
		replies := make([]int, len(c))
		var last [3]int
		res := mustRun(t, Config{
			Conn:       a,
			OnReply:    func(i int, _ *engine.Packet) { replies[i]++ },
			OnProgress: func(done, failed, total int) { last = [3]int{done, failed, total} },
		}, c, DORA)
		checkBound(t, c)
		if res.Done != 1000 || res.Failed != 0 || res.Sent != 2000 || res.Retransmitted != 0 || res.Offers != 1000 || res.Acks != 1000 {
			t.Errorf("%+v", res)
		}
		if last != [3]int{1000, 0, 1000} {
			t.Errorf("the last progress was %v", last)
		}
		for i, n := range replies {
			if n != 2 || c[i].Tries != 2 {
				t.Fatalf("client %d: OnReply called %d times, %d tries, want 2 and 2", i, n, c[i].Tries)
			}
		}
	})
}

// On a wire that loses, doubles and reorders, all get there, and keep the xid
// from DISCOVER to ACK.
func TestLossyWire(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, b *end) {
		for i, e := range []*end{a, b} {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			e.fate = func([]byte) []time.Duration {
				delay := func() time.Duration { return time.Duration(rnd.IntN(2000)) * time.Millisecond }
				switch n := rnd.IntN(10); {
				case n < 3:
					return nil
				case n < 5:
					return []time.Duration{delay(), delay()}
				}
				return []time.Duration{delay()}
			}
		}
		schedule := make([]time.Duration, 40)
		for i := range schedule {
			schedule[i] = time.Second
		}
		c := fleet(300)
		res := mustRun(t, Config{Conn: a, Outstanding: 100, Schedule: schedule, Jitter: 100 * time.Millisecond}, c, DORA)
		checkBound(t, c)
		if res.Done != 300 || res.Retransmitted == 0 || res.Late == 0 {
			t.Errorf("%+v", res)
		}
		if first := res.Sent + res.TxDropped - res.Retransmitted; first != 600 {
			t.Errorf("%d first transmissions, want 600", first)
		}
		for _, h := range srv.all() {
			cl := &c[be32([4]byte{0, h.mac[3], h.mac[4], h.mac[5]})-1]
			if h.xid != cl.XID {
				t.Fatalf("%v of %x with xid %x, want %x in each", h.kind, h.mac, h.xid, cl.XID)
			}
			if h.kind == dhcp4.Request && (h.requested != cl.Addr || h.server != serverAddr) {
				t.Fatalf("REQUEST of %x selects %v from %v", h.mac, h.requested, h.server)
			}
		}
		if !isAscending(res.Latencies) || res.Percentile(100) != res.Latencies[299] || res.Percentile(0) != res.Latencies[0] || res.Percentile(50) != res.Latencies[149] {
			t.Error("latencies are not in order")
		}
	})
}

func isAscending(d []time.Duration) bool {
	for i := 1; i < len(d); i++ {
		if d[i-1] > d[i] {
			return false
		}
	}
	return true
}

// Without a server each client sends at 0, 4, 12 and 28 s and gives up at 60 s,
// and the next ones take their places.
func TestSilentServerEndsTheSchedule(t *testing.T) {
	srv := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(100)
		began := time.Now()
		res := mustRun(t, Config{Conn: a, Outstanding: 50}, c, DORA)
		if res.Failed != 100 || res.Done != 0 || res.Sent != 400 || res.Retransmitted != 300 || res.Peak != 50 || res.Elapsed != 2*time.Minute {
			t.Errorf("%+v", res)
		}
		var at []time.Duration
		for _, h := range srv.all() {
			if h.mac == c[0].MAC {
				at = append(at, h.at.Sub(began))
				if want := uint16(h.at.Sub(began) / time.Second); h.secs != want || h.kind != dhcp4.Discover {
					t.Errorf("%v with secs %d, want a DISCOVER with %d", h.kind, h.secs, want)
				}
			}
		}
		if fmt.Sprint(at) != "[0s 4s 12s 28s]" {
			t.Errorf("sent at %v", at)
		}
		if c[0].State != TimedOut || c[0].Tries != 4 || !c[0].State.Failed() {
			t.Errorf("%+v", c[0])
		}
	})
}

// RFC 2131 section 4.1: each wait is off by up to a second, and not always by
// the same.
func TestJitter(t *testing.T) {
	srv := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		began := time.Now()
		mustRun(t, Config{Conn: a, Schedule: RFC2131(), Jitter: time.Second, Seed: 7}, fleet(20), DORA)
		distinct := map[time.Duration]bool{}
		for _, h := range srv.all()[20:40] { // the first retransmission of each
			d := h.at.Sub(began)
			if distinct[d] = true; d < 3*time.Second || d > 5*time.Second {
				t.Errorf("retransmission after %v, want 3 to 5 s", d)
			}
		}
		if len(distinct) < 15 {
			t.Errorf("20 clients share %d moments", len(distinct))
		}
	})
}

// The server never sees more clients unfinished than Outstanding.
func TestOutstanding(t *testing.T) {
	var now, most atomic.Int64
	open := map[[6]byte]bool{}
	srv := &server{policy: func(h *heard, out []answer) []answer {
		switch h.kind {
		case dhcp4.Discover:
			if !open[h.mac] {
				open[h.mac] = true
				most.Store(max(most.Load(), now.Add(1)))
			}
		case dhcp4.Request:
			now.Add(-1)
		}
		return usual(h, out)
	}}
	bubble(t, srv, func(t *testing.T, a, b *end) {
		b.fate = func([]byte) []time.Duration { return []time.Duration{10 * time.Millisecond} }
		res := mustRun(t, Config{Conn: a, Outstanding: 16}, fleet(200), DORA)
		if res.Done != 200 || most.Load() != 16 || res.Peak != 16 {
			t.Errorf("%d at once, Peak %d, want 16; %+v", most.Load(), res.Peak, res)
		}
	})
}

// A NAK sends the client back to DISCOVER under a new xid, and an OFFER of the
// old transaction that comes late, with another address, is not taken.
func TestNakRestarts(t *testing.T) {
	naks := map[[6]byte]int{}
	srv := &server{policy: func(h *heard, out []answer) []answer {
		if h.kind != dhcp4.Request || naks[h.mac] == 2 {
			return usual(h, out)
		}
		naks[h.mac]++
		return append(out,
			answer{kind: dhcp4.Nak, xid: h.xid, ethDst: broadcastMAC},
			answer{kind: dhcp4.Offer, xid: h.xid, ethDst: h.mac, yiaddr: [4]byte{192, 0, 2, 1}})
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(50)
		res := mustRun(t, Config{Conn: a}, c, DORA)
		checkBound(t, c)
		if res.Naks != 100 || res.Late != 100 || res.Sent != 300 || res.Retransmitted != 0 || c[0].Naks != 2 {
			t.Errorf("%+v", res)
		}
		xids := map[uint32]bool{}
		for _, h := range srv.all() {
			if h.mac == c[0].MAC {
				xids[h.xid] = true
			}
		}
		if len(xids) != 3 {
			t.Errorf("%d xids, want one for each of 3 transactions", len(xids))
		}
	})
}

func TestNaksAreBounded(t *testing.T) {
	nak := func(h *heard, out []answer) []answer {
		if h.kind == dhcp4.Request {
			return append(out, answer{kind: dhcp4.Nak, xid: h.xid, ethDst: broadcastMAC})
		}
		return usual(h, out)
	}
	for _, tc := range []struct {
		max   int
		verbs Verb
		sent  int
	}{
		{max: 0, verbs: DORA, sent: 8}, // the default of 3 restarts
		{max: 1, verbs: DORA, sent: 4},
		{max: -1, verbs: DORA, sent: 2},
		{max: 0, verbs: InitReboot, sent: 1}, // there is no DISCOVER to go back to
		{max: 0, verbs: Rebind | Inform, sent: 1},
	} {
		t.Run(fmt.Sprintf("%d/%x", tc.max, tc.verbs), func(t *testing.T) {
			bubble(t, &server{policy: nak}, func(t *testing.T, a, _ *end) {
				c := fleet(1)
				c[0].Addr = addrOf(c[0].MAC)
				res := mustRun(t, Config{Conn: a, MaxNaks: tc.max}, c, tc.verbs)
				if res.Failed != 1 || res.Sent != tc.sent || c[0].State != Refused || c[0].Naks != (tc.sent+1)/2 {
					t.Errorf("%+v, client %v with %d NAKs; want %d frames", res, c[0].State, c[0].Naks, tc.sent)
				}
			})
		})
	}
}

// Replies that a client must not take: it gets each of them before the right
// one, and ends with the right address all the same.
func TestWrongReplies(t *testing.T) {
	other := [4]byte{192, 0, 2, 66}
	for _, tc := range []struct {
		name  string
		make  func(h *heard, right answer) answer
		count func(r *Result) int
	}{
		{"duplicate of the last", func(h *heard, a answer) answer {
			if a.kind == dhcp4.Ack {
				a.kind, a.yiaddr = dhcp4.Offer, other
				return a
			}
			a.kind = dhcp4.Ack
			return a
		}, func(r *Result) int { return r.Late }},
		{"other xid", func(h *heard, a answer) answer { a.xid++; a.yiaddr = other; return a }, func(r *Result) int { return r.Late }},
		{"NAK for a DISCOVER, or type 0", func(h *heard, a answer) answer {
			if a.kind == dhcp4.Offer {
				a.kind = dhcp4.Nak
				return a
			}
			a.kind = 0
			return a
		}, func(r *Result) int { return r.Late }},
		{"no server id", func(h *heard, a answer) answer { a.noID, a.yiaddr = true, other; return a }, func(r *Result) int { return r.Invalid }},
		{"no address", func(h *heard, a answer) answer { a.yiaddr = [4]byte{}; return a }, func(r *Result) int { return r.Invalid }},
		{"to another MAC", func(h *heard, a answer) answer { a.ethDst[5] ^= 0x80; a.yiaddr = other; return a }, func(r *Result) int { return r.Stray }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			policy := func(h *heard, out []answer) []answer {
				right := usual(h, nil)[0]
				return append(out, tc.make(h, right), right)
			}
			bubble(t, &server{policy: policy}, func(t *testing.T, a, _ *end) {
				c := fleet(30)
				res := mustRun(t, Config{Conn: a}, c, DORA)
				checkBound(t, c)
				if n := tc.count(&res); n != 60 || res.Offers != 30 || res.Acks != 30 || res.Sent != 60 {
					t.Errorf("%d wrong replies counted, want 60: %+v", n, res)
				}
			})
		})
	}
}

// Three OFFERs for each DISCOVER: the first one is taken, the others are Late.
func TestDuplicateOffers(t *testing.T) {
	srv := &server{policy: func(h *heard, out []answer) []answer {
		out = usual(h, out)
		if h.kind == dhcp4.Discover {
			twice := out[0]
			twice.yiaddr = [4]byte{192, 0, 2, 2}
			out = append(out, twice, twice)
		}
		return out
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(100)
		res := mustRun(t, Config{Conn: a}, c, DORA)
		checkBound(t, c)
		if res.Offers != 100 || res.Late != 200 || res.Sent != 200 {
			t.Errorf("%+v", res)
		}
	})
}

// An ACK that comes with the OFFER answers a REQUEST that was never sent.
func TestAckBeforeRequest(t *testing.T) {
	srv := &server{policy: func(h *heard, out []answer) []answer {
		out = usual(h, out)
		if h.kind == dhcp4.Discover {
			out = append(out, out[0])
			out[1].kind = dhcp4.Ack
		}
		return out
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(10)
		res := mustRun(t, Config{Conn: a}, c, DORA)
		if res.Late != 10 || res.Sent != 20 || c[0].Tries != 2 {
			t.Errorf("%+v", res)
		}
	})
}

// RFC 2131 section 4.4.1: a REQUEST has the secs of the DISCOVER that was
// answered, however late it is itself; latencies count from the first frame.
func TestSecsAndLatency(t *testing.T) {
	n := map[dhcp4.MessageType]int{}
	srv := &server{policy: func(h *heard, out []answer) []answer {
		if n[h.kind]++; n[h.kind] < 2 {
			return out
		}
		return usual(h, out)
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(1)
		mustRun(t, Config{Conn: a}, c, DORA)
		var secs []uint16
		for _, h := range srv.all() {
			secs = append(secs, h.secs)
		}
		if fmt.Sprint(secs) != "[0 4 4 4]" || c[0].OfferLatency != 4*time.Second || c[0].Latency != 8*time.Second {
			t.Errorf("secs %v, want [0 4 4 4]; %+v", secs, c[0])
		}
	})
}

// A reply is on the client's VLANs or not for it, whether the kernel took the
// outer tag out or left it in line.
func TestSameTags(t *testing.T) {
	tags := func(vlans ...uint16) (out [2]frame.Tag, n int) {
		for i, v := range vlans {
			out[i] = frame.Tag{TPID: 0x8100, TCI: v}
		}
		return out, len(vlans)
	}
	for _, tc := range []struct {
		client, inline []uint16
		kernel         uint16 // tag that the kernel took out; 0 if none
		want           bool
	}{
		{want: true},
		{client: []uint16{5}, inline: []uint16{5}, want: true},
		{client: []uint16{5}, inline: []uint16{0x2005}, want: true}, // priority 1
		{client: []uint16{5}, kernel: 5, want: true},
		{client: []uint16{9, 5}, kernel: 9, inline: []uint16{5}, want: true},
		{client: []uint16{9, 5}, inline: []uint16{9, 5}, want: true},
		{client: []uint16{5}},
		{client: []uint16{5}, kernel: 6},
		{client: []uint16{5}, inline: []uint16{6}},
		{kernel: 5},
		{inline: []uint16{5}},
		{client: []uint16{9, 5}, kernel: 9},
		{client: []uint16{9, 5}, kernel: 5, inline: []uint16{9}},
		{client: []uint16{9, 5}, kernel: 9, inline: []uint16{5, 5}},
	} {
		var c Client
		var u frame.UDP4
		var p engine.Packet
		c.Tags, c.NTags = tags(tc.client...)
		u.Tags, u.NTags = tags(tc.inline...)
		if tc.kernel != 0 {
			p.TPID, p.TCI = 0x8100, tc.kernel
		}
		if got := sameTags(&c, &p, &u); got != tc.want {
			t.Errorf("%+v: got %v", tc, got)
		}
	}
}

// An ACK with another address than was requested is a server's mistake: the
// client does not take it, and times out.
func TestAckOfAnotherAddress(t *testing.T) {
	srv := &server{policy: func(h *heard, out []answer) []answer {
		out = usual(h, out)
		if h.kind == dhcp4.Request {
			out[0].yiaddr[3]++
		}
		return out
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(1)
		res := mustRun(t, Config{Conn: a}, c, DORA)
		if res.Invalid != 4 || res.Failed != 1 || c[0].State != TimedOut {
			t.Errorf("%v, %+v", c[0].State, res)
		}
	})
}

// Other people's traffic is Stray, whatever is wrong with it.
func TestStray(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, b *end) {
		c := fleet(2)
		request := AppendFrame(nil, &c[0], &Message{Type: dhcp4.Discover, XID: 1})
		stranger := (&answer{kind: dhcp4.Offer, xid: 1, ethDst: broadcastMAC}).appendFrame(nil, &heard{mac: [6]byte{2, 9}}, &frame.UDP4{})
		tagged := (&answer{kind: dhcp4.Offer, xid: 1, ethDst: broadcastMAC}).appendFrame(nil, &heard{mac: c[0].MAC},
			&frame.UDP4{NTags: 1, Tags: [2]frame.Tag{{TPID: 0x8100, TCI: 7}}})
		b.fate = func(f []byte) []time.Duration { return []time.Duration{time.Second} }
		go b.Send(&engine.Batch{Replies: [][]byte{nil, {1, 2, 3}, request, stranger, tagged, stranger[:200]}})
		res := mustRun(t, Config{Conn: a}, c, DORA)
		checkBound(t, c)
		if res.Stray != 6 || res.Late != 0 || res.Invalid != 0 {
			t.Errorf("%+v", res)
		}
	})
}
