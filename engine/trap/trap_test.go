package trap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
)

const (
	mib      = "\x2b\x06\x01\x04\x01\x09\x09\x81\x57"
	histName = mib + "\x01\x01\x08\x01\x02\x01"
)

var (
	link = &engine.Link{
		Name: "eth0", Index: 3, MAC: [6]byte{2, 0, 0, 0, 0, 1}, Up: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.42.0.5/24")},
		Local: map[netip.Addr]struct{}{netip.MustParseAddr("10.42.0.5"): {}},
	}
	swMAC  = [6]byte{2, 0, 0, 0, 0, 9}
	learnt = []byte{1, 0, 42, 0x00, 0x1e, 0xc9, 0, 10, 1, 0, 25}
)

func records(n int) []byte { return append(bytes.Repeat(learnt, n), 0) }

func note(msg []byte) *snmp.Notification {
	return &snmp.Notification{
		Community: []byte("public"), RequestID: 7, TrapOID: snmp.OID(mib + "\x02\x00\x01"),
		Objects: snmp.AppendVarBind(nil, snmp.OID(histName), snmp.TagOctetString, msg),
	}
}

// datagram wraps a payload as the switch 10.42.0.2 sends it to 10.42.0.5.
func datagram(payload []byte, change ...func(*frame.Header)) *engine.Packet {
	h := frame.Header{
		EthDst: link.MAC, EthSrc: swMAC, Src: [4]byte{10, 42, 0, 2}, Dst: [4]byte{10, 42, 0, 5}, SrcPort: 5000, DstPort: Port,
	}
	for _, f := range change {
		f(&h)
	}
	b := append(h.AppendTo(nil), payload...)
	h.Finish(b)
	return &engine.Packet{Data: b, Link: link}
}

func trap(msg []byte) []byte   { return snmp.AppendTrap(nil, note(msg)) }
func inform(msg []byte) []byte { return snmp.AppendInform(nil, note(msg)) }

// memory is a journal that fills up, and fails when told to.
type memory struct {
	mu     sync.Mutex
	events []Event
	room   int
	err    error
}

func (m *memory) Append(events []Event) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return 0, m.err
	}
	n := min(len(events), m.room-len(m.events))
	m.events = append(m.events, events[:n]...)
	if n < len(events) {
		return n, fmt.Errorf("%d events wait: %w", len(m.events), ErrFull)
	}
	return n, nil
}

// wire keeps what is sent.
type wire struct {
	mu     sync.Mutex
	frames [][]byte
	err    error
}

func (w *wire) SendOn(_ *engine.Link, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames = append(w.frames, bytes.Clone(b))
	return w.err
}

// bench is a server with all that is around it.
type bench struct {
	*Server
	journal  memory
	wire     wire
	problems []Problem
	stats    *engine.Stats
	now      time.Time
}

func newServer(change ...func(*Config)) *bench {
	b := &bench{journal: memory{room: 1 << 20}, stats: engine.NewStats(1), now: time.Unix(1000, 0)}
	cfg := Config{
		Journal: &b.journal, Communities: []string{"public"}, Counter: b.stats.Counter(0),
		Report: func(p Problem) { b.problems = append(b.problems, p) }, Events: 256, Replies: 8192,
		Now: func() time.Time { return b.now },
	}
	for _, f := range change {
		f(&cfg)
	}
	b.Server = NewServer(cfg)
	return b
}

// TestMemory is what the documentation says of the defaults.
func TestMemory(t *testing.T) {
	b := NewServer(Config{}).fill
	size := cap(b.events)*int(unsafe.Sizeof(Event{})) + cap(b.frames)*int(unsafe.Sizeof(waiting{})) + cap(b.bytes)
	if 2*size != 40<<20 {
		t.Errorf("two batches of %d bytes", size)
	}
}

// flush writes what waits, and ends.
func (b *bench) flush() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.Run(ctx, &b.wire)
}

func (b *bench) count(v engine.Verdict) int { return int(b.stats.Totals().Verdicts[v]) }

func TestVerdicts(t *testing.T) {
	ok := trap(records(1))
	otherMIB := note(records(1))
	otherMIB.TrapOID = snmp.OID(mib + "\x02\x00\x09")
	for _, c := range []struct {
		name   string
		packet *engine.Packet
		want   engine.Verdict
		says   string // the problem's text or error, "" for none
	}{
		{"a trap", datagram(ok), engine.Queued, ""},
		{"an inform", datagram(inform(records(1))), engine.Queued, ""},
		{"a trap of SNMPv1", datagram(snmp.AppendTrapV1(nil, &snmp.Notification{Community: []byte("public"), TrapOID: snmp.OID(mib + "\x02")}, [4]byte{}, 1)), engine.Queued, ""},
		{"another MIB's trap", datagram(snmp.AppendTrap(nil, otherMIB)), engine.OtherTrap, "not of CISCO-MAC"},
		{"another MIB's inform", datagram(snmp.AppendInform(nil, otherMIB)), engine.Reply, "not of CISCO-MAC"},
		{"another community", datagram(snmp.AppendTrap(nil, &snmp.Notification{Community: []byte("secret"), TrapOID: otherMIB.TrapOID})), engine.WrongCommunity, "community"},
		{"garbage", datagram([]byte{0xde, 0xad, 0xbe, 0xef}), engine.Malformed, "malformed"},
		{"nothing", datagram(nil), engine.Malformed, "malformed"},
		{"for another machine", datagram(ok, func(h *frame.Header) { h.Dst = [4]byte{10, 42, 0, 6} }), engine.NotForUs, ""},
		{"for another port", datagram(ok, func(h *frame.Header) { h.DstPort = 161 }), engine.NotForUs, ""},
		{"not allowed", datagram(ok, func(h *frame.Header) { h.Src = [4]byte{192, 0, 2, 9} }), engine.UnknownSource, "sources"},
		{"a fragment", fragment(datagram(ok)), engine.Fragment, "fragments"},
		{"a broken checksum", broken(datagram(ok)), engine.BadChecksum, ""},
		{"longer than its slot", &engine.Packet{Data: datagram(ok).Data, Link: link, Truncated: true}, engine.Malformed, "malformed"},
		{"cut off", &engine.Packet{Data: datagram(ok).Data[:30], Link: link}, engine.Malformed, "malformed"},
		{"a record cut short", datagram(trap(learnt[:7])), engine.Queued, "cut short"},
	} {
		b := newServer(func(c *Config) { c.Sources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
		if _, v := b.Handler().Handle(nil, c.packet); v != c.want {
			t.Errorf("%s: %v, want %v", c.name, v, c.want)
		}
		switch {
		case c.says == "" && len(b.problems) > 0:
			t.Errorf("%s: told of %+v", c.name, b.problems)
		case c.says == "":
		case len(b.problems) != 1 || !strings.Contains(b.problems[0].Text(), c.says):
			t.Errorf("%s: %+v does not say %q", c.name, b.problems, c.says)
		case c.want != engine.Malformed && b.problems[0].Source != netip.AddrFrom4([4]byte(c.packet.Data[26:30])):
			t.Errorf("%s: from %s", c.name, b.problems[0].Source)
		}
	}
}

func fragment(p *engine.Packet) *engine.Packet {
	ip := p.Data[14:]
	ip[6] |= 0x20 // more fragments
	ip[10], ip[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(ip[i])<<8 | uint32(ip[i+1])
	}
	sum = sum>>16 + sum&0xffff
	ip[10], ip[11] = byte(^sum>>8), byte(^sum)
	return p
}

func broken(p *engine.Packet) *engine.Packet {
	p.Data[len(p.Data)-1] ^= 1
	return p
}

// TestEvents: every record becomes an event, of all messages of a notification.
func TestEvents(t *testing.T) {
	b := newServer()
	h := b.Handler()
	two := note(slices.Concat([]byte{2, 0, 7, 2, 2, 2, 2, 2, 2, 0, 3}, learnt, []byte{9, 0, 1, 1, 1, 1, 1, 1, 1, 0, 4, 0}))
	two.Objects = snmp.AppendVarBind(two.Objects, snmp.OID(mib+"\x01\x01\x08\x01\x02\x05"), snmp.TagOctetString, records(1))
	move := &snmp.Notification{Community: []byte("public"), TrapOID: snmp.OID(mib + "\x02\x00\x02")}
	for name, val := range map[string]struct {
		tag byte
		val []byte
	}{
		"\x03": {snmp.TagOctetString, []byte{0, 1, 2, 3, 4, 5}}, "\x04": {snmp.TagInteger, []byte{42}},
		"\x05": {snmp.TagInteger, []byte{11}}, "\x06": {snmp.TagInteger, []byte{12}},
	} {
		move.Objects = snmp.AppendVarBind(move.Objects, snmp.OID(mib+"\x01\x03"+name+"\x00"), val.tag, val.val)
	}
	for _, m := range []*snmp.Notification{two, move} {
		if _, v := h.Handle(nil, datagram(snmp.AppendTrap(nil, m))); v != engine.Queued {
			t.Fatalf("%v", v)
		}
	}
	b.flush()
	at, sw, mac := b.now.UnixNano(), [4]byte{10, 42, 0, 2}, [6]byte{0x00, 0x1e, 0xc9, 0, 10, 1}
	want := []Event{
		{at, sw, [6]byte{2, 2, 2, 2, 2, 2}, 7, 3, 0, Removed},
		{at, sw, mac, 42, 25, 0, Learnt},
		{at, sw, [6]byte{1, 1, 1, 1, 1, 1}, 1, 4, 0, 0},
		{at, sw, mac, 42, 25, 0, Learnt},
		{at, sw, [6]byte{0, 1, 2, 3, 4, 5}, 42, 12, 11, Moved},
	}
	if !slices.Equal(b.journal.events, want) {
		t.Errorf("%v\nwant\n%v", b.journal.events, want)
	}
	if b.count(engine.Journaled) != 2 || len(b.wire.frames) != 0 {
		t.Errorf("%d journaled, %d frames sent", b.count(engine.Journaled), len(b.wire.frames))
	}
	if b.Records[0].Load() != 1 || b.Records[Learnt].Load() != 2 || b.Records[Removed].Load() != 1 || b.Records[Moved].Load() != 1 {
		t.Error("the records are not counted")
	}
}

// TestInformWaitsForTheDisk: the Response goes out once the events are kept, the
// way the inform came.
func TestInformWaitsForTheDisk(t *testing.T) {
	b := newServer()
	tags := func(h *frame.Header) { h.NTags, h.Tags[0] = 1, frame.Tag{TPID: 0x8100, TCI: 7} }
	p := datagram(inform(records(23)), tags)
	p.TPID, p.TCI = 0x88a8, 5
	if out, v := b.Handler().Handle([]byte("x"), p); v != engine.Queued || string(out) != "x" {
		t.Fatalf("%v, %d bytes", v, len(out))
	}
	b.flush()
	if len(b.journal.events) != 23 || b.count(engine.Acknowledged) != 1 || len(b.wire.frames) != 1 {
		t.Fatalf("%d events, %d acknowledged", len(b.journal.events), b.count(engine.Acknowledged))
	}
	var f frame.UDP4
	if err := f.Parse(b.wire.frames[0], false); err != nil {
		t.Fatal(err)
	}
	want := inform(records(23))
	want[slices.Index(want, snmp.TagInform)] = snmp.TagResponse
	if f.EthDst != swMAC || f.EthSrc != link.MAC || f.Dst != [4]byte{10, 42, 0, 2} || f.Src != [4]byte{10, 42, 0, 5} ||
		f.SrcPort != Port || f.DstPort != 5000 || f.NTags != 2 || f.Tags[0].TCI != 5 || f.Tags[1].TCI != 7 || !bytes.Equal(f.Payload, want) {
		t.Errorf("%+v", f)
	}
}

// TestFullJournal: what found no place is not acknowledged, what did is, in the
// order in which it came.
func TestFullJournal(t *testing.T) {
	b := newServer()
	b.journal.room = 7
	h := b.Handler()
	for _, payload := range [][]byte{inform(records(3)), trap(records(3)), inform(records(3)), trap(records(3)), inform(nil)} {
		h.Handle(nil, datagram(payload))
	}
	b.flush()
	if b.count(engine.Acknowledged) != 1 || b.count(engine.Journaled) != 1 || b.count(engine.JournalFull) != 3 || len(b.wire.frames) != 1 {
		t.Errorf("%v, %d sent", b.stats.Totals().Verdicts, len(b.wire.frames))
	}
	if len(b.problems) != 1 || b.problems[0].Kind != NoRoom || b.problems[0].Frames != 3 {
		t.Errorf("told of %+v", b.problems)
	}
}

func TestFailingJournal(t *testing.T) {
	b := newServer()
	b.journal.err = errors.New("the disk is gone")
	h := b.Handler()
	h.Handle(nil, datagram(inform(records(1))))
	b.flush()
	b.journal.err = nil
	h.Handle(nil, datagram(inform(records(1))))
	b.flush()
	if b.count(engine.JournalFailed) != 1 || b.count(engine.Acknowledged) != 1 || len(b.wire.frames) != 1 {
		t.Errorf("%v", b.stats.Totals().Verdicts)
	}
	if len(b.problems) != 1 || b.problems[0].Kind != NotWritten || b.problems[0].Err == nil {
		t.Errorf("told of %+v", b.problems)
	}
}

// TestNoRoomToWait: memory is bounded, and a frame without room is not half
// taken.
func TestNoRoomToWait(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"events":  func(c *Config) { c.Events = 5 },
		"replies": func(c *Config) { c.Replies = 300 },
	} {
		b := newServer(change)
		h := b.Handler()
		var got []engine.Verdict
		for range 3 {
			_, v := h.Handle(nil, datagram(inform(records(2))))
			got = append(got, v)
		}
		b.flush()
		full := 0
		for _, v := range got {
			if v == engine.JournalFull {
				full++
			}
		}
		if full == 0 || len(b.journal.events) != 2*(3-full) || len(b.wire.frames) != 3-full {
			t.Errorf("%s: %v, %d events, %d sent", name, got, len(b.journal.events), len(b.wire.frames))
		}
		if _, v := h.Handle(nil, datagram(inform(records(2)))); v != engine.Queued {
			t.Errorf("%s: %v after the journal was written", name, v)
		}
	}
}

// TestProblemsAreHeldBack: one line a second for each sender and kind, a few in
// all, and no more memory for more senders.
func TestProblemsAreHeldBack(t *testing.T) {
	b := newServer()
	h := b.Handler()
	bad := func(host byte) {
		h.Handle(nil, datagram([]byte{1, 2, 3}, func(h *frame.Header) { h.Src[3] = host }))
	}
	for range 100 {
		bad(2)
	}
	if len(b.problems) != 1 {
		t.Fatalf("%d lines of one sender", len(b.problems))
	}
	for host := range 255 {
		bad(byte(host))
	}
	if len(b.problems) != linesPerSecond {
		t.Errorf("%d lines of all senders", len(b.problems))
	}
	b.now = b.now.Add(2 * time.Second)
	bad(2)
	held := 0
	for _, p := range b.problems {
		held += p.Held
	}
	if len(b.problems) != linesPerSecond+1 || held != 355-linesPerSecond {
		t.Errorf("%d lines, which tell of %d held back", len(b.problems), held)
	}
}

// endless has room for all that comes, and tells nobody.
func endless() *bench {
	return newServer(func(c *Config) {
		c.Journal = discard{}
		c.Report = nil
		c.Now = time.Now
		c.Events, c.Replies = 1<<16, 16<<20
	})
}

func TestNoAllocs(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	b := endless()
	h := b.Handler()
	dst := make([]byte, 0, engine.FrameSize)
	for name, p := range map[string]*engine.Packet{
		"trap": datagram(trap(records(1))), "a full inform": datagram(inform(records(23))), "garbage": datagram([]byte{1, 2, 3}),
		"cut": {Data: datagram(trap(records(1))).Data[:60], Link: link},
	} {
		spare := newBatch(&b.cfg)
		n := testing.AllocsPerRun(500, func() {
			h.Handle(dst, p)
			b.fill, spare = spare, b.fill
			b.commit(spare, drop{})
			spare.reset()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations from frame to journal", name, n)
		}
	}
}

type discard struct{}

func (discard) Append(events []Event) (int, error) { return len(events), nil }

type drop struct{}

func (drop) SendOn(*engine.Link, []byte) error { return nil }

func BenchmarkHandle(b *testing.B) {
	s := endless()
	h := s.Handler()
	dst := make([]byte, 0, engine.FrameSize)
	p := datagram(trap(records(1)))
	b.ReportAllocs()
	for b.Loop() {
		if h.Handle(dst, p); len(s.fill.frames) == cap(s.fill.frames)-1 {
			s.fill.reset()
		}
	}
}
