package storm

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

func request(c *Client, kind dhcp4.MessageType, xid uint32) []byte {
	return AppendFrame(nil, c, &Message{Type: kind, XID: xid})
}

func mustReplyTo(t *testing.T, req []byte) func(*engine.Packet) bool {
	t.Helper()
	match, err := ReplyTo(req)
	if err != nil {
		t.Fatal(err)
	}
	return match
}

// Exchange returns the reply to its own request, copied, and passes over others.
func TestExchange(t *testing.T) {
	srv := &server{policy: func(h *heard, out []answer) []answer {
		a := usual(h, nil)[0]
		a.xid++
		return append(out, a, usual(h, nil)[0])
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		p := NewProbe(a)
		defer p.Close()
		c := &fleet(1)[0]
		var first engine.Packet
		for xid := range uint32(5) {
			req := request(c, dhcp4.Discover, xid*10)
			pkt, err := p.Exchange(t.Context(), req, mustReplyTo(t, req))
			if err != nil {
				t.Fatal(err)
			}
			var r reply
			if r.parse(&pkt) != nil || r.kind() != dhcp4.Offer || r.view.XID() != xid*10 {
				t.Errorf("xid %d: got % x", xid*10, pkt.Data)
			}
			if xid == 0 {
				first = pkt
			}
		}
		if !mustReplyTo(t, request(c, dhcp4.Discover, 0))(&first) {
			t.Error("the first reply changed when others came")
		}
	})
}

func TestExchangeWithoutReply(t *testing.T) {
	srv := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		p := NewProbe(a)
		defer p.Close()
		req := request(&fleet(1)[0], dhcp4.Discover, 1)
		match := mustReplyTo(t, req)
		began := time.Now()
		if _, err := p.Exchange(t.Context(), req, match); !errors.Is(err, ErrNoReply) || time.Since(began) != time.Minute || len(srv.all()) != 4 {
			t.Errorf("%v after %v and %d frames", err, time.Since(began), len(srv.all()))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Exchange(ctx, req, match); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want DeadlineExceeded", err)
		}
		time.AfterFunc(time.Second, a.Stop)
		if _, err := p.Exchange(t.Context(), req, match); !errors.Is(err, engine.ErrStopped) {
			t.Errorf("%v, want ErrStopped", err)
		}
	})
}

// The server answers type 8 although it should not: no INFORM is silent here.
func TestExpectSilence(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, b *end) {
		p := NewProbe(a)
		defer p.Close()
		c := &fleet(1)[0]
		fence := request(c, dhcp4.Discover, 99)
		if err := p.ExpectSilence(t.Context(), request(c, dhcp4.Release, 1), fence); err != nil {
			t.Errorf("a RELEASE: %v", err)
		}
		if err := p.ExpectSilence(t.Context(), request(c, dhcp4.Inform, 1), fence); !errors.Is(err, ErrNotSilent) {
			t.Errorf("an INFORM that was answered: %v, want ErrNotSilent", err)
		}
		if err := p.ExpectSilence(t.Context(), fence, []byte{1}); err == nil {
			t.Error("a fence that is no request: no error")
		}
		synctest.Wait()
		b.fate = func([]byte) []time.Duration { return nil }
		if err := p.ExpectSilence(t.Context(), request(c, dhcp4.Release, 1), fence, time.Second); !errors.Is(err, ErrNoReply) {
			t.Errorf("a fence without an answer: %v, want ErrNoReply", err)
		}
	})
}

// More frames than a Probe keeps, and nobody reads: it goes on.
func TestProbeOverflow(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, b *end) {
		p := NewProbe(a)
		defer p.Close()
		for range probeRoom + 5 {
			b.Send(&engine.Batch{Replies: [][]byte{{1}}})
			synctest.Wait()
		}
		req := request(&fleet(1)[0], dhcp4.Discover, 1)
		if _, err := p.Exchange(t.Context(), req, mustReplyTo(t, req)); err != nil {
			t.Error(err)
		}
	})
}

// What came before an Exchange is no answer to it.
func TestExchangeForgets(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, b *end) {
		p := NewProbe(a)
		defer p.Close()
		b.Send(&engine.Batch{Replies: [][]byte{{1}, {2}}})
		synctest.Wait()
		pkt, err := p.Exchange(t.Context(), request(&fleet(1)[0], dhcp4.Discover, 1), func(*engine.Packet) bool { return true })
		if err != nil || len(pkt.Data) < 300 {
			t.Errorf("%v, got % x", err, pkt.Data)
		}
	})
}

func TestReplyToRefusesOthers(t *testing.T) {
	c := &fleet(1)[0]
	req := request(c, dhcp4.Discover, 1)
	match := mustReplyTo(t, req)
	right := (&answer{kind: dhcp4.Offer, xid: 1}).appendFrame(nil, &heard{mac: c.MAC}, &frame.UDP4{})
	stranger := (&answer{kind: dhcp4.Offer, xid: 1}).appendFrame(nil, &heard{mac: [6]byte{2, 9}}, &frame.UDP4{})
	broken := bytes.Clone(right)
	broken[50]++
	for name, f := range map[string][]byte{"request itself": req, "stranger's": stranger, "broken": broken, "empty": nil} {
		if match(&engine.Packet{Data: f}) {
			t.Errorf("%s: taken for a reply", name)
		}
	}
	if !match(&engine.Packet{Data: right}) {
		t.Error("the right reply is not taken")
	}
	for name, f := range map[string][]byte{"broken": broken, "no DHCP": broken[:42]} {
		if _, err := ReplyTo(f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
