package storm

import (
	"fmt"
	"time"

	"github.com/clusto/clusto-engine/engine"
)

// turn gives up what is lost and sends one batch: further steps, then what begins.
// full says that there may be more to send.
func (l *load) turn() (full bool) {
	l.sending.Lock()
	defer l.sending.Unlock()
	l.mu.Lock()
	now := int64(time.Since(l.begun))
	l.giveUp(now)
	l.settle(now)
	l.tx.Replies = l.tx.Replies[:0]
	l.fill(now)
	l.mu.Unlock()
	n := len(l.tx.Replies)
	if n == 0 {
		return false
	}
	sent := l.cfg.Sender.Send(&l.tx)
	l.mu.Lock()
	l.res.Sent += sent
	l.res.TxDropped += n - sent
	if l.silent {
		l.quiet(sent, n-sent)
	}
	l.mu.Unlock()
	return n == engine.BatchSize
}

// quiet counts exchanges that are over with their frame, or without it.
func (l *load) quiet(sent, dropped int) {
	l.res.Done += sent
	l.res.Lost += dropped
	if sent > 0 {
		l.res.Answered = time.Since(l.begun)
	}
}

func (l *load) giveUp(now int64) {
	for l.oldest >= 0 && l.slots[l.oldest].begun+int64(l.cfg.Timeout) <= now {
		l.res.Lost++
		l.finish(l.oldest)
	}
}

func (l *load) fill(now int64) {
	for len(l.tx.Replies) < engine.BatchSize {
		if s, ok := l.more.pop(); ok {
			if l.slots[s].step > 1 { // not given up meanwhile
				l.say(s)
			}
		} else if !l.begin(now) {
			return
		}
	}
}

// begin begins a further exchange if it is time for one.
func (l *load) begin(now int64) bool {
	if len(l.free) == 0 || l.enough(now) {
		return false
	}
	due := now
	if l.cfg.Rate > 0 {
		if due = l.due(l.res.Begun); due > now {
			return false
		}
	}
	s := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	e := &l.slots[s]
	e.age, e.step, e.due, e.begun = e.age+1, 1, due, now
	l.join(s)
	silent := l.speech.begin(e, l.res.Begun, l.rnd)
	l.res.Begun++
	l.res.Asking = time.Duration(now)
	l.say(s)
	if l.silent = silent; silent {
		l.finish(s)
	}
	return true
}

// say puts the frame of a slot's step into the batch.
func (l *load) say(s int32) {
	i := len(l.tx.Replies)
	l.tx.Replies = append(l.tx.Replies, l.speech.append(l.room[i], &l.slots[s], l.id(s)))
}

// id holds the slot and its age, so that a reply tells whose it is.
func (l *load) id(s int32) uint32 { return (l.slots[s].age<<slotBits | uint32(s)) ^ l.salt }

// join puts a slot behind all others that are under way, which is the order in
// which they are lost.
func (l *load) join(s int32) {
	l.slots[s].older, l.slots[s].newer = l.newest, -1
	if l.newest >= 0 {
		l.slots[l.newest].newer = s
	} else {
		l.oldest = s
	}
	l.newest = s
	l.underWay++
}

// finish gives a slot free.
func (l *load) finish(s int32) {
	e := &l.slots[s]
	if e.older >= 0 {
		l.slots[e.older].newer = e.newer
	} else {
		l.oldest = e.newer
	}
	if e.newer >= 0 {
		l.slots[e.newer].older = e.older
	} else {
		l.newest = e.older
	}
	e.step = 0
	l.free = append(l.free, s)
	l.underWay--
}

// receive takes replies until the Conn ends. What they set free is sent at once:
// a closed loop is no faster than its turn.
func (l *load) receive() {
	defer close(l.gone)
	var b engine.Batch
	for {
		err := l.cfg.Conn.Recv(&b)
		l.mu.Lock()
		if err != nil {
			l.err = fmt.Errorf("storm: receive replies: %w", err)
		} else {
			l.takeAll(&b)
		}
		more := l.cfg.Rate == 0 || l.more.len() > 0
		l.mu.Unlock()
		if err == nil && more && len(b.Packets) > 0 {
			l.turn()
		}
		if l.cfg.Rate == 0 && (err != nil || l.idle()) {
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
		if err != nil {
			return
		}
	}
}

// idle says whether nothing is under way.
func (l *load) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.underWay == 0
}

func (l *load) takeAll(b *engine.Batch) {
	now := int64(time.Since(l.begun))
	l.res.Received += len(b.Packets)
	for i := range b.Packets {
		id, ok := l.speech.hear(&b.Packets[i])
		s := int32((id ^ l.salt) & (MaxUnderWay - 1))
		if !ok || int(s) >= len(l.slots) {
			l.res.Stray++
			continue
		}
		e := &l.slots[s]
		l.apply(s, l.speech.take(&b.Packets[i], e, e.step == 0 || id != l.id(s)), now)
	}
}

// apply counts a reply and goes on with its exchange.
func (l *load) apply(s int32, f fate, now int64) {
	e := &l.slots[s]
	switch f {
	case stray:
		l.res.Stray++
		return
	case late:
		l.res.Late++
		return
	case invalid:
		l.res.Invalid++
		return
	}
	l.res.Taken++
	l.res.Answered = time.Duration(now)
	if f != refused && l.cfg.OnReply != nil {
		l.cfg.OnReply(e.step, time.Duration(now-e.due))
	}
	switch f {
	case refused:
		l.res.Refused++
		l.finish(s)
	case further:
		e.step++
		l.more.push(s)
	default:
		l.res.Done++
		l.finish(s)
	}
}
