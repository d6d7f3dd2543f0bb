package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestHealthIsToldOnce: calls of several switches overlap, so that one begun
// before the inventory failed ended well afterwards, and told that it was back.
func TestHealthIsToldOnce(t *testing.T) {
	var log syncBuffer
	h := health{log: slog.New(slog.NewTextHandler(&log, nil))}
	early := time.Now()
	tick := func() time.Time {
		for t0 := time.Now(); ; {
			if now := time.Now(); now.After(t0) {
				return now
			}
		}
	}
	h.failed(tick(), false, errChanged)
	h.works(early, false)
	h.failed(tick(), false, errChanged)
	late := tick()
	h.works(tick(), false)
	h.failed(late, false, errChanged)
	h.works(tick(), false)
	if text := log.String(); strings.Count(text, "the inventory fails") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("it says %s", text)
	}
}

// TestHealthOfAnOutageThatAChangeMeetsFirst: the reads that fail after it, with
// another error, were told of as well.
func TestHealthOfAnOutageThatAChangeMeetsFirst(t *testing.T) {
	var log syncBuffer
	h := health{log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Now()
	h.failed(now, true, errors.New("unexpected EOF"))
	h.failed(now.Add(time.Second), false, errors.New("connection refused"))
	h.failed(now.Add(2*time.Second), true, errors.New("connection refused"))
	h.works(now.Add(3*time.Second), false)
	if text := log.String(); strings.Count(text, "the inventory fails") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("it says %s", text)
	}
}

// TestHealthOfATokenThatOnlyReads: reads are answered and writes are not, so that
// failing and answering again took turns in the log, for as long as it lasted; later
// once a minute, though nothing had recovered.
func TestHealthOfATokenThatOnlyReads(t *testing.T) {
	var log syncBuffer
	h := health{log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Now()
	for i := range 50 {
		at := now.Add(time.Duration(i) * time.Hour) // a call always begins after the last one ended
		h.failed(at, true, fmt.Errorf("apply %d operations: access denied", i))
		h.works(at.Add(time.Minute), false)
	}
	if text := log.String(); strings.Count(text, "access denied") != 1 || strings.Contains(text, "answers again") {
		t.Errorf("it says %s", text)
	}
	h.failed(now.Add(1000*time.Hour), false, errors.New("connection refused"))
	h.works(now.Add(1001*time.Hour), false)
	text := log.String()
	if strings.Count(text, "access denied") != 1 || strings.Count(text, "answers again") != 1 || strings.Count(text, "connection refused") != 1 {
		t.Errorf("it says %s", text)
	}
}

// TestGoneAndMovedAreSaid: they were at debug level only; the first of a switch is
// said, and the others within a minute are not.
func TestGoneAndMovedAreSaid(t *testing.T) {
	var log syncBuffer
	d := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 100 {
		for _, o := range []Outcome{Gone, MoveSeen} {
			d.say(Event{Switch: netip.MustParseAddr("10.42.0.2"), Port: 7}, o, "")
		}
	}
	text := log.String()
	if strings.Count(text, "outcome=gone") != 1 || strings.Count(text, "outcome=move_seen") != 1 || !strings.Contains(text, "port=7") {
		t.Errorf("it says %s", text)
	}
}
