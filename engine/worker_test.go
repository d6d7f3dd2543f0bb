package engine

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// script is a Conn for what no kernel does on demand: it plays batches, then
// returns an error, and takes as many replies as it is told to.
type script struct {
	batches [][]string
	end     error
	takes   int // of each batch
	sent    []string
}

func (s *script) Recv(b *Batch) error {
	if len(s.batches) == 0 {
		return s.end
	}
	b.Packets = b.Packets[:0]
	for _, frame := range s.batches[0] {
		b.Packets = append(b.Packets, Packet{Data: []byte(frame), Link: testLink})
	}
	s.batches = s.batches[1:]
	return nil
}

func (s *script) Send(b *Batch) (sent int) {
	for _, r := range b.Replies[:min(s.takes, len(b.Replies))] {
		s.sent = append(s.sent, string(r))
		sent++
	}
	return sent
}

func (s *script) Stop() {}

// byWord is a Handler that does what the frame says.
type byWord struct{}

func (byWord) Handle(dst []byte, p *Packet) ([]byte, Verdict) {
	switch word := string(p.Data); word {
	case "panic":
		panic("as told")
	case "panic late":
		_ = append(dst, "half a reply"...)
		panic("as told")
	case "nak":
		return append(dst, "no"...), Nak
	case "when":
		return strconv.AppendInt(dst, p.Now(), 10), Reply
	case "silent":
		return append(dst, "not to be sent"...), Disabled
	default:
		return append(append(dst, "re: "...), word...), Reply
	}
}

// run plays the batches and gives what a Worker made of them.
func run(t *testing.T, s *script) (Totals, []string, error) {
	t.Helper()
	stats := NewStats(2)
	var crashes []string
	w := Worker{Conn: s, Handler: byWord{}, Counter: stats.Counter(1), Crashed: func(err error) { crashes = append(crashes, err.Error()) }}
	err := w.Run()
	return stats.Totals(), crashes, err
}

func TestWorkerCountsEachFrameOnce(t *testing.T) {
	full := make([]string, BatchSize)
	for i := range full {
		full[i] = "x"
	}
	s := &script{batches: [][]string{{"a", "silent", "nak"}, {}, full, {"silent"}, {"b"}}, end: ErrStopped, takes: BatchSize}
	got, crashes, err := run(t, s)
	if err != nil || len(crashes) > 0 {
		t.Fatal(err, crashes)
	}
	const frames = 3 + BatchSize + 2
	sum := uint64(0)
	for _, n := range got.Verdicts {
		sum += n
	}
	if sum != frames || got.Received != frames {
		t.Errorf("%d verdicts for %d received frames, want %d of each", sum, got.Received, frames)
	}
	if got.Verdicts[Reply] != BatchSize+2 || got.Verdicts[Nak] != 1 || got.Verdicts[Disabled] != 2 {
		t.Errorf("verdicts = %v", got.Verdicts)
	}
	if len(s.sent) != BatchSize+3 || s.sent[0] != "re: a" || s.sent[1] != "no" || s.sent[len(s.sent)-1] != "re: b" {
		t.Errorf("sent = %q", s.sent)
	}
	if got.Sent != BatchSize+3 || got.TxDropped != 0 {
		t.Errorf("%d sent, %d dropped", got.Sent, got.TxDropped)
	}
}

// TestWorkerAsksTheClockOnceForABatch: and a packet that came in none asks it itself.
func TestWorkerAsksTheClockOnceForABatch(t *testing.T) {
	alone := packet("when")
	begun := time.Now().UnixNano()
	s := &script{batches: [][]string{{"when", "when", "when"}, {"when"}}, end: ErrStopped, takes: BatchSize}
	if _, _, err := run(t, s); err != nil || len(s.sent) != 4 {
		t.Fatal(err, s.sent)
	}
	when := make([]int64, 0, 5)
	for _, text := range s.sent {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		when = append(when, n)
	}
	when = append(when, alone.Now())
	if when[0] != when[1] || when[0] != when[2] || !slices.IsSorted(when) || when[0] < begun || alone.When != 0 {
		t.Errorf("from %d on, the packets came at %d: want three at one time, then one, then one alone", begun, when)
	}
}

// ahead is byWord, and writes down what it sees and handles.
type ahead struct {
	byWord
	log []string
}

func (a *ahead) Ahead(ps []Packet) {
	words := make([]string, len(ps))
	for i := range ps {
		words[i] = string(ps[i].Data)
	}
	a.log = append(a.log, "ahead: "+strings.Join(words, " "))
	if words[0] == "worse" {
		panic("as told")
	}
}

func (a *ahead) Handle(dst []byte, p *Packet) ([]byte, Verdict) {
	a.log = append(a.log, string(p.Data))
	return a.byWord.Handle(dst, p)
}

// TestWorkerShowsBatches: a handler that wants to sees several packets before the
// first of them is its, and if that makes it panic it gets them all the same.
func TestWorkerShowsBatches(t *testing.T) {
	s := &script{batches: [][]string{{"a", "b"}, {"c"}, {}, {"worse", "d", "silent"}}, end: ErrStopped, takes: BatchSize}
	var h ahead
	var crashes []error
	w := Worker{Conn: s, Handler: &h, Counter: new(Counter), Crashed: func(err error) { crashes = append(crashes, err) }}
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"ahead: a b", "a", "b", "c", "ahead: worse d silent", "worse", "d", "silent"}; !slices.Equal(h.log, want) {
		t.Errorf("the handler got %q\nwant            %q", h.log, want)
	}
	if want := []string{"re: a", "re: b", "re: c", "re: worse", "re: d"}; !slices.Equal(s.sent, want) {
		t.Errorf("sent %q, want %q", s.sent, want)
	}
	if len(crashes) != 1 || !strings.Contains(crashes[0].Error(), "batch of 3 frames: as told") {
		t.Errorf("told of %v", crashes)
	}
}

// TestWorkerOutlivesItsHandler: a frame that makes the handler panic is
// malformed, sends nothing, and harms no other frame.
func TestWorkerOutlivesItsHandler(t *testing.T) {
	s := &script{batches: [][]string{{"a", "panic", "b", "panic late", "c"}, {"panic"}, {"d"}}, end: ErrStopped, takes: BatchSize}
	got, crashes, err := run(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Verdicts[Malformed] != 3 || got.Verdicts[Reply] != 4 || got.Received != 7 {
		t.Errorf("verdicts = %v", got.Verdicts)
	}
	if want := "re: a,re: b,re: c,re: d"; strings.Join(s.sent, ",") != want {
		t.Errorf("sent = %q, want %q", s.sent, want)
	}
	if len(crashes) != 3 || !strings.Contains(crashes[0], "frame of 5 bytes: as told") || !strings.Contains(crashes[0], "worker_test.go") {
		t.Errorf("crashes = %q, want three with frame, reason and stack", crashes)
	}
	quiet := Worker{Conn: &script{batches: [][]string{{"panic"}}, end: ErrStopped}, Handler: byWord{}, Counter: new(Counter)}
	if err := quiet.Run(); err != nil {
		t.Errorf("without Crashed: %v", err)
	}
}

func TestWorkerCountsWhatTheKernelDidNotTake(t *testing.T) {
	got, _, _ := run(t, &script{batches: [][]string{{"a", "b", "c"}, {"d", "silent"}}, end: ErrStopped, takes: 1})
	if got.Sent != 2 || got.TxDropped != 2 {
		t.Errorf("%d sent, %d dropped; want 2 and 2", got.Sent, got.TxDropped)
	}
}

func TestWorkerEnds(t *testing.T) {
	broken := errors.New("the interface caught fire")
	wrapped := errors.Join(errors.New("while closing"), ErrStopped)
	for _, c := range []struct{ end, want error }{{ErrStopped, nil}, {wrapped, nil}, {broken, broken}} {
		if _, _, err := run(t, &script{end: c.end}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("Recv ends with %v: Run = %v, want %v", c.end, err, c.want)
		}
	}
}

func TestWorkerNoAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	s := &script{takes: 0}
	w := Worker{Conn: s, Handler: byWord{}, Counter: new(Counter)}
	s.end = ErrStopped
	_ = w.Run() // makes its slots
	w.batch.Packets = []Packet{*packet("a"), *packet("silent"), *packet("nak")}
	if n := testing.AllocsPerRun(1000, w.handle); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestStatsSumUp(t *testing.T) {
	s := NewStats(3)
	for i := range 3 {
		c := s.Counter(i)
		c.Count(Reply)
		c.Add(Expired, 10)
		c.Sent(5, 2)
		c.received.Add(7)
	}
	var want Totals
	want.Verdicts[Reply], want.Verdicts[Expired], want.Sent, want.TxDropped, want.Received = 3, 30, 15, 6, 21
	if got := s.Totals(); got != want {
		t.Errorf("totals = %+v\nwant     %+v", got, want)
	}
}

// TestVerdictNames: every verdict has a name of its own that fits a metric label.
func TestVerdictNames(t *testing.T) {
	seen := make(map[string]Verdict)
	for v := range Verdicts {
		name := v.String()
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("verdict %d is called %q", v, name)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("verdicts %d and %d are both called %q", v, other, name)
		}
		seen[name] = v
	}
	if got := Verdicts.String(); got != "invalid" {
		t.Errorf("no verdict is called %q", got)
	}
}

func TestAddrsOn(t *testing.T) {
	own, vlan := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, []netip.Prefix{netip.MustParsePrefix("10.7.0.1/24")}
	l := &Link{Addrs: own, VLANs: map[uint16][]netip.Prefix{7: vlan, 8: nil}}
	for id, want := range map[uint16][]netip.Prefix{0: own, 7: vlan, 8: nil, 9: own} {
		got := l.AddrsOn(id)
		if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("on VLAN %d: %v, want %v", id, got, want)
		}
	}
}

// TestNextHopOnLink: a client on the link that the kernel has no neighbour
// entry of is not to be found behind the default gateway.
func TestNextHopOnLink(t *testing.T) {
	ip := netip.MustParseAddr
	router, far, peer := [6]byte{1}, [6]byte{2}, [6]byte{3}
	l := &Link{
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.42.0.5/24")},
		VLANs: map[uint16][]netip.Prefix{43: {netip.MustParsePrefix("10.43.0.5/24")}},
		Neighbours: map[netip.Addr][6]byte{
			ip("10.42.0.1"): router, ip("10.42.0.2"): far, ip("10.42.0.9"): peer,
		},
		Gateways: []Gateway{
			{netip.MustParsePrefix("10.42.0.128/25"), ip("10.42.0.2")},
			{netip.MustParsePrefix("10.50.0.0/16"), ip("10.42.0.2")},
			{netip.MustParsePrefix("10.51.0.0/16"), ip("10.42.0.3")},
			{netip.MustParsePrefix("0.0.0.0/0"), ip("10.42.0.1")},
		},
	}
	for addr, want := range map[string][6]byte{
		"10.42.0.9":   peer,   // a neighbour
		"10.42.0.10":  {},     // on the link, not known
		"10.43.0.10":  {},     // on a VLAN of the link, not known
		"10.42.0.200": far,    // in a longer route out of the link's own prefix
		"10.50.0.1":   far,    // the longest route
		"10.51.0.1":   {},     // over a gateway that is no neighbour
		"192.0.2.1":   router, // the default route
	} {
		mac, ok := l.NextHop(ip(addr))
		if mac != want || ok != (want != [6]byte{}) {
			t.Errorf("to %s: %v, %v; want %v", addr, mac, ok, want)
		}
	}
}
