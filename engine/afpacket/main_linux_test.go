package afpacket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

func TestMain(m *testing.M) { netlab.Main(m.Run) }

// patience bounds every wait; nothing that works comes near it.
const patience = 10 * time.Second

// lab is two links that reach each other: srv0 here, cli0 in a namespace of its
// own.
type lab struct {
	t      testing.TB
	peer   *netlab.Net
	client *Group // on cli0, takes everything to port 68 or 67
}

func newLab(t testing.TB) *lab {
	t.Helper()
	peer, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, peer: peer}
	t.Cleanup(func() {
		_ = (*netlab.Net)(nil).Delete("srv0") // some tests delete it themselves
		peer.Close()
	})
	l.plug()
	must(t, peer.AddAddr("cli0", netip.MustParsePrefix("10.9.0.2/24")))
	l.client = l.open(Config{Interface: "cli0", Ports: []uint16{68, 67}, OtherHosts: true, In: peer.Do})
	return l
}

// plug makes the two links.
func (l *lab) plug() {
	l.t.Helper()
	must(l.t, netlab.Veth(nil, "srv0", l.peer, "cli0"))
	must(l.t, (*netlab.Net)(nil).AddAddr("srv0", netip.MustParsePrefix("10.9.0.1/24")))
}

func (l *lab) open(c Config) *Group {
	l.t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(l.t.Output(), nil))
	}
	g, err := Open(c)
	must(l.t, err)
	l.t.Cleanup(g.Close)
	return g
}

// server opens srv0 as a DHCP server does.
func (l *lab) server(workers int) *Group {
	l.t.Helper()
	return l.open(Config{Interface: "srv0", Ports: []uint16{67}, Workers: workers, Poll: 50 * time.Millisecond})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func chaddr(i int) (mac [6]byte) {
	mac[0] = 2
	binary.BigEndian.PutUint32(mac[2:], uint32(i))
	return mac
}

// discover is what a client broadcasts.
func discover(c *storm.Client) []byte {
	return storm.AppendFrame(nil, c, &storm.Message{Type: dhcp4.Discover, XID: 7})
}

func send(t testing.TB, g *Group, frames ...[]byte) {
	t.Helper()
	if n := g.Conn(0).Send(&engine.Batch{Replies: frames}); n != len(frames) {
		t.Fatalf("sent %d of %d frames", n, len(frames))
	}
}

// receive waits for n frames; it copies them.
func receive(t testing.TB, c engine.Conn, n int) (got []engine.Packet) {
	t.Helper()
	type result struct {
		got []engine.Packet
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		var b engine.Batch
		for len(r.got) < n && r.err == nil {
			r.err = c.Recv(&b)
			for _, p := range b.Packets {
				p.Data = append([]byte(nil), p.Data...)
				r.got = append(r.got, p)
			}
		}
		done <- r
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case r := <-done:
		must(t, r.err)
		if len(r.got) != n {
			t.Fatalf("received %d frames, want %d", len(r.got), n)
		}
		return r.got
	case <-ctx.Done():
		t.Fatalf("%d frames did not come in %v", n, patience)
		return nil
	}
}

// until waits for a condition that the kernel or another goroutine brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	labtest.Until(t, patience, what, ok, nil)
}

// parse reads a frame that must be in order.
func parse(t testing.TB, p *engine.Packet) (u frame.UDP4) {
	t.Helper()
	if err := u.Parse(p.Data, p.CsumPartial); err != nil {
		t.Fatalf("%v: % x", err, p.Data)
	}
	return u
}

func stopped(c engine.Conn) error {
	c.Stop()
	if err := c.Recv(new(engine.Batch)); !errors.Is(err, engine.ErrStopped) {
		return fmt.Errorf("Recv after Stop: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}
