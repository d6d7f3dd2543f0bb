package trap

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
)

// TestProblemsNameTheRecord: what was lost was told without switch, port, VLAN
// and MAC.
func TestProblemsNameTheRecord(t *testing.T) {
	other := note(records(1))
	other.Community = []byte("secret")
	for name, c := range map[string]struct {
		change func(*bench)
		packet *engine.Packet
		kind   Kind
		frames int
	}{
		"full journal":    {func(b *bench) { b.journal.room = 0 }, datagram(trap(records(1))), NoRoom, 1},
		"failing journal": {func(b *bench) { b.journal.err = errors.New("the disk is gone") }, datagram(inform(records(1))), NotWritten, 1},
		"no memory":       {func(b *bench) { b.fill = newBatch(&Config{}) }, datagram(trap(records(1))), NoRoom, 1},
		"community":       {func(*bench) {}, datagram(snmp.AppendTrap(nil, other)), BadCommunity, 0},
	} {
		b := newServer()
		c.change(b)
		b.Handler().Handle(nil, c.packet)
		b.flush()
		if len(b.problems) != 1 {
			t.Errorf("%s: told of %+v", name, b.problems)
			continue
		}
		p := b.problems[0]
		e := p.First
		if p.Kind != c.kind || p.Frames != c.frames || p.Source != netip.MustParseAddr("10.42.0.2") ||
			e.Port != 25 || e.VLAN != 42 || e.MAC != [6]byte{0x00, 0x1e, 0xc9, 0, 10, 1} {
			t.Errorf("%s: told of %+v", name, p)
		}
	}
}

// TestLongFrameIsNamed: one that is longer than its slot was malformed, of no
// switch and for no reason.
func TestLongFrameIsNamed(t *testing.T) {
	b := newServer()
	long := datagram(trap(records(200)))
	long.Data, long.Truncated = long.Data[:engine.FrameSize], true
	if _, v := b.Handler().Handle(nil, long); v != engine.Malformed {
		t.Fatal(v)
	}
	if len(b.problems) != 1 || b.problems[0].Source != netip.MustParseAddr("10.42.0.2") || b.problems[0].Err == nil ||
		!strings.Contains(b.problems[0].Err.Error(), "more than 2048 bytes") {
		t.Errorf("told of %+v", b.problems)
	}
}

// TestWrongTypeIsNotCutShort: a history message that is a number was told of as
// a record cut short.
func TestWrongTypeIsNotCutShort(t *testing.T) {
	b := newServer()
	n := note(nil)
	n.Objects = snmp.AppendVarBind(nil, snmp.OID(mib+"\x01\x01\x08\x01\x02\x01"), snmp.TagInteger, []byte{7})
	b.Handler().Handle(nil, datagram(snmp.AppendTrap(nil, n)))
	if len(b.problems) != 1 || strings.Contains(b.problems[0].Text(), "cut short") || !strings.Contains(b.problems[0].Text(), "type") {
		t.Errorf("told of %+v", b.problems)
	}
}

// TestKindsOfProblemsShareNoSilence: by chance a sender's word of one kind kept
// that of another from being told.
func TestKindsOfProblemsShareNoSilence(t *testing.T) {
	var p problems
	p.init(func(Problem) {})
	now := int64(0)
	for i := range 1000 {
		now += int64(2 * quietFor)
		for kind := range kinds {
			if p.quiet(kind, [4]byte{10, 0, byte(i >> 8), byte(i)}, now) {
				t.Fatalf("sender %d: kind %d is not told", i, kind)
			}
		}
		if !p.quiet(Broken, [4]byte{10, 0, byte(i >> 8), byte(i)}, now+1) {
			t.Fatalf("sender %d: told twice", i)
		}
	}
}

// TestFloodOfOneKindSilencesNoOther: ten broken datagrams at the beginning of each
// second kept a full journal from being told of.
func TestFloodOfOneKindSilencesNoOther(t *testing.T) {
	var p problems
	p.init(func(Problem) {})
	now, told := int64(0), 0
	for range 100 {
		now += int64(time.Second)
		for i := range 2 * linesPerSecond {
			if !p.quiet(Broken, [4]byte{10, 0, 0, byte(i)}, now) {
				told++
			}
		}
		if p.quiet(NoRoom, [4]byte{10, 0, 0, 200}, now) {
			t.Fatal("that the journal is full is not told")
		}
	}
	if told != 100*linesPerSecond {
		t.Errorf("%d lines of the flood, want %d", told, 100*linesPerSecond)
	}
}
