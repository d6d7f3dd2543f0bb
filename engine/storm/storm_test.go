package storm

import (
	"context"
	"errors"
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

// Each verb sends what RFC 2131 says, and ends in its state.
func TestVerbs(t *testing.T) {
	for _, tc := range []struct {
		verb  Verb
		want  heard // what the server has to hear, xid and time aside
		state State
		acks  int
	}{
		{InitReboot, heard{kind: dhcp4.Request, requested: [4]byte{10, 0, 0, 1}, broadcast: true}, Bound, 1},
		{Renew, heard{kind: dhcp4.Request, ciaddr: [4]byte{10, 0, 0, 1}, unicast: true, broadcast: true}, Bound, 1},
		{Rebind, heard{kind: dhcp4.Request, ciaddr: [4]byte{10, 0, 0, 1}, broadcast: true}, Bound, 1},
		{Inform, heard{kind: dhcp4.Inform, ciaddr: [4]byte{10, 0, 0, 1}, broadcast: true}, Informed, 1},
		{Decline, heard{kind: dhcp4.Decline, requested: [4]byte{10, 0, 0, 1}, server: serverAddr}, Declined, 0},
		{Release, heard{kind: dhcp4.Release, ciaddr: [4]byte{10, 0, 0, 1}, server: serverAddr, unicast: true}, Released, 0},
	} {
		t.Run(fmt.Sprint(tc.want.kind), func(t *testing.T) {
			srv := &server{}
			bubble(t, srv, func(t *testing.T, a, _ *end) {
				c := fleet(1)
				c[0].Broadcast = true
				s, err := New(Config{Conn: a}, c)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if res, err := s.Do(t.Context(), DORA); err != nil || res.Done != 1 {
					t.Fatal(res, err)
				}
				res, err := s.Do(t.Context(), tc.verb)
				if err != nil || res.Done != 1 || res.Sent != 1 || res.Acks != tc.acks {
					t.Errorf("%v, %+v", err, res)
				}
				synctest.Wait()
				all := srv.all()
				got := all[len(all)-1]
				if got.xid == all[0].xid {
					t.Error("the xid is that of the DISCOVER")
				}
				tc.want.mac = c[0].MAC
				if got.xid, got.at = 0, (time.Time{}); got != tc.want {
					t.Errorf("the server heard\n%+v, want\n%+v", got, tc.want)
				}
				if c[0].State != tc.state || c[0].Addr != [4]byte{10, 0, 0, 1} {
					t.Errorf("%+v", c[0])
				}
			})
		})
	}
}

// All verbs in one run, for many clients at once, in the order of the constants.
func TestAllVerbsInOneRun(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(100)
		res := mustRun(t, Config{Conn: a, Outstanding: 7}, c, verbsEnd-1)
		if res.Done != 100 || res.Sent != 800 || res.Offers != 100 || res.Acks != 500 {
			t.Errorf("%+v", res)
		}
		synctest.Wait()
		var got []dhcp4.MessageType
		for _, h := range srv.all() {
			if h.mac == c[42].MAC {
				got = append(got, h.kind)
			}
		}
		if s := fmt.Sprint(got); s != "[DISCOVER REQUEST REQUEST REQUEST REQUEST INFORM DECLINE RELEASE]" {
			t.Errorf("the server heard %v", s)
		}
	})
}

// Clients behind a relay send from its address with option 82, and hear what
// comes to the relay.
func TestRelayAndVLAN(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(10)
		relay := &Relay{Addr: [4]byte{10, 9, 0, 1}, MAC: [6]byte{2, 7, 7, 7, 7, 7}, Server: serverAddr, ServerMAC: serverMAC, AgentInfo: []byte{1, 1, 'x'}}
		for i := range c {
			c[i].Relay = relay
			c[i].Tags, c[i].NTags = [2]frame.Tag{{TPID: 0x88a8, TCI: 100}, {TPID: 0x8100, TCI: 5}}, 2
		}
		res := mustRun(t, Config{Conn: a}, c, DORA|Rebind)
		checkBound(t, c)
		if res.Done != 10 {
			t.Errorf("%+v", res)
		}
		for _, h := range srv.all() {
			if h.giaddr != relay.Addr || !h.unicast {
				t.Errorf("%+v", h)
			}
		}
	})
}

// Verbs that need an address end at once where there is none.
func TestNoAddress(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, _ *end) {
		c := fleet(300)
		c[7].Addr = addrOf(c[7].MAC)
		res := mustRun(t, Config{Conn: a, Outstanding: 3}, c, InitReboot)
		if res.Failed != 299 || res.Done != 1 || res.Sent != 1 || c[0].State != NoAddress {
			t.Errorf("%v, %+v", c[0].State, res)
		}
	})
}

func TestContextEndsDo(t *testing.T) {
	srv := &server{policy: func(h *heard, out []answer) []answer {
		if h.mac[5]%2 == 0 {
			return out
		}
		return usual(h, out)
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(100)
		s, err := New(Config{Conn: a}, c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		res, err := s.Do(ctx, DORA)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second || res.Done != 50 || res.Failed != 0 {
			t.Errorf("%v after %v: %+v", err, time.Since(began), res)
		}
		// The Storm is as good as new for the clients that the server answers.
		srv.conn.(*end).fate = func([]byte) []time.Duration { return nil }
		if res, err = s.Do(t.Context(), DORA); err != nil || res.Failed != 100 {
			t.Errorf("second Do: %v, %+v", err, res)
		}
		s.Close()
		if _, err = s.Do(t.Context(), DORA); !errors.Is(err, engine.ErrStopped) {
			t.Errorf("after Close: %v, want ErrStopped", err)
		}
	})
}

func TestStoppedConnEndsDo(t *testing.T) {
	srv := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		time.AfterFunc(time.Second, a.Stop)
		began := time.Now()
		_, err := Run(t.Context(), Config{Conn: a}, fleet(5), DORA)
		if !errors.Is(err, engine.ErrStopped) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestMisuse(t *testing.T) {
	a, _ := newWire()
	twins := fleet(2)
	twins[1].MAC = twins[0].MAC
	for name, run := range map[string]func() error{
		"no conn":      func() error { _, err := New(Config{}, nil); return err },
		"twins":        func() error { _, err := New(Config{Conn: a}, twins); return err },
		"long jitter":  func() error { _, err := New(Config{Conn: a, Jitter: 4 * time.Second}, nil); return err },
		"no verb":      func() error { _, err := Run(t.Context(), Config{Conn: a}, nil, 0); return err },
		"unknown verb": func() error { _, err := Run(t.Context(), Config{Conn: a}, nil, 1<<15); return err },
	} {
		if run() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Nobody to serve is served at once.
func TestNoClients(t *testing.T) {
	a, _ := newWire()
	if res, err := Run(t.Context(), Config{Conn: a}, nil, DORA); err != nil || res.Done != 0 || res.Percentile(99) != 0 {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestStateNames(t *testing.T) {
	seen := map[string]bool{}
	for s := range states + 1 {
		if n := s.String(); n == "" || seen[n] {
			t.Errorf("state %d is called %q", s, n)
		} else {
			seen[n] = true
		}
	}
}
