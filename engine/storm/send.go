package storm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/clusto/clusto-engine/engine"
)

// Do lets every client do the verbs, at most Outstanding at once, and returns
// when all have ended, in success or failure, or when ctx is over. Clients that
// fail are in the Result and are no error; an error says that ctx ended or the
// Conn did, and the Result says how far it got.
//
// A NAK sends a client back to its first verb if Discover is one of them;
// otherwise it ends as Refused.
func (s *Storm) Do(ctx context.Context, verbs Verb) (Result, error) {
	if err := s.begin(verbs); err != nil {
		return Result{}, err
	}
	p := progress{tell: s.cfg.OnProgress, total: len(s.clients)}
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		n := s.turn()
		if err, over := n.over(ctx); over {
			p.note(n, true)
			return s.end(), err
		}
		p.note(n, false)
		if n.full {
			continue
		}
		alarm.Reset(n.wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-alarm.C:
		}
	}
}

// begin sets all clients to their start.
func (s *Storm) begin(verbs Verb) error {
	if verbs == 0 || verbs >= verbsEnd {
		return fmt.Errorf("storm: %#x is no set of verbs: join Discover, Request ... with |", uint16(verbs))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return ErrBusy
	}
	s.running, s.verbs, s.begun, s.next, s.active = true, verbs, time.Now(), 0, 0
	s.res = Result{Latencies: make([]time.Duration, 0, len(s.clients))}
	for i := range s.clients {
		c := &s.clients[i]
		s.minds[i] = mind{}
		c.State, c.Tries, c.Naks, c.OfferLatency, c.Latency = Init, 0, 0, 0, 0
	}
	return nil
}

// end makes the Result; from here on replies fall on deaf ears.
func (s *Storm) end() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.minds {
		s.alarms.clear(int32(i))
	}
	for ok := true; ok; {
		_, ok = s.line.pop()
	}
	s.running = false
	s.res.Elapsed = time.Since(s.begun)
	slices.Sort(s.res.Latencies)
	return s.res
}

// news is how things stand after a turn.
type news struct {
	done, failed int
	left         int           // clients unfinished
	full         bool          // there may be more to send
	wait         time.Duration // until the next alarm
	err          error         // why the receiver ended
}

// over says whether Do has to return, and with what error.
func (n *news) over(ctx context.Context) (err error, over bool) {
	switch {
	case n.left == 0:
		return nil, true
	case n.err != nil:
		return fmt.Errorf("%w; %d clients unfinished", n.err, n.left), true
	case ctx.Err() != nil:
		return fmt.Errorf("storm: %d clients unfinished: %w", n.left, context.Cause(ctx)), true
	}
	return nil, false
}

// turn does everything that is due and sends one batch.
func (s *Storm) turn() (n news) {
	s.mu.Lock()
	now := int64(time.Since(s.begun))
	s.expire(now)
	s.tx.Replies = s.tx.Replies[:0]
	s.fill(now)
	n = s.news(now)
	s.mu.Unlock()
	if len(s.tx.Replies) == 0 {
		return n
	}
	sent := s.cfg.Sender.Send(&s.tx)
	s.mu.Lock()
	s.res.Sent += sent
	s.res.TxDropped += len(s.tx.Replies) - sent
	s.mu.Unlock()
	return n
}

func (s *Storm) news(now int64) news {
	n := news{
		done: s.res.Done, failed: s.res.Failed, err: s.err,
		left: len(s.clients) - s.res.Done - s.res.Failed,
		full: len(s.tx.Replies) == engine.BatchSize, wait: time.Hour,
	}
	if _, due, ok := s.alarms.next(); ok {
		n.wait = time.Duration(max(due-now, 0))
	}
	return n
}

// expire sends again for the clients whose wait is over, or gives up.
func (s *Storm) expire(now int64) {
	for {
		c, due, ok := s.alarms.next()
		if !ok || due > now {
			return
		}
		s.alarms.clear(c)
		if s.minds[c].try < len(s.cfg.Schedule) {
			s.line.push(c)
		} else {
			s.fail(c, TimedOut)
		}
	}
}

// fill makes a batch of what clients have to send, and starts further clients.
func (s *Storm) fill(now int64) {
	for len(s.tx.Replies) < engine.BatchSize {
		c, ok := s.line.pop()
		if !ok && !s.start() {
			return
		}
		if ok && s.minds[c].todo != 0 {
			s.speak(c, now)
		}
	}
}

// start lets one more client begin, if there is one and it may.
func (s *Storm) start() bool {
	if s.active >= s.cfg.Outstanding || int(s.next) >= len(s.clients) {
		return false
	}
	c := s.next
	s.next++
	s.active++
	s.res.Peak = max(s.res.Peak, s.active)
	s.minds[c].first = -1
	s.restart(c)
	return true
}

// restart puts a client before its first verb.
func (s *Storm) restart(c int32) {
	s.minds[c].todo = s.verbs
	s.enter(c)
}

// enter begins the client's next verb: a transaction of its own, except for
// Request, which goes on with the DISCOVER's (RFC 2131 section 4.4.1).
func (s *Storm) enter(c int32) {
	m, cl := &s.minds[c], &s.clients[c]
	verb := m.todo.first()
	st := verb.step()
	s.alarms.clear(c)
	if st.addr && cl.Addr == ([4]byte{}) || st.server && cl.Server == ([4]byte{}) {
		s.fail(c, NoAddress)
		return
	}
	if verb != Request || s.verbs&Discover == 0 {
		cl.XID, m.secs = s.rnd.Uint32(), 0
	}
	cl.State, m.try = st.doing, 0
	s.line.push(c)
}

// speak sends the message of the verb in progress.
func (s *Storm) speak(c int32, now int64) {
	m, cl := &s.minds[c], &s.clients[c]
	verb := m.todo.first()
	if m.first < 0 {
		m.first = now
	}
	// A REQUEST has the secs of its DISCOVER (RFC 2131 section 4.4.1).
	if verb != Request {
		m.secs = uint16(min((now-m.first)/int64(time.Second), 65535))
	}
	msg := verb.message(cl)
	msg.Secs = m.secs
	i := len(s.tx.Replies)
	s.tx.Replies = append(s.tx.Replies, AppendFrame(s.room[i], cl, &msg))
	if m.try > 0 {
		s.res.Retransmitted++
	}
	cl.Tries++
	m.try++
	if verb.step().want == 0 {
		s.advance(c, now)
		return
	}
	s.alarms.set(c, now+s.patience(m.try-1))
}

func (s *Storm) patience(try int) int64 {
	wait := int64(s.cfg.Schedule[try])
	if j := int64(s.cfg.Jitter); j > 0 {
		wait += s.rnd.Int64N(2*j+1) - j
	}
	return wait
}

// advance ends the verb in progress in success, and begins the next.
func (s *Storm) advance(c int32, now int64) {
	m, cl := &s.minds[c], &s.clients[c]
	verb := m.todo.first()
	s.alarms.clear(c)
	cl.State = verb.step().done
	if m.todo &^= verb; m.todo != 0 {
		s.enter(c)
		return
	}
	cl.Latency = time.Duration(now - m.first)
	s.res.Latencies = append(s.res.Latencies, cl.Latency)
	s.res.Done++
	s.res.Answered = time.Duration(now)
	s.active--
}

// fail ends a client without what it wanted.
func (s *Storm) fail(c int32, why State) {
	s.alarms.clear(c)
	s.minds[c].todo, s.clients[c].State = 0, why
	s.res.Failed++
	s.active--
}

// progress bounds how often OnProgress is called.
type progress struct {
	tell  func(done, failed, total int)
	total int
	told  time.Time
	last  int // finished clients that it was told of
}

func (p *progress) note(n news, final bool) {
	if p.tell == nil || !final && (n.done+n.failed == p.last || time.Since(p.told) < progressEvery) {
		return
	}
	p.told, p.last = time.Now(), n.done+n.failed
	p.tell(n.done, n.failed, p.total)
}
