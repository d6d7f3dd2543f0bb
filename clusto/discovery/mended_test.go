package discovery

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// discovery sets snmp/discovery of the switch itself.
func discovery(value string) clusto.Op {
	return clusto.Op{Op: "attr", Name: "sv2-r01-sw1", Key: "snmp", Subkey: ptr("discovery"), Value: text(value)}
}

func noDiscovery(value string) clusto.Op {
	op := discovery(value)
	op.Op = "del"
	return op
}

// TestMendedSwitchLosesNoMAC: for 30 s after discovery was switched on for a
// switch its MACs still ended as off, and were lost.
func TestMendedSwitchLosesNoMAC(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s)
	apply(t, s, discovery("0"))
	l.send(learnt("00:1e:c9:00:0e:01", 25))
	apply(t, s, noDiscovery("0"))
	l.send(learnt("00:1e:c9:00:0e:02", 26))
	l.want(map[string]uint64{"off": 1, "created": 1})
}

// TestRetryOfAMendedSwitch: a dead letter that was retried died again
// of what was known before its cause was mended.
func TestRetryOfAMendedSwitch(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s)
	ev := learnt("00:1e:c9:00:0e:03", 60)
	l.send(ev)
	apply(t, s, clusto.Op{Op: "attr", Name: "sv2-r01-sw1", Key: "snmp", Subkey: ptr("baseport-map"), Value: text(`{"60": 27}`)})
	l.send(ev) // as it was, with its old time
	l.want(map[string]uint64{"unmapped": 1, "created": 1})
}

// TestSwitchedOffMakesNoServer: a server was still made of a MAC that came after
// discovery had been switched off.
func TestSwitchedOffMakesNoServer(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s)
	l.send(learnt("00:1e:c9:00:0e:04", 25))
	apply(t, s, discovery("0"))
	l.send(learnt("00:1e:c9:00:0e:05", 26))
	l.want(map[string]uint64{"created": 1, "off": 1})
}

// TestSwitchedOffAttachesNothing: a MAC that came on a server's port after discovery
// had been switched off became its bootstrap MAC, and the port took the VLAN.
func TestSwitchedOffAttachesNothing(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s)
	l.send(learnt("00:1e:c9:00:0e:04", 25))
	l.send(learnt("00:1e:c9:00:0e:08", 25))
	apply(t, s, discovery("0"))
	l.send(learnt("00:1e:c9:00:0e:09", 25))
	l.want(map[string]uint64{"created": 1, "attached": 1, "off": 1})
}

// TestFactsAreReadOnceASecond: events that are bad news by facts which may be out
// of date have them read anew, but not each of them at once.
func TestFactsAreReadOnceASecond(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	apply(t, s, discovery("0"))
	var reads atomic.Int64
	l := newLab(t, failing{s, func(call string) error {
		if call == "entities" {
			reads.Add(1)
		}
		return nil
	}})
	began := time.Now()
	for range 3 {
		l.send(learnt("00:1e:c9:00:0e:06", 25), learnt("00:1e:c9:00:0e:07", 26))
	}
	if n, took := reads.Load(), time.Since(began); n < 2 || time.Duration(n-1)*time.Second > took {
		t.Errorf("read %d times in %v", n, took)
	}
	l.want(map[string]uint64{"off": 6})
}
