// Package storm plays DHCP clients: thousands of state machines (RFC 2131
// figure 5) over one engine.Conn, as a hall of machines that boots. It serves
// tests, the demo and the load generator. It imports only the standard library,
// engine and codec.
//
// Replies come to the clients' MACs, not to the interface's: the Conn has to
// receive frames for other hosts, to UDP port 68, and to 67 for relayed clients.
package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/clusto/clusto-engine/engine"
)

// The defaults of Config.
const (
	DefaultOutstanding = 256
	DefaultMaxNaks     = 3
	progressEvery      = 50 * time.Millisecond
)

// Config is how the clients behave. Zero fields mean the defaults.
type Config struct {
	// Conn is received from on one goroutine while another sends, each with a
	// Batch of its own. Sender is sent on instead of Conn if the Conn cannot
	// do that. Neither is stopped but by Close.
	Conn, Sender engine.Conn

	Outstanding int // clients unfinished at once; DefaultOutstanding

	// Schedule is how long a client waits after each transmission: the last
	// one over, it gives up. So it sends len(Schedule) times; PXE.
	Schedule []time.Duration
	Jitter   time.Duration // each wait is off by up to this much, either way; 0
	Seed     uint64        // of xids and jitter
	MaxNaks  int           // NAKs after which a client begins anew; DefaultMaxNaks, none if negative

	// OnReply is told of each OFFER, ACK and NAK that a client took, before Do
	// returns. reply aliases the batch. It must be quick, for the clients wait
	// for it, and it must not call the Storm.
	OnReply func(client int, reply *engine.Packet)

	// OnProgress is told how far Do is, every 50 ms at most while that
	// changes, and at the end.
	OnProgress func(done, failed, total int)
}

// PXE is when UEFI and PXE ROMs lose patience (PXE 2.1 section 2.2.2).
func PXE() []time.Duration { return seconds(4, 8, 16, 32) }

// RFC2131 is the backoff of RFC 2131 section 4.1, to be used with a Jitter of
// one second.
func RFC2131() []time.Duration { return seconds(4, 8, 16, 32, 64) }

func seconds(s ...time.Duration) []time.Duration {
	for i := range s {
		s[i] *= time.Second
	}
	return s
}

// ErrBusy is what Do returns while another Do runs.
var ErrBusy = errors.New("storm: another Do runs")

// Storm is a set of clients on a Conn. All memory is allocated at the start: Do
// allocates the same however many frames it moves.
type Storm struct {
	cfg     Config
	clients []Client
	number  map[[6]byte]int32 // clients by MAC

	wake chan struct{} // one token when the receiver left something to do
	gone chan struct{} // closed when the receiver ended
	tx   engine.Batch
	room [][]byte // slots of tx

	mu      sync.Mutex // taken once per batch; guards all below and the clients while a Do runs
	minds   []mind
	alarms  alarms
	line    line
	rnd     *rand.Rand
	running bool
	verbs   Verb
	begun   time.Time
	next    int32 // client to start next
	active  int   // started and unfinished
	res     Result
	err     error // why the receiver ended
}

// mind is what a client remembers within a Do.
type mind struct {
	todo  Verb  // the verb in progress and those after it; 0 if finished
	try   int   // transmissions of the message in progress
	first int64 // when its first frame was sent, nanoseconds since begun; -1 if it was not
	secs  uint16
}

// New checks the clients and starts to receive. The Storm owns clients until
// Close.
func New(cfg Config, clients []Client) (*Storm, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Storm{
		cfg: cfg, clients: clients, number: make(map[[6]byte]int32, len(clients)),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
		minds: make([]mind, len(clients)), alarms: newAlarms(len(clients)), line: newLine(len(clients)),
		rnd: rand.New(rand.NewPCG(cfg.Seed, 0)), room: slotRoom(),
	}
	for i := range clients {
		c := &clients[i]
		if j, twice := s.number[c.MAC]; twice {
			return nil, fmt.Errorf("storm: clients %d and %d have the same MAC %x: give each its own", j, i, c.MAC)
		}
		s.number[c.MAC] = int32(i)
	}
	s.tx.Replies = make([][]byte, 0, engine.BatchSize)
	go s.receive()
	return s, nil
}

// slotRoom makes the room of a batch to send.
func slotRoom() [][]byte {
	room := make([][]byte, engine.BatchSize)
	mem := make([]byte, engine.BatchSize*engine.FrameSize)
	for i := range room {
		room[i] = mem[i*engine.FrameSize : i*engine.FrameSize : (i+1)*engine.FrameSize]
	}
	return room
}

func (c *Config) setDefaults() error {
	if c.Conn == nil {
		return errors.New("storm: Config.Conn is nil: open one")
	}
	if c.Sender == nil {
		c.Sender = c.Conn
	}
	if c.Outstanding <= 0 {
		c.Outstanding = DefaultOutstanding
	}
	if len(c.Schedule) == 0 {
		c.Schedule = PXE()
	}
	for _, wait := range c.Schedule {
		if wait <= c.Jitter {
			return fmt.Errorf("storm: a wait of %v with a jitter of %v may come to nothing: lengthen it", wait, c.Jitter)
		}
	}
	if c.MaxNaks == 0 {
		c.MaxNaks = DefaultMaxNaks
	}
	return nil
}

// Close stops the Conns and waits for the receiver to end.
func (s *Storm) Close() {
	s.cfg.Conn.Stop()
	if s.cfg.Sender != s.cfg.Conn {
		s.cfg.Sender.Stop()
	}
	<-s.gone
}

// Run lets the clients do the verbs, and closes the Conn.
func Run(ctx context.Context, cfg Config, clients []Client, verbs Verb) (Result, error) {
	s, err := New(cfg, clients)
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	return s.Do(ctx, verbs)
}
