package discovery

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestFloodOfOneOutcomeSilencesNoOther: all outcomes shared ten lines a second, so
// that traps of unknown switches kept from the log that discovery is off for a known
// one, and all else that somebody has to mend.
func TestFloodOfOneOutcomeSilencesNoOther(t *testing.T) {
	var log syncBuffer
	d := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range 50 {
		d.say(from(fmt.Sprintf("10.99.0.%d", i), learnt("00:1e:c9:00:0a:01", 1)), UnknownSwitch, "nothing has the address")
	}
	d.say(learnt("00:1e:c9:00:0a:02", 25), Off, "snmp/discovery is off")
	d.seldom(&d.said.queue, slog.LevelWarn, "", "the journal cannot be read")
	text := log.String()
	if n := strings.Count(text, "outcome=unknown_switch"); n < linesPerSecond || n == 50 {
		t.Errorf("%d lines of the flood", n)
	}
	const want = `level=WARN msg="not discovered" outcome=off switch=10.42.0.2 port=25 vlan=42 mac=00:1e:c9:00:0a:02 reason="snmp/discovery is off"`
	if !strings.Contains(text, want) || !strings.Contains(text, "the journal cannot be read") {
		t.Errorf("it says %s", text)
	}
}

// TestFloodIsCounted: the next line of its kind tells how many were left out, and a
// flood of keys takes no memory without bound, nor has it one said twice.
func TestFloodIsCounted(t *testing.T) {
	var m memory
	now, told, held := time.Unix(0, 0), map[string]int{}, 0
	const seconds, each = 600, 100
	for s := range seconds {
		for i := range each {
			key := fmt.Sprint(s*each + i)
			if i%2 == 1 {
				key = "the same"
			}
			if more, ok := m.first(key, now); ok {
				told[key]++
				held += more
			}
		}
		if len(m.said) > rememberSaid {
			t.Fatalf("%d are remembered", len(m.said))
		}
		now = now.Add(time.Second)
	}
	lines := 0
	for key, n := range told {
		if lines += n; n > 1 && key != "the same" || n > seconds/60 {
			t.Errorf("%s is said %d times", key, n)
		}
	}
	if lines != seconds*linesPerSecond || lines+held+m.held != seconds*each {
		t.Errorf("%d lines, that tell of %d more, and %d to be told", lines, held, m.held)
	}
}
