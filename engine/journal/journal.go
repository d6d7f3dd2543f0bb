// Package journal keeps the events of switches on disk until something has
// become of them: what an inform was acknowledged for survives a crash. It is a
// SQLite database in write-ahead mode, so that another process may look into
// it; every group of events is one transaction, on disk when Append returns.
package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/engine/trap"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrConfig says that the file cannot be used as it is: it is something else,
// or in use.
var ErrConfig = errors.New("journal file")

// Config says where a Journal is and how much it holds. Zero fields mean the
// defaults.
type Config struct {
	File string // needed
	Max  int    // events that wait; 1,000,000, some 100 MB
	Dead int    // dead letters that are kept, the newest ones; 100,000
	Log  *slog.Logger

	// Look opens the journal of a running daemon beside it: to list dead
	// letters and to have them tried again. Append, Done and Bury are the
	// daemon's.
	Look bool
}

func (c Config) withDefaults() Config {
	if c.Max == 0 {
		c.Max = 1_000_000
	}
	if c.Dead == 0 {
		c.Dead = 100_000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Journal is an open journal. It is safe for concurrent use.
type Journal struct {
	cfg  Config
	file string // cfg.File behind all symbolic links
	db   *sql.DB
	lock *os.File // with the mark in it; nil for one that looks

	readers  chan struct{} // bounds the workers that read
	counting sync.Mutex    // bounds Stats

	waiting atomic.Int64 // events in the file
	damaged atomic.Int64 // events that are lost

	mark    mark // what the lock file said at the start
	marked  bool // it said something
	marking [markSize]byte

	writing sync.Mutex // held from a transaction's begin to its end
	seq     int64      // of the last event; guarded by writing, as what follows
	bodies  []byte     // the records of one INSERT
	args    []any      // its arguments

	mu       sync.Mutex
	ended    ended          // leaves the file with the next group
	lost     map[int64]bool // damaged events that were met; a number is not given twice
	lostDead map[int64]bool // damaged dead letters that were met

	stop func()
	over sync.WaitGroup
	more chan struct{} // one token when another process changed something
}

// Stats is what a journal holds.
type Stats struct {
	Waiting int // events that nothing has become of
	Dead    int // dead letters
	Damaged int // events and dead letters lost to a damaged file since it was opened
}

// Entry is an event in the journal.
type Entry struct {
	trap.Event
	Seq int64 // in the order in which they came
}

// Open opens the journal, or makes it. What a damaged file still holds is
// saved: the file is set aside, what was lost is logged and counted. An error that wraps
// ErrConfig is one of the set-up.
func Open(ctx context.Context, cfg Config) (*Journal, error) {
	j := &Journal{cfg: cfg.withDefaults(), more: make(chan struct{}, 1), readers: make(chan struct{}, readers)}
	if cfg.File == "" {
		return nil, fmt.Errorf("%w: no name given", ErrConfig)
	}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	background, stop := context.WithCancel(context.Background())
	j.stop = stop
	if !j.cfg.Look {
		j.over.Go(func() { j.tidy(background) })
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) (err error) {
	j.file, err = resolve(j.cfg.File)
	switch {
	case j.cfg.Look && errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w %s: there is no journal", ErrConfig, j.cfg.File)
	case j.cfg.Look && errors.Is(err, os.ErrPermission):
		return j.notAllowed(err)
	case err != nil:
		return setUp(err, inAFolder)
	case j.cfg.Look:
		return j.look(ctx)
	}
	if _, err := j.regular(); err != nil { // before a lock file is made
		return err
	}
	if err := j.claim(); err != nil {
		return err
	}
	j.readMark(j.lock)
	return j.take(ctx)
}

func openFile(name string) (*sql.DB, error) {
	return openAs(name, "&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)")
}

func openAs(name, pragmas string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+escape(name)+"?_txlock=immediate&_pragma=busy_timeout(10000)"+pragmas)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", name, err)
	}
	db.SetMaxOpenConns(connections)
	return db, nil
}

const (
	// connections are enough that one is free for Append, whatever is read: one more
	// is for tidying, for Stats, and for the dead letters.
	connections = readers + 4
	// readers is how many workers read at once.
	readers = 4
)

// reading waits until one more worker may read; done has to be called after it.
func (j *Journal) reading(ctx context.Context) (done func(), err error) {
	select {
	case j.readers <- struct{}{}:
		return func() { <-j.readers }, nil
	case <-ctx.Done():
		return nil, j.failed("read", ctx.Err())
	}
}

// escape makes a path fit for a URI.
func escape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

func (j *Journal) recount(ctx context.Context) error {
	var n int64
	if err := j.db.QueryRowContext(ctx, `SELECT count(*) FROM events`).Scan(&n); err != nil {
		return j.failed("read", err)
	}
	j.waiting.Store(n)
	err := j.db.QueryRowContext(ctx, `SELECT max(seq) FROM (SELECT COALESCE(max(seq), 0) AS seq FROM sqlite_sequence WHERE name = 'events'
		UNION ALL SELECT COALESCE(max(seq), 0) FROM events UNION ALL SELECT COALESCE(max(seq), 0) FROM dead)`).Scan(&j.seq)
	if err != nil {
		return j.failed("read", err)
	}
	return j.checkLetters(ctx)
}

func (j *Journal) failed(verb string, err error) error {
	return fmt.Errorf("%s journal %s: %w", verb, j.cfg.File, err)
}

// Close writes what is done and closes the file.
func (j *Journal) Close() error {
	if j.stop != nil {
		j.stop()
		j.over.Wait()
	}
	var errs []error
	if j.db != nil {
		if !j.cfg.Look && j.stop != nil {
			errs = append(errs, j.flush(context.Background()))
		}
		errs = append(errs, j.db.Close())
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
	}
	return errors.Join(errs...)
}

// Stats counts what is in the file.
func (j *Journal) Stats() (st Stats) {
	st.Waiting, st.Damaged = int(j.waiting.Load()), int(j.damaged.Load())
	j.mu.Lock()
	buried := len(j.ended.dead)
	j.mu.Unlock()
	j.counting.Lock()
	defer j.counting.Unlock()
	st.Dead = min(j.letters()+buried, j.cfg.Dead)
	st.Waiting = max(0, st.Waiting-buried) // they were read one after the other
	return st
}

// Full reports whether Append has no room.
func (j *Journal) Full() bool {
	j.mu.Lock()
	ending := j.ended.len()
	j.mu.Unlock()
	return int(j.waiting.Load())-ending >= j.cfg.Max
}

// bodyLen is the length of an encoded event: see appendBody.
const bodyLen = 8 + 4 + 6 + 2 + 2 + 2 + 1 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendBody encodes an event: its fields in their order, big-endian, and the
// CRC-32C of its number and them. It allocates nothing but room in dst, where the
// number stands for a moment: checksums take no memory of the stack.
func appendBody(dst []byte, seq int64, e *trap.Event) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(seq))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.At))
	dst = append(append(dst, e.Switch[:]...), e.MAC[:]...)
	for _, n := range [...]uint16{e.VLAN, e.Port, e.From} {
		dst = binary.BigEndian.AppendUint16(dst, n)
	}
	dst = append(dst, byte(e.Op))
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	copy(dst[start:], dst[start+8:])
	return dst[:len(dst)-8]
}

func sum(seq int64, fields []byte) uint32 {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(seq))
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, fields)
}

// parseBody is the reverse of appendBody; ok is false if the sum is wrong.
func parseBody(seq int64, b []byte) (e trap.Event, ok bool) {
	if len(b) != bodyLen || sum(seq, b[:bodyLen-4]) != binary.BigEndian.Uint32(b[bodyLen-4:]) {
		return e, false
	}
	be := binary.BigEndian
	return trap.Event{
		At: int64(be.Uint64(b)), Switch: [4]byte(b[8:12]), MAC: [6]byte(b[12:18]),
		VLAN: be.Uint16(b[18:]), Port: be.Uint16(b[20:]), From: be.Uint16(b[22:]), Op: trap.Op(b[24]),
	}, true
}

func word(ip [4]byte) int64 { return int64(binary.BigEndian.Uint32(ip[:])) }

// now is the wall clock, which dead letters carry.
func now() int64 { return time.Now().UnixNano() }
