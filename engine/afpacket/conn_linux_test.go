package afpacket

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

func TestFramesGoBothWays(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	var frames [][]byte
	for i := range 3 * engine.BatchSize {
		frames = append(frames, discover(&storm.Client{MAC: chaddr(i)}))
	}
	send(t, l.client, frames...)
	got := receive(t, srv.Conn(0), len(frames))
	for i, p := range got {
		if !bytes.Equal(p.Data, frames[i]) || p.Truncated || p.CsumPartial || p.TPID != 0 {
			t.Fatalf("frame %d came as %+v", i, p)
		}
		if p.Link != srv.Link() || p.Link.Name != "srv0" || !p.Link.Up || p.Link.MTU != 1500 {
			t.Fatalf("link %+v", p.Link)
		}
	}
	reply := bytes.Clone(frames[0])
	u := parse(t, &got[0])
	h := frame.Header{EthDst: chaddr(0), EthSrc: srv.Link().MAC, Dst: [4]byte{10, 9, 0, 50}, SrcPort: 67, DstPort: 68}
	reply = append(h.AppendTo(reply[:0]), u.Payload...)
	h.Finish(reply)
	send(t, srv, reply)
	if got := receive(t, l.client.Conn(0), 1); !bytes.Equal(got[0].Data, reply) {
		t.Errorf("% x\nwant % x", got[0].Data, reply)
	}
	must(t, srv.SendOn(srv.Link(), reply))
	if got := receive(t, l.client.Conn(0), 1); !bytes.Equal(got[0].Data, reply) {
		t.Errorf("% x\nwant % x", got[0].Data, reply)
	}
}

// TestLinkTellsAddresses checks what the policy reads from a Link.
func TestLinkTellsAddresses(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	here := netip.MustParsePrefix("10.9.0.1/24")
	link := srv.Link()
	if len(link.Addrs) != 1 || link.Addrs[0] != here {
		t.Errorf("addresses %v, want %v", link.Addrs, here)
	}
	if _, ok := link.Local[netip.MustParseAddr("127.0.0.1")]; !ok {
		t.Error("the machine's own addresses lack 127.0.0.1")
	}
	second := netip.MustParsePrefix("10.9.1.1/24")
	must(t, nilNet.AddAddr("srv0", second))
	until(t, "a second address", func() bool { return len(srv.Link().Addrs) == 2 })
	relay, via := netip.MustParseAddr("172.16.5.9"), netip.MustParseAddr("10.9.0.77")
	must(t, nilNet.AddRoute(netip.MustParsePrefix("172.16.0.0/12"), via))
	must(t, nilNet.AddNeighbour("srv0", via, chaddr(77)))
	until(t, "the way to a relay", func() bool {
		mac, ok := srv.Link().NextHop(relay)
		return ok && mac == chaddr(77)
	})
	if _, ok := srv.Link().NextHop(netip.MustParseAddr("10.9.0.78")); ok {
		t.Error("a neighbour that nobody knows has a MAC")
	}
}

func TestVLANTagsArrive(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	for _, tc := range []struct {
		name       string
		tags       []frame.Tag
		tpid, tci  uint16
		stillThere int
	}{
		{"none", nil, 0, 0, 0},
		{"802.1Q", []frame.Tag{{TPID: 0x8100, TCI: 0x6064}}, 0x8100, 0x6064, 0},
		{"802.1ad", []frame.Tag{{TPID: 0x88a8, TCI: 7}}, 0x88a8, 7, 0},
		{"QinQ", []frame.Tag{{TPID: 0x88a8, TCI: 9}, {TPID: 0x8100, TCI: 100}}, 0x88a8, 9, 1},
		{"QinQ of old", []frame.Tag{{TPID: 0x8100, TCI: 9}, {TPID: 0x8100, TCI: 100}}, 0x8100, 9, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := storm.Client{MAC: chaddr(1), NTags: len(tc.tags)}
			copy(c.Tags[:], tc.tags)
			send(t, l.client, discover(&c))
			p := receive(t, srv.Conn(0), 1)[0]
			u := parse(t, &p)
			if p.TPID != tc.tpid || p.TCI != tc.tci || u.NTags != tc.stillThere {
				t.Errorf("tag %#x %#x and %d in the frame", p.TPID, p.TCI, u.NTags)
			}
			if tc.stillThere == 1 && u.Tags[0] != tc.tags[1] {
				t.Errorf("inner tag %+v, want %+v", u.Tags[0], tc.tags[1])
			}
		})
	}
}

// TestPartialChecksum has the kernel send, which leaves the checksum to a
// network card that veth does not have.
func TestPartialChecksum(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	var c net.Conn
	must(t, l.peer.Do(func() (err error) {
		c, err = net.Dial("udp4", "10.9.0.1:67")
		return err
	}))
	defer c.Close()
	_, err := c.Write(make([]byte, 300))
	must(t, err)
	p := receive(t, srv.Conn(0), 1)[0]
	var u frame.UDP4
	if !p.CsumPartial || u.Parse(p.Data, false) == nil {
		t.Errorf("partial %v, and the checksum is right: this kernel does not leave it out", p.CsumPartial)
	}
	parse(t, &p)
}

// TestFilter sends what must not reach a worker, and then a frame that must: had
// the others been taken they would have come before it.
func TestFilter(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	good := discover(&storm.Client{MAC: chaddr(1)})
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	send(t, l.client,
		change(func(b []byte) { copy(b, []byte{2, 9, 9, 9, 9, 9}) }), // to another host
		change(func(b []byte) { b[14+20+3] = 68 }),                   // to another port
		change(func(b []byte) { b[14+9] = 6 }),                       // TCP
		change(func(b []byte) { b[12], b[13] = 0x86, 0xdd }),         // IPv6
		change(func(b []byte) { b[14+7] = 1 }),                       // a later fragment
		good[:20], good[:37],
	)
	must(t, srv.SendOn(srv.Link(), good)) // our own is not heard
	first := change(func(b []byte) { b[14+6] = 0x20 })
	send(t, l.client, first, good) // a first fragment is taken, to be counted
	got := receive(t, srv.Conn(0), 2)
	if !bytes.Equal(got[0].Data, first) || !bytes.Equal(got[1].Data, good) {
		t.Errorf("something else came: % x\n% x", got[0].Data, got[1].Data)
	}
}

func TestTooLongIsTruncated(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	for _, n := range []struct {
		do   func(func() error) error
		name string
	}{{nilNet.Do, "srv0"}, {l.peer.Do, "cli0"}} {
		must(t, n.do(func() error {
			link, err := netlink.LinkByName(n.name)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(link, 9000)
		}))
	}
	until(t, "MTU 9000", func() bool { return srv.Link().MTU == 9000 })
	long := discover(&storm.Client{MAC: chaddr(1), Options: bytes.Repeat([]byte{43, 250, 249: 1, 251: 0}, 12)})
	send(t, l.client, long, discover(&storm.Client{MAC: chaddr(2)}))
	got := receive(t, srv.Conn(0), 2)
	if !got[0].Truncated || len(got[0].Data) != engine.FrameSize || got[1].Truncated {
		t.Errorf("a frame of %d bytes came as %d, truncated %v; the next %v", len(long), len(got[0].Data), got[0].Truncated, got[1].Truncated)
	}
}

// TestFanout proves that each frame reaches one worker, that all frames of one
// client reach the same, and that every worker has work.
func TestFanout(t *testing.T) {
	l := newLab(t)
	const workers, clients, each = 4, 1000, 3
	srv := l.server(workers)
	type hit struct {
		client, worker int
		frame          []byte
	}
	where := make(chan hit, workers*clients*each)
	for w := range workers {
		go func() {
			var b engine.Batch
			for srv.Conn(w).Recv(&b) == nil {
				for _, p := range b.Packets {
					where <- hit{int(p.Data[42+32])<<8 | int(p.Data[42+33]), w, bytes.Clone(p.Data)}
				}
			}
		}()
	}
	for range each {
		for i := range clients {
			send(t, l.client, discover(&storm.Client{MAC: chaddr(i)}))
		}
	}
	of, load := map[int]int{}, [workers]int{}
	for n := range clients * each {
		h := <-where
		if w, again := of[h.client]; again && w != h.worker {
			t.Fatalf("frame %d: client %d at worker %d and %d: % x", n, h.client, w, h.worker, h.frame)
		}
		of[h.client] = h.worker
		load[h.worker]++
	}
	for w, n := range load {
		if n < clients*each/workers/2 {
			t.Errorf("worker %d has %d of %d frames", w, n, clients*each)
		}
	}
	until(t, "the kernel's count", func() bool { return srv.Stats().Received == clients*each })
	if st := srv.Stats(); st.Dropped != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestKernelDropsAreCounted fills a buffer that nobody reads.
func TestKernelDropsAreCounted(t *testing.T) {
	l := newLab(t)
	srv := l.open(Config{Interface: "srv0", Ports: []uint16{67}, Buffer: 32 << 10})
	const n = 1000
	f := discover(&storm.Client{MAC: chaddr(1)})
	for range n {
		send(t, l.client, f)
	}
	until(t, "all frames counted", func() bool { st := srv.Stats(); return st.Received+st.Dropped == n })
	if st := srv.Stats(); st.Dropped == 0 || st.Received == 0 {
		t.Errorf("stats %+v, want some of both", st)
	}
}

// TestUnsendableFrameIsSkipped: what the kernel refuses takes nothing with it.
func TestUnsendableFrameIsSkipped(t *testing.T) {
	l := newLab(t)
	srv := l.server(1)
	good := discover(&storm.Client{MAC: chaddr(1)})
	huge := make([]byte, 1600)
	if n := l.client.Conn(0).Send(&engine.Batch{Replies: [][]byte{huge, good, huge, huge, good}}); n != 2 {
		t.Errorf("sent %d, want 2", n)
	}
	receive(t, srv.Conn(0), 2)
	if st := l.client.Stats(); st.Skipped != 3 {
		t.Errorf("skipped %d, want 3", st.Skipped)
	}
}

func TestStop(t *testing.T) {
	l := newLab(t)
	srv := l.server(2)
	done := make(chan error)
	go func() { done <- srv.Conn(0).Recv(new(engine.Batch)) }()
	srv.Conn(0).Stop()
	if err := <-done; err != engine.ErrStopped { //nolint:errorlint // the very value is promised
		t.Error(err)
	}
	srv.Conn(0).Stop()
	must(t, stopped(srv.Conn(1)))
	srv.Close()
	srv.Close()
	if err := srv.SendOn(nil, nil); err == nil {
		t.Error("a closed Group sends")
	}
}

// TestRecvSendAllocatesNothing measures the kernel's side of the hot path.
func TestRecvSendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := newLab(t)
	srv := l.server(1)
	out := &engine.Batch{Replies: [][]byte{discover(&storm.Client{MAC: chaddr(1)})}}
	in := &engine.Batch{Packets: make([]engine.Packet, 0, engine.BatchSize)}
	round := func() {
		if l.client.Conn(0).Send(out) != 1 || srv.Conn(0).Recv(in) != nil || len(in.Packets) != 1 {
			t.Fatal("the frame did not arrive")
		}
	}
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("%v allocations from Send to Recv, want 0", n)
	}
}

// TestSink proves that the kernel answers requests with "port unreachable" if
// nobody holds the port, and not if a Sink does. The port 9 beside it, which
// nobody holds, shows that the kernel had the time to.
func TestSink(t *testing.T) {
	l := newLab(t)
	must(t, os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0))
	refused := func(port string) bool {
		var c net.Conn
		must(t, l.peer.Do(func() (err error) {
			c, err = net.Dial("udp4", "10.9.0.1:"+port)
			return err
		}))
		defer c.Close()
		_, err := c.Write([]byte("x"))
		must(t, err)
		raw, err := c.(*net.UDPConn).SyscallConn()
		must(t, err)
		soErr := 0
		must(t, raw.Control(func(fd uintptr) {
			soErr, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		}))
		must(t, err)
		return syscall.Errno(soErr) == unix.ECONNREFUSED
	}
	until(t, "port 9 refused", func() bool { return refused("9") })
	if !refused("67") {
		t.Fatal("port 67 is not refused without a sink: the test shows nothing")
	}
	sink, err := OpenSink(67)
	must(t, err)
	defer sink.Close()
	for range 10 {
		if refused("67") {
			t.Fatal("port 67 is refused beside a sink")
		}
		if !refused("9") {
			t.Fatal("port 9 is not refused any more")
		}
	}
}
