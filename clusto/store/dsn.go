package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/clusto/clusto-engine/clusto"
)

// dsn is a parsed data source name.
type dsn struct {
	dialect  *dialect
	file     string // SQLite: path, "" for memory
	memory   int64  // SQLite: number of the database in memory
	readOnly bool   // SQLite: asked for with ?mode=ro
	url      string // PostgreSQL
}

// parseDSN reads FILE, sqlite:///FILE (sqlite:////FILE for an absolute path, as
// SQLAlchemy writes it), both perhaps with ?mode=ro, sqlite:// or :memory:, and
// postgresql://...
func parseDSN(s string) (dsn, error) {
	scheme, rest, found := strings.Cut(s, "://")
	switch {
	case s == "":
		return dsn{}, fmt.Errorf("open database: no data source given (a file, sqlite:///FILE or postgresql://HOST/NAME): %w", clusto.ErrInvalid)
	case s == ":memory:":
		return dsn{dialect: sqlite}, nil
	case !found:
		file, readOnly := strings.CutSuffix(s, "?mode=ro")
		return dsn{dialect: sqlite, file: file, readOnly: readOnly}, nil
	case scheme == "sqlite":
		return sqliteDSN(s, rest)
	case scheme == "postgresql" || scheme == "postgres":
		return dsn{dialect: postgres, url: s}, nil
	case strings.HasPrefix(scheme, "postgresql+"):
		return dsn{dialect: postgres, url: "postgresql://" + rest}, nil
	}
	return dsn{}, fmt.Errorf("open database %q: unknown kind %q; use a file, sqlite:///FILE or postgresql://HOST/NAME: %w",
		redact(s), scheme, clusto.ErrInvalid)
}

func sqliteDSN(s, rest string) (dsn, error) {
	path, query, _ := strings.Cut(rest, "?")
	opts, err := url.ParseQuery(query)
	if err != nil {
		return dsn{}, fmt.Errorf("open database %q: %w: %w", s, err, clusto.ErrInvalid)
	}
	d := dsn{dialect: sqlite, readOnly: opts.Get("mode") == "ro"}
	if path == "" || path == "/:memory:" || path == "/" {
		return d, nil
	}
	if !strings.HasPrefix(path, "/") {
		return dsn{}, fmt.Errorf("open database %q: a file is written sqlite:///FILE, an absolute one sqlite:////FILE: %w", s, clusto.ErrInvalid)
	}
	d.file = path[1:]
	return d, nil
}

// redact takes the password out of a data source name for messages.
func redact(s string) string {
	if !strings.Contains(s, "://") {
		return s // a file
	}
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return "(unreadable)"
}

// memories counts the databases in memory, each of which has a name of its own.
var memories atomic.Int64

// sqliteURL gives what the driver opens. mode is rwc, rw or ro; extra holds more
// parameters.
func (d dsn) sqliteURL(mode, extra string) string {
	const common = "_pragma=busy_timeout(5000)&_pragma=cache_size(-65536)&_txlock=immediate"
	if d.file == "" {
		return fmt.Sprintf("file:/clusto-%d?vfs=memdb&%s", d.memory, common)
	}
	path := (&url.URL{Path: filepath.ToSlash(d.file)}).EscapedPath()
	if !filepath.IsAbs(d.file) {
		path = strings.TrimPrefix(path, "./")
	}
	return "file:" + path + "?mode=" + mode + "&" + common + extra
}

// sqliteHeader begins every SQLite database file.
const sqliteHeader = "SQLite format 3\x00"

// checkFile refuses, before the driver does so less clearly, a path that holds
// something other than a database. It reports whether the file may be written.
func (d dsn) checkFile() (writable bool, err error) {
	if st, err := os.Stat(d.file); err == nil && st.IsDir() {
		return false, fmt.Errorf("open database %q: it is a folder; give a file in it, as in %q: %w", d.file, filepath.Join(d.file, "clusto.db"), clusto.ErrInvalid)
	}
	f, err := os.OpenFile(d.file, os.O_RDWR, 0)
	writable = err == nil
	if errors.Is(err, os.ErrNotExist) && d.readOnly {
		return false, fmt.Errorf("open database %q: there is no such file, and it shall only be read: %w", d.file, clusto.ErrInvalid)
	} else if errors.Is(err, os.ErrNotExist) {
		return true, d.checkDir()
	}
	if err != nil {
		f, err = os.Open(d.file)
	}
	if err != nil {
		return false, fmt.Errorf("open database %q: %w; it must be a readable SQLite file", d.file, err)
	}
	defer f.Close()
	head := make([]byte, len(sqliteHeader))
	n, err := f.Read(head)
	if n > 0 && string(head[:n]) != sqliteHeader {
		return false, fmt.Errorf("open database %q: this is no SQLite database; give the file that clusto writes, or a new name: %w", d.file, clusto.ErrInvalid)
	}
	if n == 0 && err != nil && !writable {
		return false, fmt.Errorf("open database %q: the file is empty and may not be written: %w", d.file, clusto.ErrInvalid)
	}
	return writable, nil
}

func (d dsn) checkDir() error {
	dir := filepath.Dir(d.file)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return fmt.Errorf("create database %q: there is no folder %q; create it first: %w", d.file, dir, clusto.ErrInvalid)
	}
	return nil
}
