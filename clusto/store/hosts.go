package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// chunks bounds what a bulk read takes.
type chunks struct {
	entities int           // in memory at once
	time     time.Duration // of all of it
}

const chunkEntities = 1000

// bulkTime is how long a bulk read may take. While it lasts, SQLite cannot take
// changes out of its write-ahead log, which grows, and PostgreSQL keeps what was
// deleted since.
const bulkTime = 10 * time.Minute

// scanContains finds who contains whom.
const scanContains = `SELECT entity_id, relation_id FROM entity_attrs
	WHERE "key" = '_contains' AND relation_id IS NOT NULL AND deleted_at_version IS NULL`

// macOwner is an owner and the MAC that it holds.
type macOwner struct {
	mac clusto.MAC
	owner
}

// Hosts resolves every MAC that some entity holds as a port-nic-eth's mac or
// ipmi-mac, and gives each to fn once, as Host would give it, in no order that
// means anything. All of it is one state of the database, of which only a chunk
// is in memory; a database whose writers would have to wait for that, or that
// lacks the indexes for it, is read as a whole first. fn may use the Store, but if all of it takes more than 10
// minutes, Hosts ends with ErrUnavailable. fn's error ends it and is returned.
// The slices of a Host may be shared with others: do not change them.
func (s *Store) Hosts(ctx context.Context, fn func(*clusto.Host) error) error {
	return s.hostsBy(ctx, chunks{chunkEntities, bulkTime}, fn)
}

func (s *Store) hostsBy(ctx context.Context, c chunks, fn func(*clusto.Host) error) error {
	late := fmt.Errorf("its reader took longer than %v", c.time)
	ctx, cancel := context.WithTimeoutCause(ctx, c.time, late)
	defer cancel()
	tx, err := s.beginBulk(ctx)
	if err != nil {
		return s.failed("read", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if !s.chunked {
		c.entities = math.MaxInt32
	}
	b := &bulk{reader: &reader{tx: tx}, dialect: s.dialect, entities: c.entities, fn: fn}
	err = b.run(ctx, !s.chunked)
	var own *ownError
	switch {
	case errors.As(err, &own):
		return own.error
	case err != nil && context.Cause(ctx) == late:
		return s.failed("read", late)
	case err != nil:
		return s.failed("read", err)
	}
	return nil
}

// ownError is what the function of the caller said.
type ownError struct{ error }
