package discovery

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// disconnectPort frees a port of switch sw1.
func disconnectPort(port string) clusto.Op {
	return clusto.Op{Op: "disconnect", Name: "sv2-r01-sw1", Port: portNIC, Num: port}
}

// TestFreedPortLosesNoMAC: for 30 s after something was disconnected from a port,
// the MACs there ended as if it still were, and were lost.
func TestFreedPortLosesNoMAC(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	apply(t, s, clusto.Op{Op: "create", Name: "behind", Driver: "cisco4948"}, clusto.Op{
		Op: "connect", Name: "behind", Port: portNIC, Num: "1", To: "sv2-r01-sw1", ToNum: "25",
	})
	l := newLab(t, s)
	l.send(learnt("00:1e:c9:00:0e:01", 25))
	apply(t, s, disconnectPort("25"))
	l.send(learnt("00:1e:c9:00:0e:02", 25))
	l.want(map[string]uint64{"not_server_port": 1, "created": 1})
}

// TestPortOfACrowdedServer: one that has as many MACs as it may, and is
// disconnected, kept those of the next one from being taken.
func TestPortOfACrowdedServer(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s)
	for i := range bootstrapMost + 1 {
		l.send(learnt(fmt.Sprintf("00:1e:c9:00:0e:%02x", i), 25))
	}
	sw := object(t, s, "sv2-r01-sw1")
	i := slices.IndexFunc(sw.Ports, func(p clusto.Port) bool { return p.Type == portNIC && p.Num == 25 })
	apply(t, s, disconnectPort("25"), clusto.Op{Op: "remove", Name: nameOf(sw.Ports[i].To), Into: "sv2-r01"})
	l.send(learnt("00:1e:c9:00:0e:ff", 25))
	l.want(map[string]uint64{"created": 2, "attached": bootstrapMost - 1, "crowded": 1})
}

// TestFloodOnAPortOfNoServer has the facts read anew once a second.
func TestFloodOnAPortOfNoServer(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	var all atomic.Int64
	l := newLab(t, failing{s, func(call string) error {
		if call == "entities" {
			all.Add(1)
		}
		return nil
	}})
	began := time.Now()
	const events = 300
	for range 3 {
		var flood []Event
		for i := range events / 3 {
			flood = append(flood, learnt(fmt.Sprintf("00:1e:c9:00:0d:%02x", i), 44)) // the power strip's
		}
		l.send(flood...)
	}
	// One call for the owners of each MAC, again where the facts are read again.
	if n, took := all.Load()-events, time.Since(began); time.Duration(n/2-1)*time.Second > took {
		t.Errorf("%d calls for facts in %v", n, took)
	}
	l.want(map[string]uint64{"not_server_port": events})
}
