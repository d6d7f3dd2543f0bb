package trap

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/clusto/clusto-engine/codec/macnotify"
)

// Kind is a kind of problem.
type Kind uint8

// The kinds.
const (
	Broken       Kind = iota // the frame or the message is malformed
	BadCommunity             // the community is not configured
	Stranger                 // the sender is not allowed
	Fragmented               // the datagram came in parts
	NotOurs                  // a notification of another MIB
	BadRecord                // a record is cut short, or not what it should be
	NoRoom                   // neither memory nor journal has room
	NotWritten               // the journal failed
	kinds
)

// Problem is what a log says of a frame that was turned away, or in part.
type Problem struct {
	Kind      Kind
	Source    netip.Addr // 0.0.0.0 where it is not known
	Interface string
	Community string // of BadCommunity
	Trap      string // of NotOurs: its OID
	Frames    int    // of NotWritten and NoRoom: how many were lost
	First     Event  // the first record concerned, and Source its switch; its MAC is zero where none was read
	Err       error
	Held      int // problems of this kind that were not told since the last one that was
}

// Text says what happened and what to do about it.
func (p *Problem) Text() string {
	switch p.Kind {
	case BadCommunity:
		return "ignored: the community is not configured; give it to --community, or mend the switch's snmp-server host line"
	case Stranger:
		return "ignored: traps are not taken from this address; see the setting sources"
	case Fragmented:
		return "ignored: a datagram in fragments; set the switch to send fewer records at once, or raise the MTU on the way"
	case NotOurs:
		return "ignored: a notification that is not of CISCO-MAC-NOTIFICATION-MIB"
	case BadRecord:
		return p.badRecord()
	case NoRoom:
		return "lost: there is no room for more events; informs will be sent again, traps are gone"
	case NotWritten:
		return "lost: the journal cannot be written; informs will be sent again, traps are gone"
	}
	return "ignored: the message is malformed"
}

// badRecord says what is wrong with a notification.
func (p *Problem) badRecord() string {
	switch {
	case errors.Is(p.Err, macnotify.ErrType):
		return "an object of a MAC notification has not the type of its MIB; the other ones count"
	case errors.Is(p.Err, macnotify.ErrMove):
		return "ignored: a MAC move without its MAC address or a port"
	}
	return "a record in a MAC notification is cut short; those before it count"
}

// quietFor is how long the same problem of the same sender is not told again.
const quietFor = time.Second

// problems holds back what was told a moment ago. It neither allocates nor
// grows while it says no: senders that share a cell share its silence, of one kind.
type problems struct {
	report func(Problem)
	seed   maphash.Seed

	mu    sync.Mutex
	until [kinds][256]int64
	lines [kinds]int   // told in the second that began then
	since [kinds]int64 //
	held  [kinds]int
}

// linesPerSecond bounds the log, however many senders there are, for each kind: a
// flood of one must not keep the others from being told.
const linesPerSecond = 10

func (p *problems) init(report func(Problem)) { p.report, p.seed = report, maphash.MakeSeed() }

// quiet reports whether a problem is not to be told now.
func (p *problems) quiet(kind Kind, source [4]byte, now int64) bool {
	until := &p.until[kind][maphash.Comparable(p.seed, source)%256]
	p.mu.Lock()
	defer p.mu.Unlock()
	if now-p.since[kind] >= int64(time.Second) {
		p.since[kind], p.lines[kind] = now, 0
	}
	if now < *until || p.lines[kind] >= linesPerSecond {
		p.held[kind]++
		return true
	}
	*until = now + int64(quietFor)
	p.lines[kind]++
	return false
}

func (p *problems) tell(pr Problem) {
	p.mu.Lock()
	pr.Held, p.held[pr.Kind] = p.held[pr.Kind], 0
	p.mu.Unlock()
	p.report(pr)
}
