package journal

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
)

// recorder makes a journal's records of events, and tells when it has.
type recorder struct {
	j    *Journal
	made chan int
}

func (r recorder) Append(ev []trap.Event) (int, error) {
	r.made <- len(r.j.encode(ev)) / bodyLen
	return len(ev), nil
}

// answered tells when a frame was sent.
type answered chan struct{}

func (a answered) SendOn(*engine.Link, []byte) error { a <- struct{}{}; return nil }

// TestNoAllocs: from a frame to the journal's records, and to the Response to an
// inform, with the goroutine that commits. What the SQL driver allocates for the
// statement comes on top.
func TestNoAllocs(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	us := netip.MustParseAddr("10.42.0.5")
	link := &engine.Link{Name: "eth0", Up: true, Local: map[netip.Addr]struct{}{us: {}}}
	const mib = "\x2b\x06\x01\x04\x01\x09\x09\x81\x57"
	note := func(records int, oid string) *snmp.Notification {
		var msg []byte
		for range records {
			msg = append(msg, 1, 0, 42, 0x00, 0x1e, 0xc9, 0, 10, 1, 0, 25)
		}
		return &snmp.Notification{
			Community: []byte("public"), RequestID: 7, TrapOID: snmp.OID(mib + oid),
			Objects: snmp.AppendVarBind(nil, snmp.OID(mib+"\x01\x01\x08\x01\x02\x01"), snmp.TagOctetString, append(msg, 0)),
		}
	}
	rec, sent := recorder{&Journal{}, make(chan int)}, make(answered)
	s := trap.NewServer(trap.Config{Journal: rec, Communities: []string{"public"}})
	run, stop := context.WithCancel(t.Context())
	var over sync.WaitGroup
	over.Go(func() { s.Run(run, sent) })
	defer over.Wait()
	defer stop()
	h := s.Handler()
	dst := make([]byte, 0, engine.FrameSize)
	for _, c := range []struct {
		name    string
		payload []byte
		records int
		inform  bool
	}{
		{"SNMPv1", snmp.AppendTrapV1(nil, note(1, "\x02"), [4]byte{}, 1), 1, false},
		{"SNMPv1, full", snmp.AppendTrapV1(nil, note(23, "\x02"), [4]byte{}, 1), 23, false},
		{"a trap", snmp.AppendTrap(nil, note(1, "\x02\x00\x01")), 1, false},
		{"a full trap", snmp.AppendTrap(nil, note(23, "\x02\x00\x01")), 23, false},
		{"an inform", snmp.AppendInform(nil, note(1, "\x02\x00\x01")), 1, true},
		{"a full inform", snmp.AppendInform(nil, note(23, "\x02\x00\x01")), 23, true},
	} {
		hd := frame.Header{Src: [4]byte{10, 42, 0, 2}, Dst: us.As4(), SrcPort: 5000, DstPort: trap.Port}
		b := append(hd.AppendTo(nil), c.payload...)
		hd.Finish(b)
		p := &engine.Packet{Data: b, Link: link}
		wrong := 0
		n := testing.AllocsPerRun(500, func() {
			if _, v := h.Handle(dst, p); v != engine.Queued {
				t.Fatal(v)
			}
			if <-rec.made != c.records {
				wrong++
			}
			if c.inform {
				<-sent
			}
		})
		if n != 0 || wrong > 0 {
			t.Errorf("%s: %v allocations from frame to record; %d times too few records", c.name, n, wrong)
		}
	}
}
