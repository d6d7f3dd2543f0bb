package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/engine"
)

// TrapPort is the UDP port on which servers take traps (RFC 3417 section 3.2),
// and AgentPort the one from which a load's switches send.
const (
	TrapPort  = 162
	AgentPort = 16162
)

// MaxText bounds communities, and vendor classes, which an option has to hold.
const MaxText = 255

// Agent is a switch's SNMP agent: where its traps come from.
type Agent struct {
	Addr [4]byte
	MAC  [6]byte
}

// TrapLoad is what switches report: that they learnt MACs.
type TrapLoad struct {
	Agents    []Agent
	Server    [4]byte
	ServerMAC [6]byte // of the server, or of the router to it
	Community []byte
	Informs   bool // instead of traps: each is awaited

	Records int       // in each notice, 1 to MaxRecords
	MACs    [][6]byte // what is reported, in turn; random ones if empty
	Ports   int       // of each switch
}

// LoadTraps has switches report MACs, in turn and over and over, one datagram
// each: traps, which are Done once the Conn took them, or informs. It ends as LoadDHCP
// does. The Conn has to receive what comes to AgentPort for other hosts too.
func LoadTraps(ctx context.Context, cfg LoadConfig, t *TrapLoad) (LoadResult, error) {
	switch {
	case len(t.Agents) == 0:
		return LoadResult{}, errors.New("storm: a load of traps needs a switch")
	case len(t.Community) > MaxText:
		return LoadResult{}, fmt.Errorf("storm: a community of %d bytes: %d at most", len(t.Community), MaxText)
	case t.Records < 1 || t.Records > MaxRecords:
		return LoadResult{}, fmt.Errorf("storm: %d records are too few or too many for a notice: 1 to %d", t.Records, MaxRecords)
	case t.Ports < 1 || t.Ports > 1<<16-1:
		return LoadResult{}, fmt.Errorf("storm: a switch with %d ports: 1 to 65535", t.Ports)
	case len(t.MACs) > 0 && len(t.MACs) < len(t.Agents):
		return LoadResult{}, fmt.Errorf("storm: %d MACs are not enough for %d switches: one each at least", len(t.MACs), len(t.Agents))
	}
	return runLoad(ctx, cfg, &trapSpeech{TrapLoad: t, records: make([]macnotify.Record, t.Records)})
}

// trapSpeech is notices of switches in turn.
type trapSpeech struct {
	*TrapLoad
	records []macnotify.Record
	ticks   uint32 // notices so far, which do for a switch's clock
	in      frame.UDP4
}

func (s *trapSpeech) begin(e *exchange, n int, rnd *rand.Rand) (silent bool) {
	e.who = int32(n % len(s.Agents))
	for i := range s.records {
		s.records[i] = s.record(int(e.who), n/len(s.Agents)*s.Records+i, rnd)
	}
	return !s.Informs
}

// record is what a switch reports as its k-th: the MACs are dealt out to the
// switches, so that each stays where it is.
func (s *trapSpeech) record(who, k int, rnd *rand.Rand) macnotify.Record {
	r := macnotify.Record{Op: macnotify.Learnt, VLAN: 1}
	if len(s.MACs) == 0 {
		r.MAC = randomMAC(rnd)
	} else {
		k %= (len(s.MACs) - who + len(s.Agents) - 1) / len(s.Agents)
		r.MAC = s.MACs[who+k*len(s.Agents)]
	}
	r.Port = uint16(k%s.Ports + 1)
	return r
}

func (s *trapSpeech) append(dst []byte, e *exchange, id uint32) []byte {
	from := &s.Agents[e.who]
	h := frame.Header{
		EthDst: s.ServerMAC, EthSrc: from.MAC, Src: from.Addr, Dst: s.Server, SrcPort: AgentPort, DstPort: TrapPort,
	}
	start := len(dst)
	s.ticks++
	n := Notice{Community: s.Community, ID: int32(id), UpTime: s.ticks, Index: s.ticks, Records: s.records}
	if dst = h.AppendTo(dst); s.Informs {
		dst = n.AppendInform(dst)
	} else {
		dst = n.AppendTrap(dst)
	}
	h.Finish(dst[start:])
	return dst
}

func (s *trapSpeech) hear(p *engine.Packet) (id uint32, ok bool) {
	if s.in.Parse(p.Data, p.CsumPartial) != nil || s.in.SrcPort != TrapPort {
		return 0, false
	}
	n, ok := Acknowledged(s.in.Payload, s.Community)
	return uint32(n), ok
}

func (s *trapSpeech) take(_ *engine.Packet, e *exchange, over bool) fate {
	switch from := &s.Agents[e.who]; {
	case s.in.Dst != from.Addr || s.in.EthDst != from.MAC:
		return stray
	case over:
		return late
	}
	return done
}
