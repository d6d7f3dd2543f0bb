package engine

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// The Lot's defaults.
const (
	LotSlots    = 16384
	LotSlotSize = 768 // bytes; a DHCP request with everything in it has about 600
	LotPatience = 4 * time.Second
	LotMemory   = 64 * time.Second // the longest that a client waits before it sends again (RFC 2131 section 4.1)
)

// LotConfig sizes a Lot. Zero fields mean the defaults.
type LotConfig struct {
	Slots    int           // frames that wait at once; LotSlots
	Patience time.Duration // how long a frame waits for its load to begin, unless it is refreshed; LotPatience
	Memory   time.Duration // how long its MAC is to be loaded after that frame came; LotMemory
}

// Lot is where frames wait for the inventory, one per MAC: a retransmission
// takes the place of what waits already, a full Lot sends the newcomer away
// (shedding the oldest would collapse under a storm), and what waits too long
// is dropped. The MAC of a frame that nobody has come for is left behind, so that
// its host is there when the client sends again, unless a newcomer needs the
// room. MACs are handed out to loaders in the order they came, known ones
// that wait first, and none to two loaders at once while its frame waits. All
// memory is allocated at the start.
type Lot struct {
	patience, memory int64

	mu      sync.Mutex
	slots   []slot
	seed    maphash.Seed
	buckets []int32       // heads of the chains of slots by MAC; a map would allocate now and then
	free    int32         // head of the free list; -1 if full
	queues  [ranks]queue  // of slots that no loader has taken yet
	more    chan struct{} // one token while a queue is not empty
	turn    bool          // of what is wanted or left, before what is new
	other   bool          // of what is left, before what is wanted
	taken   int           // slots in use
	stats   LotStats
}

// The ranks of the queues. A flood of random MACs must not keep the fleet's
// from being loaded, nor a fleet whose frames are answered already a new host
// that waits: these two take turns. What is left of frames whose time was up
// shares the turns of what is wanted, and has none beside what is new otherwise.
const (
	rankKnown = iota
	rankNew
	rankWanted
	rankLeft
	ranks
)

// queue is a list of n slots; -1 for both ends if it is empty.
type queue struct {
	first, last int32
	n           int
}

// LotStats says what the Lot holds and did.
type LotStats struct {
	Waiting int // frames in it
	Queued  int // MACs that no loader has taken yet, with a frame or without
	Expired uint64
}

type slot struct {
	mac     [6]byte
	rank    uint8 // of its queue
	parked  int64 // when the first frame of this MAC came
	renewed int64 // when the latest one came
	next    int32 // in the free list or the queue; -1 ends it
	prev    int32 // in the queue; -1 begins it
	chain   int32 // next slot of the same bucket; -1 ends it
	used    bool
	frame   bool // one waits; else the MAC is wanted for itself
	queued  bool
	meta    Packet // without Data
	n       int
	data    [LotSlotSize]byte
}

// NewLot makes an empty Lot.
func NewLot(cfg LotConfig) *Lot {
	if cfg.Slots == 0 {
		cfg.Slots = LotSlots
	}
	if cfg.Patience == 0 {
		cfg.Patience = LotPatience
	}
	if cfg.Memory == 0 {
		cfg.Memory = max(LotMemory, cfg.Patience)
	}
	n := 1
	for n < cfg.Slots {
		n *= 2
	}
	l := &Lot{
		patience: int64(cfg.Patience), memory: int64(cfg.Memory), slots: make([]slot, cfg.Slots), buckets: make([]int32, n),
		seed: maphash.MakeSeed(), more: make(chan struct{}, 1),
	}
	for i := range l.queues {
		l.queues[i] = queue{first: -1, last: -1}
	}
	for i := range l.slots {
		l.slots[i].next = int32(i + 1)
	}
	l.slots[cfg.Slots-1].next = -1
	for i := range l.buckets {
		l.buckets[i] = -1
	}
	return l
}

func (l *Lot) bucket(mac [6]byte) *int32 {
	return &l.buckets[maphash.Comparable(l.seed, mac)&uint64(len(l.buckets)-1)]
}

func (l *Lot) find(mac [6]byte) (i int32, ok bool) {
	for i = *l.bucket(mac); i >= 0; i = l.slots[i].chain {
		if l.slots[i].mac == mac {
			return i, true
		}
	}
	return -1, false
}

// Park keeps a copy of p until Take. It returns Parked, Replaced, or Shed when
// there is no room or p is longer than a slot; the MAC of a frame that is too
// long is loaded all the same, for its retransmission. Whatever its transaction
// id, the latest frame of a MAC counts. now is in nanoseconds. It never
// allocates.
func (l *Lot) Park(mac [6]byte, p *Packet, now int64) Verdict {
	return l.park(mac, rankNew, p, now)
}

// ParkKnown is Park of a MAC that the inventory had before: its load goes
// ahead of those of other MACs.
func (l *Lot) ParkKnown(mac [6]byte, p *Packet, now int64) Verdict {
	return l.park(mac, rankKnown, p, now)
}

// Want has a known MAC loaded though no frame of it waits, if half of the room
// is free: the rest is for frames. What is left behind makes room.
func (l *Lot) Want(mac [6]byte, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken-l.queues[rankLeft].n >= (len(l.slots)+1)/2 {
		return
	}
	if s := l.slotOf(mac, rankWanted, now); s != nil && s.rank == rankLeft {
		l.promote(s, rankWanted)
		s.renewed = now
	}
}

func (l *Lot) park(mac [6]byte, rank uint8, p *Packet, now int64) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.slotOf(mac, rank, now)
	if s == nil {
		return Shed
	}
	l.promote(s, rank)
	if len(p.Data) > LotSlotSize {
		if !s.frame {
			s.renewed = now
		}
		return Shed
	}
	v := Replaced
	if !s.frame {
		v, s.frame, s.parked = Parked, true, now
		l.stats.Waiting++
	}
	s.renewed, s.meta = now, *p
	s.meta.Data = nil
	s.n = copy(s.data[:], p.Data)
	return v
}

// slotOf gives the slot of a MAC, or makes one without a frame and queues it;
// nil if there is no room.
func (l *Lot) slotOf(mac [6]byte, rank uint8, now int64) *slot {
	if i, ok := l.find(mac); ok {
		return &l.slots[i]
	}
	i := l.free
	if i < 0 {
		if i = l.queues[rankLeft].last; i < 0 {
			return nil
		}
		l.release(i)
	}
	s := &l.slots[i]
	l.free = s.next
	s.mac, s.rank, s.renewed, s.used = mac, rank, now, true
	b := l.bucket(mac)
	s.chain, *b = *b, i
	l.taken++
	l.enqueue(i)
	return s
}

// promote gives a slot a better rank, and a place in its queue.
func (l *Lot) promote(s *slot, rank uint8) {
	if s.rank <= rank {
		return
	}
	i, ok := l.find(s.mac)
	if ok = ok && s.queued; ok {
		l.unqueue(i)
	}
	if s.rank = rank; ok {
		l.enqueue(i)
	}
}

func (l *Lot) enqueue(i int32) {
	s := &l.slots[i]
	q := &l.queues[s.rank]
	s.queued, s.next, s.prev = true, -1, q.last
	if q.last < 0 {
		q.first = i
	} else {
		l.slots[q.last].next = i
	}
	q.last = i
	q.n++
	l.stats.Queued++
	l.wake()
}

func (l *Lot) wake() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// Next waits for a MAC that nobody loads yet and takes it off the queue: the
// caller is its loader, until Take or Retry. ok is false when ctx is over.
func (l *Lot) Next(ctx context.Context) (mac [6]byte, ok bool) {
	for {
		select {
		case <-ctx.Done():
			return mac, false
		case <-l.more:
		}
		if mac, ok = l.dequeue(); ok {
			return mac, true
		}
	}
}

func (l *Lot) dequeue() (mac [6]byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.first()
	if i < 0 {
		return mac, false
	}
	l.unqueue(i)
	if l.stats.Queued > 0 {
		l.wake()
	}
	return l.slots[i].mac, true
}

// first gives the slot whose turn it is; -1 if none queues.
func (l *Lot) first() int32 {
	if i := l.queues[rankKnown].first; i >= 0 {
		return i
	}
	fresh, wanted, left := l.queues[rankNew].first, l.queues[rankWanted].first, l.queues[rankLeft].first
	if fresh >= 0 && wanted >= 0 {
		l.turn = !l.turn
	}
	if fresh >= 0 && (wanted < 0 || l.turn) {
		return fresh
	}
	if wanted >= 0 && left >= 0 {
		l.other = !l.other
	}
	if wanted < 0 || left >= 0 && !l.other {
		return left
	}
	return wanted
}

func (l *Lot) unqueue(i int32) {
	s := &l.slots[i]
	q := &l.queues[s.rank]
	if s.prev < 0 {
		q.first = s.next
	} else {
		l.slots[s.prev].next = s.next
	}
	if s.next < 0 {
		q.last = s.prev
	} else {
		l.slots[s.next].prev = s.prev
	}
	s.queued = false
	q.n--
	l.stats.Queued--
}

// Retry puts a MAC whose load failed back at the end of the queue; one that was
// left behind is forgotten.
func (l *Lot) Retry(mac [6]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.find(mac)
	switch {
	case !ok || l.slots[i].queued:
	case l.slots[i].rank == rankLeft:
		l.release(i)
	default:
		l.enqueue(i)
	}
}

// Take moves the frame of a MAC into p, whose Data has to have room for
// LotSlotSize bytes, and frees its slot. ok is false if none waits.
func (l *Lot) Take(mac [6]byte, p *Packet) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.find(mac)
	if !ok {
		return false
	}
	s := &l.slots[i]
	ok = s.frame
	if ok {
		data := append(p.Data[:0], s.data[:s.n]...)
		*p = s.meta
		p.Data = data
	}
	l.release(i)
	return ok
}

func (l *Lot) release(i int32) {
	s := &l.slots[i]
	if s.queued {
		l.unqueue(i)
	}
	link := l.bucket(s.mac)
	for *link != i {
		link = &l.slots[*link].chain
	}
	*link = s.chain
	if s.frame {
		l.stats.Waiting--
	}
	s.meta, s.used, s.frame = Packet{}, false, false
	s.next, l.free = l.free, i
	l.taken--
}

// Expire drops the frames that nobody has refreshed for the Lot's patience,
// and returns how many. Unless loads fail, one whose load is on its way is kept until
// that ends: its client may listen for longer. What queues is left in its order, so
// that the newest of it makes room.
func (l *Lot) Expire(now int64, fail bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.stats.Waiting
	for _, rank := range [...]int{rankKnown, rankNew} {
		for i, next := l.queues[rank].first, int32(0); i >= 0; i = next {
			next = l.slots[i].next
			if now-l.slots[i].renewed >= l.patience {
				l.leave(i)
			}
		}
	}
	for i := range l.inUse {
		s := &l.slots[i]
		switch age := now - s.renewed; {
		case age >= l.memory, age >= l.patience && s.rank == rankWanted && s.queued:
			l.release(i)
		case age >= l.patience && s.rank <= rankNew && fail:
			l.leave(i)
		}
	}
	n = was - l.stats.Waiting
	l.stats.Expired += uint64(n)
	return n
}

// leave drops the frame of a slot, and leaves its MAC to be loaded.
func (l *Lot) leave(i int32) {
	s := &l.slots[i]
	if s.frame {
		l.stats.Waiting--
	}
	s.meta, s.frame = Packet{}, false
	queued := s.queued
	if queued {
		l.unqueue(i)
	}
	if s.rank = rankLeft; queued {
		l.enqueue(i)
	}
}

// Older appends to dst the MACs whose frames wait since before the given time.
func (l *Lot) Older(dst [][6]byte, since int64) [][6]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.inUse {
		if s := &l.slots[i]; s.frame && s.parked < since {
			dst = append(dst, s.mac)
		}
	}
	return dst
}

// inUse yields the slots in use. It ends with the last of them: the free list
// hands out low slots first, so an almost empty Lot is walked in no time.
func (l *Lot) inUse(yield func(int32) bool) {
	left := l.taken
	for i := int32(0); left > 0; i++ {
		if !l.slots[i].used {
			continue
		}
		if left--; !yield(i) {
			return
		}
	}
}

// Stats may be called at any time.
func (l *Lot) Stats() LotStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}
