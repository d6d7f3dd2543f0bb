package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Store is an open inventory database. It is safe for concurrent use.
type Store struct {
	name     string // for messages: file or URL without password
	dialect  *dialect
	read     *sql.DB
	write    *sql.DB // one connection; the same as read on PostgreSQL
	readOnly bool
	lock     string // first statement of a writing transaction, "" for none
	log      *slog.Logger
	feed     feed
	growth   growth
	loadFrom int // operations, see takeApart

	immutable bool // SQLite: read as if nobody wrote

	file   string      // SQLite: its path, "" for memory
	opened os.FileInfo // of file, when it was opened

	bulk    *sql.DB     // for Hosts and Objects, whose transactions take long
	chunked bool        // that is no harm to writers, and the indexes for it are there
	hosts   prepared    // on read
	several atomic.Bool // the last host took several statements
}

// Open opens the database that dsn names: FILE, sqlite:///FILE (sqlite:////FILE
// for an absolute path), sqlite:// or :memory:, postgresql://USER@HOST/NAME. A
// SQLite name may end in ?mode=ro. A new or empty database gets clusto's schema
// and its clustometa entity; an existing one is taken as it is, and gets the
// indexes that Host needs unless it may not be altered, which is logged as a
// warning. A database without clusto's tables is an error. A nil log is silent.
func Open(ctx context.Context, dsn string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	s := &Store{name: redact(dsn), dialect: d.dialect, lock: d.dialect.lock, log: log, loadFrom: loadFrom}
	s.feed.init(d.dialect)
	if err := s.connect(ctx, d); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, d dsn) (err error) {
	if d.dialect == postgres {
		err = s.connectPostgres(ctx, d)
	} else {
		err = s.connectSQLite(ctx, d)
	}
	if err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.remember()
}

// remember notes which file was opened.
func (s *Store) remember() (err error) {
	if s.file == "" {
		return nil
	}
	if s.opened, err = os.Stat(s.file); err != nil {
		return s.failed("open", err)
	}
	return nil
}

// present refuses to go on when the database's file is no longer the one that
// was opened. SQLite does not notice, and would answer from the old file, and
// write changes into it that nobody ever reads.
func (s *Store) present(verb string) error {
	if s.opened == nil {
		return nil
	}
	now, err := os.Stat(s.file)
	if err == nil && !os.SameFile(now, s.opened) {
		err = errors.New("another file has its place; restart to open that one")
	}
	if err != nil {
		return s.failed(verb, err)
	}
	return nil
}

func (s *Store) connectPostgres(ctx context.Context, d dsn) error {
	cfg, err := pgx.ParseConfig(d.url)
	if err != nil {
		return fmt.Errorf("open database %q: %w: %w", s.name, err, clusto.ErrInvalid)
	}
	connect := func() *sql.DB {
		return stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			// Compiling a statement takes longer than any of ours. Where this is
			// unknown it is not done either.
			c.PgConn().ExecParams(ctx, `SET jit = off`, nil, nil, nil, nil).Read()
			return nil
		}))
	}
	db := connect()
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	s.read, s.write = db, db
	s.chunked = true
	s.openBulk(connect())
	var takes string
	if err := db.QueryRowContext(ctx, `SHOW transaction_read_only`).Scan(&takes); err != nil {
		return s.failed("open", err)
	}
	if takes == "on" { // for now: a standby may become the primary
		s.log.Warn("the database is read-only: changes will be refused", "database", s.name)
	}
	return nil
}

func (s *Store) connectSQLite(ctx context.Context, d dsn) error {
	mode, extra := "rwc", ""
	if d.file == "" {
		d.memory = memories.Add(1)
	} else {
		writable, err := d.checkFile()
		if err != nil {
			return err
		}
		s.name, s.file = d.file, d.file
		if s.readOnly = d.readOnly || !writable; s.readOnly {
			mode = "ro"
			s.log.Warn("the database is read-only: changes will be refused", "database", s.name)
			if !sqliteOpens(ctx, d.sqliteURL(mode, "")) {
				// A database in WAL mode in a folder that may not be written.
				extra, s.immutable = "&immutable=1", true
			}
		}
	}
	return s.openSQLite(ctx, d.sqliteURL(mode, extra), d.file != "")
}

func sqliteOpens(ctx context.Context, url string) bool {
	db, err := sql.Open("sqlite", url)
	if err != nil {
		return false
	}
	defer db.Close()
	var n int
	return db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&n) == nil
}

func (s *Store) openSQLite(ctx context.Context, url string, wal bool) (err error) {
	// What a statement would undo is kept in memory: a file for it costs an import
	// a tenth of its time.
	if s.write, err = sql.Open("sqlite", url+"&_pragma=temp_store(memory)"); err != nil {
		return fmt.Errorf("open database %q: %w", s.name, err)
	}
	s.write.SetMaxOpenConns(1)
	s.write.SetConnMaxIdleTime(0)
	if s.read, err = sql.Open("sqlite", url); err != nil {
		return fmt.Errorf("open database %q: %w", s.name, err)
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if wal && !s.readOnly {
		s.useWAL(ctx)
	}
	var mode string
	if err := s.read.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return s.failed("open", err)
	}
	s.chunked = mode == "wal"
	bulk, err := sql.Open("sqlite", url+"&_pragma=cache_size(-8192)") // it reads everything once
	if err != nil {
		return fmt.Errorf("open database %q: %w", s.name, err)
	}
	s.openBulk(bulk)
	return nil
}

// bulkReaders is how many of Hosts and Objects may run at once.
const bulkReaders = 4

// openBulk has Hosts and Objects use connections apart, so that slow readers of
// all hosts never keep a lookup of one waiting.
func (s *Store) openBulk(db *sql.DB) {
	s.bulk = db
	db.SetMaxOpenConns(bulkReaders)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
}

// walPatience is how long useWAL goes on asking, others that open the database
// too being done in no time.
const walPatience = time.Second

// useWAL lets readers go on while a change is written. Where it cannot be had,
// such as on some network file systems, the store works without. While another
// does the same, SQLite says at once that the database is locked, whatever its
// busy_timeout: each of them would wait for the other.
func (s *Store) useWAL(ctx context.Context) {
	var mode string
	err := whileBusy(ctx, func() error {
		return s.write.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
	})
	if err != nil || mode != "wal" {
		s.log.Warn("the database does not take write-ahead logging: reads will wait for writes", "database", s.name, "mode", mode, "err", err)
	}
}

// whileBusy tries again while another keeps the database locked, until walPatience
// is over: a try may have waited its busy_timeout already.
func whileBusy(ctx context.Context, try func() error) error {
	begun := time.Now()
	for {
		err := try()
		if !isBusy(err) || time.Since(begun) >= walPatience || ctx.Err() != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *Store) prepare(ctx context.Context) (err error) {
	if s.hosts, err = s.dialect.prepareOn(ctx, s.read); err != nil {
		return fmt.Errorf("open database %q: prepare: %w: %w", s.name, err, clusto.ErrUnavailable)
	}
	if err := s.growth.init(ctx, s); err != nil {
		return s.failed("open", err)
	}
	have, err := s.list(ctx, s.dialect.indexes)
	if err != nil {
		return s.failed("open", err)
	}
	for _, ix := range []string{"idx_attrs_relation_key", "idx_attrs_entity_key"} {
		s.chunked = s.chunked && slices.Contains(have, ix)
	}
	return nil
}

// Close closes the database.
func (s *Store) Close() error {
	s.closeFeed()
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil && s.write != s.read {
		errs = append(errs, s.write.Close())
	}
	if s.bulk != nil {
		errs = append(errs, s.bulk.Close())
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers, is still the one that was opened,
// and has entities that may be read. It waits for nobody who has locked tables of
// PostgreSQL's, as a first import does.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.present("ask"); err != nil {
		return err
	}
	may := true
	err := s.read.QueryRowContext(ctx, s.dialect.ping).Scan(&may)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err == nil && !may {
		err = errors.New("the table entities may not be read; GRANT SELECT on clusto's tables")
	}
	if err != nil {
		return s.failed("ask", err)
	}
	return nil
}

// failed wraps an error of the database itself. What is notTogether stays so.
func (s *Store) failed(verb string, err error) error {
	if why := unfit(err); why != "" && !errors.As(err, &notTogether{}) {
		return fmt.Errorf("%s database %q: %s: %w", verb, s.name, why, clusto.ErrInvalid)
	}
	if strings.HasSuffix(verb, "change") && isReadOnly(err) {
		return fmt.Errorf("%s database %q: %w: %w", verb, s.name, err, clusto.ErrReadOnly)
	}
	return fmt.Errorf("%s database %q: %w: %w", verb, s.name, err, clusto.ErrUnavailable)
}
