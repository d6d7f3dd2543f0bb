package daemon

import (
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"

	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
)

// notReady is empty while every interface is up, and the journal has room and could
// be written when a trap came last, or since. Whether the inventory is up does not count:
// events are kept.
func (s *TrapServer) notReady() []string {
	why := s.links.down()
	if s.journal.Full() {
		why = append(why, "the journal is full: traps are lost until events in it are worked off")
	}
	if err := s.kept.failed.Load(); err != nil {
		why = append(why, fmt.Sprintf("the journal could not be written when a trap came last: traps are lost until it can: %v", *err))
	}
	return why
}

// writeMetrics writes what there is to count, each family with its type.
func (s *TrapServer) writeMetrics(w io.Writer) {
	m := figures{metrics.NewSet(), "clusto_snmptrapd_"}
	m.countFrames(s.stats, engine.Queued)
	for op := range s.traps.Records {
		m.counter(fmt.Sprintf("records_total{op=%q}", trap.Op(op)), s.traps.Records[op].Load())
	}
	m.counter("broken_records_total", s.traps.Tails.Load())
	for o := range discovery.Outcomes {
		m.counter(fmt.Sprintf("events_total{outcome=%q}", o), s.finds.Count(o))
	}
	m.counter("inventory_retries_total", s.finds.Retries.Load())
	j := s.journal.Stats()
	m.gauge("journal_waiting", float64(j.Waiting))
	m.gauge("journal_dead_letters", float64(j.Dead))
	m.counter("journal_damaged_total", uint64(j.Damaged))
	for name, g := range s.links {
		countInterface(m, name, g.Stats())
	}
	m.set.WritePrometheus(w)
}
