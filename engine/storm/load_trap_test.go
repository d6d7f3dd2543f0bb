package storm

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
)

// collector takes notices off a wire, and acknowledges informs.
type collector struct {
	conn engine.Conn
	drop int // every so many informs are not acknowledged

	mu      sync.Mutex
	notices int
	seen    map[macnotify.Record][]Agent // who reported it
	done    chan struct{}
}

func collect(t *testing.T, c *collector) *collector {
	t.Helper()
	c.seen, c.done = make(map[macnotify.Record][]Agent), make(chan struct{})
	go c.run(t)
	t.Cleanup(func() {
		c.conn.Stop()
		<-c.done
	})
	return c
}

func (c *collector) run(t *testing.T) {
	defer close(c.done)
	var rx, tx engine.Batch
	for c.conn.Recv(&rx) == nil {
		tx.Replies = tx.Replies[:0]
		for i := range rx.Packets {
			if r := c.take(t, rx.Packets[i].Data); r != nil {
				tx.Replies = append(tx.Replies, r)
			}
		}
		c.conn.Send(&tx)
	}
}

func (c *collector) take(t *testing.T, b []byte) (response []byte) {
	var u frame.UDP4
	if err := u.Parse(b, false); err != nil || u.DstPort != TrapPort || u.SrcPort != AgentPort {
		t.Errorf("%v from port %d to %d", err, u.SrcPort, u.DstPort)
		return nil
	}
	m, records := readNotice(t, u.Payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notices++
	for _, r := range records {
		if from := (Agent{u.Src, u.EthSrc}); !slices.Contains(c.seen[r], from) {
			c.seen[r] = append(c.seen[r], from)
		}
	}
	if m.PDU != snmp.TagInform || c.drop > 0 && c.notices%c.drop == 0 {
		return nil
	}
	h := frame.Header{EthDst: u.EthSrc, EthSrc: u.EthDst, Src: u.Dst, Dst: u.Src, SrcPort: TrapPort, DstPort: u.SrcPort}
	response = snmp.AppendResponse(h.AppendTo(nil), &m)
	h.Finish(response)
	return response
}

func agents(n int) (out []Agent) {
	for i := range n {
		out = append(out, Agent{[4]byte{10, 0, 0, byte(i + 1)}, macOf(i + 1)})
	}
	return out
}

func loadTraps(t *testing.T, c *collector, cfg LoadConfig, load *TrapLoad) LoadResult {
	t.Helper()
	var res LoadResult
	near, far := newWire()
	c.conn, cfg.Conn = far, near
	collect(t, c)
	load.Server, load.ServerMAC, load.Community = serverAddr, serverMAC, []byte("site")
	res, err := LoadTraps(t.Context(), cfg, load)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, res)
	return res
}

// A switch's MACs are on ports of their own, and stay there.
func TestLoadTrapsKeepsMACsInPlace(t *testing.T) {
	fleet := make([][6]byte, 100)
	for i := range fleet {
		fleet[i] = [6]byte{0, 0x1e, 0xc9, 0, 0, byte(i)}
	}
	c := &collector{}
	load := &TrapLoad{Agents: agents(7), Records: 3, MACs: fleet, Ports: 48, Informs: true}
	if res := loadTraps(t, c, LoadConfig{Count: 700, Outstanding: 20}, load); res.Done != 700 || res.Taken != 700 {
		t.Errorf("%+v", res)
	}
	if len(c.seen) != len(fleet) {
		t.Errorf("%d records differ, want one for each of %d MACs", len(c.seen), len(fleet))
	}
	ports := make(map[Agent][]uint16)
	for r, from := range c.seen {
		if len(from) != 1 || slices.Contains(ports[from[0]], r.Port) {
			t.Errorf("%+v was reported by %v", r, from)
			continue
		}
		ports[from[0]] = append(ports[from[0]], r.Port)
	}
}

// A trap is done when it is sent; an inform that nobody acknowledges is lost.
func TestLoadTrapsCounts(t *testing.T) {
	c := &collector{}
	res := loadTraps(t, c, LoadConfig{Count: 500}, &TrapLoad{Agents: agents(3), Records: MaxRecords, Ports: 48})
	if res.Done != 500 || res.Received != 0 || res.Sent != 500 || res.Answered < res.Asking || res.Answered > res.Elapsed {
		t.Errorf("traps: %+v", res)
	}
	c = &collector{drop: 5}
	res = loadTraps(t, c, LoadConfig{Count: 500, Timeout: time.Second}, &TrapLoad{Agents: agents(3), Records: 1, Ports: 48, Informs: true})
	if res.Done != 400 || res.Lost != 100 || len(c.seen) != 500 {
		t.Errorf("informs: %+v, %d MACs", res, len(c.seen))
	}
}

// choosy takes one frame of three.
type choosy struct {
	engine.Conn
	seen int
}

func (c *choosy) Send(b *engine.Batch) (sent int) {
	for range b.Replies {
		if c.seen++; c.seen%3 == 0 {
			sent++
		}
	}
	return sent
}

// A trap that the kernel does not take is not done.
func TestLoadTrapsThatWereNotSentAreNotDone(t *testing.T) {
	near, _ := newWire()
	load := TrapLoad{Agents: agents(3), Records: 1, Ports: 48, Community: []byte("site")}
	res, err := LoadTraps(t.Context(), LoadConfig{Conn: &choosy{Conn: near}, Count: 300}, &load)
	checkSums(t, res)
	if err != nil || res.Done != 100 || res.Sent != 100 || res.Lost != 200 || res.TxDropped != 200 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestLoadTrapsRefusesNonsense(t *testing.T) {
	a, _ := newWire()
	for name, load := range map[string]TrapLoad{
		"no switch":       {Records: 1, Ports: 1},
		"no records":      {Agents: agents(1), Ports: 1},
		"too many":        {Agents: agents(1), Records: MaxRecords + 1, Ports: 1},
		"no ports":        {Agents: agents(1), Records: 1},
		"a community":     {Agents: agents(1), Records: 1, Ports: 1, Community: make([]byte, MaxText+1)},
		"MACs for nobody": {Agents: agents(2), Records: 1, Ports: 1, MACs: [][6]byte{{1}}},
	} {
		if _, err := LoadTraps(t.Context(), LoadConfig{Conn: a, Count: 1}, &load); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Making a notice and reading its Response allocates nothing.
func TestTrapSpeechAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	s := &trapSpeech{
		TrapLoad: &TrapLoad{Agents: agents(2), Server: serverAddr, ServerMAC: serverMAC, Community: []byte("site"), Informs: true, Records: 3, MACs: [][6]byte{{2}, {4}}, Ports: 48},
		records:  make([]macnotify.Record, 3),
	}
	e := &exchange{step: 1}
	room := make([]byte, 0, engine.FrameSize)
	n := 0
	if got := testing.AllocsPerRun(100, func() {
		s.begin(e, n, nil)
		room = s.append(room[:0], e, uint32(n))
		n++
	}); got != 0 {
		t.Errorf("%v allocations for an inform", got)
	}
}
