package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

const defaultAPI = "http://127.0.0.1:9996"

// inventory is what the commands need of one, be it a database or a
// clusto-httpd. Errors wrap clusto's sentinels.
type inventory interface {
	Find(ctx context.Context, what string) ([]clusto.Host, error)
	Object(ctx context.Context, name string) (clusto.Object, error)
	Objects(ctx context.Context, fn func(*clusto.Object) error) error
	Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error)
	Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error)
	Change(ctx context.Context, ops []clusto.Op) ([]clusto.Result, error)
}

// choice are the flags that say which inventory is meant. Nil is not given: an
// empty text is a mistake, as of a variable that is not set, and no default.
type choice struct {
	DB     *string `name:"db" xor:"inventory" placeholder:"DSN" help:"Use this database itself: FILE, sqlite:////FILE or postgresql://USER@HOST/NAME."`
	APIURL *string `name:"api-url" xor:"inventory" placeholder:"URL" help:"Ask the clusto-httpd here (http://127.0.0.1:9996)."`

	daemon.APIAccess `embed:""`
}

// String names the inventory in messages, without a password.
func (c *choice) String() string {
	if c.DB == nil {
		return c.url()
	}
	if u, err := url.Parse(*c.DB); err == nil {
		return u.Redacted()
	}
	return "the database"
}

func (c *choice) url() string {
	if c.APIURL == nil {
		return defaultAPI
	}
	return *c.APIURL
}

// open opens the inventory. A database that is only read is neither made nor
// altered. Call done when through with it.
func (c *choice) open(ctx context.Context, readOnly bool) (inv inventory, done func(), err error) {
	if c.DB == nil {
		cfg := client.Config{URL: c.url(), Agent: "clusto"}
		if err := c.AddTo(&cfg, nil); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", err, clusto.ErrInvalid)
		}
		cl, err := client.New(cfg)
		if err != nil {
			return nil, nil, fmt.Errorf("--api-url: %w", err)
		}
		return cl, cl.Close, nil
	}
	dsn := *c.DB
	if readOnly {
		dsn = asReadOnly(dsn)
	}
	st, err := store.Open(ctx, dsn, nil)
	if err != nil {
		return nil, nil, err
	}
	return st, func() { _ = st.Close() }, nil
}

// asReadOnly adds ?mode=ro to the name of a SQLite file.
func asReadOnly(dsn string) string {
	if sqliteFile(dsn) == "" || strings.Contains(dsn, "?") {
		return dsn
	}
	return dsn + "?mode=ro"
}

// sqliteFile gives the file that a data source name means, "" for what is none.
func sqliteFile(dsn string) string {
	scheme, file, found := strings.Cut(dsn, "://")
	if !found {
		scheme, file = "sqlite", dsn
	}
	file, _, _ = strings.Cut(file, "?")
	if found {
		file = strings.TrimPrefix(file, "/")
	}
	if scheme != "sqlite" || strings.Contains(file, ":memory:") {
		return ""
	}
	return file
}

// newFile gives the file that opening the database would make, "" if there is
// one, or none is meant.
func (c *choice) newFile() string {
	if c.DB == nil {
		return ""
	}
	file := sqliteFile(*c.DB)
	if _, err := os.Stat(file); file == "" || !errors.Is(err, os.ErrNotExist) {
		return ""
	}
	return file
}

// code tells what is wrong with what was asked for from what is wrong with the
// inventory.
func code(err error) int {
	if errors.Is(err, clusto.ErrInvalid) {
		return exitUsage
	}
	return exitFailed
}

// advise adds to an error of the inventory itself what to do about it.
func (c *choice) advise(err error) error {
	switch {
	case !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, client.ErrDenied):
		return fmt.Errorf("%w; give --api-token-file, or set CLUSTO_TOKEN_FILE", err)
	case c.DB == nil:
		return fmt.Errorf("%w; start clusto-httpd there, or give --api-url or --db", err)
	}
	return fmt.Errorf("%w; check that --db names the database that is meant, and that it may be used", err)
}
