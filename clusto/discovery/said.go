package discovery

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// said is what was said of each kind of thing, so that a flood of one keeps no
// other from being said.
type said struct {
	outcomes              [Outcomes]memory
	queue, bury, programs memory
}

// seldom logs what is of one kind: of the same key at most once a minute, and ten
// lines a second of all. The next line tells how many were left out.
func (d *Discovery) seldom(m *memory, level slog.Level, key, text string, args ...any) {
	more, ok := m.first(key, time.Now())
	if !ok {
		return
	}
	if more > 0 {
		args = append(args, "more", more)
	}
	d.cfg.Log.Log(context.Background(), level, text, args...)
}

// memory remembers what was said a minute ago, and how much in this second.
type memory struct {
	mu    sync.Mutex
	said  map[string]time.Time
	since time.Time
	lines int
	held  int // not said since the last time that something was
}

const (
	quietFor       = time.Minute
	linesPerSecond = 10
	// rememberSaid bounds a memory: half as many are said before the first of them
	// may be said again, and is forgotten.
	rememberSaid = 2 * linesPerSecond * int(quietFor/time.Second)
)

// first reports whether something is to be said, and how much was held back.
func (m *memory) first(key string, now time.Time) (held int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.since) >= time.Second {
		m.since, m.lines = now, 0
	}
	if t, ok := m.said[key]; ok && now.Sub(t) < quietFor || m.lines >= linesPerSecond {
		m.held++
		return 0, false
	}
	if m.said == nil {
		m.said = map[string]time.Time{}
	}
	if len(m.said) >= rememberSaid {
		maps.DeleteFunc(m.said, func(_ string, t time.Time) bool { return now.Sub(t) >= quietFor })
	}
	m.said[key] = now
	m.lines++
	held, m.held = m.held, 0
	return held, true
}
