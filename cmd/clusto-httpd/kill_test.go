package main

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

const (
	killRounds  = 20
	killClients = 4
	killMembers = 20                    // servers of a batch
	killWithin  = 60 * time.Millisecond // after the first answer of a round
)

// TestKillDuringBatches kills the program at moments of chance while several
// clients send batches. After each restart the database is sound, every batch
// that was answered is there in whole, and none is there by half.
func TestKillDuringBatches(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "clusto.db")
		killOften(t, file, func() *sql.DB { return openFile(t, file) }, soundSQLite)
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.New(t)
		killOften(t, dsn, func() *sql.DB { return openAs(t, "pgx", dsn) }, func(*testing.T, *sql.DB) {})
	})
}

// killOften runs the rounds. What one program left the next one serves; it is
// looked at beside it, with nothing of this project between.
func killOften(t *testing.T, dsn string, open func() *sql.DB, sound func(*testing.T, *sql.DB)) {
	chance := newChance(t)
	answered := map[string]bool{}
	lost := 0
	for round := range killRounds {
		d := start(t, nil, "--db", dsn)
		db := open()
		sound(t, db)
		checkBatches(t, db, answered)
		db.Close()
		if t.Failed() {
			t.Fatalf("after round %d", round-1)
		}
		before := len(answered)
		lost += d.killed(t, round, time.Duration(chance.Int64N(int64(killWithin))), answered)
		if len(answered) == before {
			t.Errorf("round %d: nothing was answered", round)
		}
	}
	d := start(t, nil, "--db", dsn)
	db := open()
	sound(t, db)
	checkBatches(t, db, answered)
	if code := d.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if lost == 0 {
		t.Error("no batch was under way when the program was killed")
	}
	t.Logf("%d batches answered, %d cut off", len(answered), lost)
}

// newChance says its seed; CLUSTO_KILL_SEED repeats it, as far as clocks do.
func newChance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("CLUSTO_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CLUSTO_KILL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func soundSQLite(t *testing.T, db *sql.DB) {
	t.Helper()
	var verdict string
	if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity: %q, %v", verdict, err)
	}
	if n := count(t, db, `SELECT count(*) FROM pragma_foreign_key_check`); n != 0 {
		t.Errorf("%d rows point to nothing", n)
	}
}

// checkBatches compares what is there with what was answered, by one statement:
// on PostgreSQL the last commit may be under way still.
func checkBatches(t *testing.T, db *sql.DB, answered map[string]bool) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT p.name, count(e.entity_id) FROM entities p
		LEFT JOIN entity_attrs a ON a.entity_id = p.entity_id AND a."key" = '_contains'
		LEFT JOIN entities e ON e.entity_id = a.relation_id AND e.type = 'server'
		WHERE p.type = 'pool' GROUP BY p.name
		UNION ALL SELECT '', count(*) FROM entities WHERE type = 'server'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found, servers := map[string]bool{}, 0
	for rows.Next() {
		var name string
		var members int
		if err := rows.Scan(&name, &members); err != nil {
			t.Fatal(err)
		}
		if name == "" {
			servers = members
			continue
		}
		if found[name] = true; members != killMembers {
			t.Errorf("batch %s is there by half: %d of %d", name, members, killMembers)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for name := range answered {
		if !found[name] {
			t.Errorf("batch %s was answered, and is not there", name)
		}
	}
	if servers != len(found)*killMembers {
		t.Errorf("%d servers in %d batches", servers, len(found))
	}
}

// killed sends batches from several clients at once, and kills the program some
// time after the first answer. It adds the batches that were answered, and gives
// how many were cut off.
func (d *running) killed(t *testing.T, round int, after time.Duration, answered map[string]bool) (lost int) {
	t.Helper()
	var mu sync.Mutex
	var once sync.Once
	var wg sync.WaitGroup
	c := d.client(t)
	for w := range killClients {
		wg.Go(func() {
			for b := 0; ; b++ {
				pool := fmt.Sprintf("p%d-%d-%d", round, w, b)
				err := c.Apply(t.Context(), poolOf(pool))
				mu.Lock()
				switch {
				case err == nil:
					answered[pool] = true
				case !errors.Is(err, clusto.ErrUnavailable):
					t.Errorf("%s: %v", pool, err)
				case !errors.Is(err, syscall.ECONNREFUSED):
					lost++
				}
				mu.Unlock()
				if err != nil {
					return
				}
				once.Do(func() { time.AfterFunc(after, func() { _ = d.cmd.Process.Kill() }) })
			}
		})
	}
	wg.Wait()
	_ = d.cmd.Process.Kill() // if every client failed before its time
	if code := d.wait(t); code != -1 {
		t.Errorf("it was not killed: %d", code)
	}
	return lost
}

// poolOf makes a pool and its servers.
func poolOf(pool string) []clusto.Op {
	ops := []clusto.Op{{Op: "entity", Name: pool, Driver: "pool"}}
	for i := range killMembers {
		name := fmt.Sprintf("%s-s%d", pool, i)
		ops = append(ops, clusto.Op{Op: "entity", Name: name, Driver: "basicserver"}, clusto.Op{Op: "insert", Name: name, Into: pool})
	}
	return ops
}
