package bench

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// The benchmarks of the inventory are told by the environment what to measure.
const (
	hostsEnv    = "CLUSTO_BENCH_HOSTS"    // sizes: 10000,100000,1000000
	dirEnv      = "CLUSTO_BENCH_DIR"      // keeps the databases from one run to the next
	postgresEnv = "CLUSTO_BENCH_POSTGRES" // URL of an empty PostgreSQL database, instead of SQLite; one size
)

// sizes gives the numbers of hosts to measure with.
func sizes(b *testing.B) (n []int) {
	b.Helper()
	text := os.Getenv(hostsEnv)
	switch {
	case text == "" && testing.Short():
		text = "10000"
	case text == "":
		text = "10000,100000"
	}
	for s := range strings.SplitSeq(text, ",") {
		i, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || i < 1 || i > 1<<24 {
			b.Fatalf("%s=%q: want numbers of hosts, as in 10000,100000", hostsEnv, text)
		}
		n = append(n, i)
	}
	return n
}

// eachSize runs a benchmark on inventories of all sizes.
func eachSize(b *testing.B, bench func(b *testing.B, s *store.Store, n int)) {
	for _, n := range sizes(b) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, inventoryOf(b, n))
			bench(b, s, n)
		})
	}
}

func open(b *testing.B, dsn string) *store.Store {
	b.Helper()
	s, err := store.Open(context.Background(), dsn, nil)
	must(b, err)
	b.Cleanup(func() { must(b, s.Close()) })
	return s
}

// macOf is the MAC of host i.
func macOf(i int) clusto.MAC { return clusto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)} }

// inventoryOf makes a database of n hosts, and gives its data source name. Each
// host has ten attributes, as a site of clusto's own has them: a MAC and its
// interface, the five of a bound address, a serial number, and its places in a
// rack of 40 and in a pool. Its pool is inside another, its rack in a
// datacenter; a network is for 200. The rows are written past the store, which
// would check each.
func inventoryOf(b *testing.B, n int) (dsn string) {
	b.Helper()
	if url := os.Getenv(postgresEnv); url != "" {
		b.StopTimer()
		defer b.StartTimer()
		fillPostgres(b, url, n)
		return url
	}
	dir := os.Getenv(dirEnv)
	if dir == "" {
		dir = b.TempDir()
	}
	file := filepath.Join(dir, fmt.Sprintf("hosts%d.db", n))
	if _, err := os.Stat(file); err == nil {
		return file
	}
	b.StopTimer()
	defer b.StartTimer()
	fillSQLite(b, file+".new", n)
	must(b, os.Rename(file+".new", file))
	return file
}

// fillSQLite makes the tables, and the indexes once the rows are there.
func fillSQLite(b *testing.B, file string, n int) {
	b.Helper()
	_ = os.Remove(file)
	s, err := store.Open(context.Background(), file, nil)
	must(b, err)
	must(b, s.Close())
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-262144)")
	must(b, err)
	defer func() { must(b, db.Close()) }()
	db.SetMaxOpenConns(1)
	for name := range pairs(b, db, `SELECT name, sql FROM sqlite_master WHERE type = 'trigger'`) {
		execute(b, db, "DROP TRIGGER "+name) // no change is to be noted; Open makes them again
	}
	hex := `printf('02:00:00:%02x:%02x:%02x', i / 65536, i / 256 % 256, i % 256)`
	withoutIndexes(b, db, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`, inserts(n, hex))
	execute(b, db, `PRAGMA journal_mode = WAL`)
}

// withoutIndexes runs statements while all indexes that list gives, by name and
// statement, are gone.
func withoutIndexes(b *testing.B, db *sql.DB, list string, stmts []string) {
	b.Helper()
	indexes := pairs(b, db, list)
	for name := range indexes {
		execute(b, db, "DROP INDEX "+name)
	}
	for _, stmt := range append(stmts, slices.Sorted(maps.Values(indexes))...) {
		execute(b, db, stmt)
	}
}

// pairs runs a query of two texts a row.
func pairs(b *testing.B, db *sql.DB, query string) map[string]string {
	b.Helper()
	all := map[string]string{}
	rows, err := db.Query(query)
	must(b, err)
	defer rows.Close()
	for rows.Next() {
		var name, text string
		must(b, rows.Scan(&name, &text))
		all[name] = text
	}
	must(b, rows.Err())
	return all
}

// fillPostgres fills a database that has no hosts yet.
func fillPostgres(b *testing.B, url string, n int) {
	b.Helper()
	s, err := store.Open(context.Background(), url, nil)
	must(b, err)
	must(b, s.Close())
	db, err := sql.Open("pgx", url)
	must(b, err)
	defer func() { must(b, db.Close()) }()
	var have int
	must(b, db.QueryRow(`SELECT count(*) FROM entities WHERE type = 'server'`).Scan(&have))
	if have == n {
		return
	} else if have != 0 {
		b.Fatalf("%s has %d hosts already: give a new database for %d", postgresEnv, have, n)
	}
	two := func(n string) string { return "':' || lpad(to_hex(" + n + "), 2, '0')" }
	hex := "'02:00:00' || " + two("i / 65536") + " || " + two("i / 256 % 256") + " || " + two("i % 256")
	for _, table := range []string{"entities", "entity_attrs"} { // no change is to be noted; Open switches them on again
		execute(b, db, "ALTER TABLE "+table+" DISABLE TRIGGER USER")
	}
	withoutIndexes(b, db, `SELECT indexname, indexdef FROM pg_indexes
		WHERE tablename IN ('entities', 'entity_attrs') AND indexname NOT LIKE '%_pkey'`, inserts(n, hex))
	for _, stmt := range []string{
		`SELECT setval('entities_entity_id_seq', (SELECT max(entity_id) FROM entities))`,
		`SELECT setval('entity_attrs_attr_id_seq', (SELECT max(attr_id) FROM entity_attrs))`, `VACUUM ANALYZE`,
	} {
		execute(b, db, stmt)
	}
}

func execute(b *testing.B, db *sql.DB, stmt string) {
	b.Helper()
	if _, err := db.Exec(stmt); err != nil {
		b.Fatalf("%s: %v", stmt, err)
	}
}

// inserts gives the statements that write n hosts, whose numbers are i; mac is
// the MAC of i in SQL.
func inserts(n int, mac string) []string {
	const (
		dc, all, boot        = 100, 101, 102 // entity_ids, past clustometa's
		rack, network, hosts = 1_000, 1_000_000, 10_000_000
	)
	series := func(n int) string {
		return fmt.Sprintf(`WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < %d) `, n-1)
	}
	entities := func(count, base int, name, kind, driver string) string {
		return `INSERT INTO entities (entity_id, name, type, driver, version) ` + series(count) +
			fmt.Sprintf(`SELECT %d + i, '%s' || i, '%s', '%s', 1 FROM s`, base, name, kind, driver)
	}
	attrs := `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, int_value, string_value, relation_id, version) `
	option := func(entity int, sub, value string) string {
		return attrs + fmt.Sprintf(`VALUES (%d, 'dhcp', '%s', NULL, 'string', NULL, '%s', NULL, 1)`, entity, sub, value)
	}
	contains := func(container int, number, thing string) string {
		return fmt.Sprintf(`SELECT %d, '_contains', NULL, %s, 'relation', NULL, NULL, %s, 1`, container, number, thing)
	}
	lan := `'10.' || (1 + i / 51200) || '.' || (i / 200 % 256) || '.'`
	property := func(key, value string) string {
		return attrs + series((n+199)/200) + fmt.Sprintf(`SELECT %d + i, '%s', 'property', NULL, 'string', NULL, %s, NULL, 1 FROM s`,
			network, key, strings.NewReplacer("/ 51200", "/ 256", "/ 200", "/ 1").Replace(value))
	}
	ip := lan + ` || (i % 200 + 10)`
	return []string{
		fmt.Sprintf(`INSERT INTO entities (entity_id, name, type, driver, version) VALUES
			(%d, 'dc', 'datacenter', 'basicdatacenter', 1), (%d, 'all', 'pool', 'pool', 1), (%d, 'boot', 'pool', 'pool', 1)`, dc, all, boot),
		entities((n+39)/40, rack, "r", "rack", "basicrack"),
		entities((n+199)/200, network, "lan", "resourcemanager", "ipmanager"),
		entities(n, hosts, "s", "server", "basicserver"),
		option(dc, "domain", "example.org"), option(all, "NTP_server", "10.0.0.1"), option(boot, "enabled", "1"),
		option(boot, "tftp_server", "10.0.0.2"), option(boot, "tftp_filename", "pxelinux.0"),
		attrs + contains(all, "0", strconv.Itoa(boot)),
		attrs + series((n+39)/40) + contains(dc, "i", fmt.Sprintf("%d + i", rack)) + ` FROM s`,
		property("baseip", lan+` || '0'`), property("netmask", `'255.255.255.0'`), property("gateway", lan+` || '1'`),
		attrs + series(n) + fmt.Sprintf(`SELECT CASE k.column1 WHEN 8 THEN %d + i / 40 WHEN 9 THEN %d ELSE %d + i END,
			CASE WHEN k.column1 < 2 THEN 'port-nic-eth' WHEN k.column1 < 7 THEN 'ip' WHEN k.column1 = 7 THEN 'system' ELSE '_contains' END,
			CASE k.column1 WHEN 0 THEN 'mac' WHEN 1 THEN 'osportname' WHEN 3 THEN 'manager' WHEN 4 THEN 'ipstring' WHEN 5 THEN 'cidr'
				WHEN 6 THEN 'osportname' WHEN 7 THEN 'serial' WHEN 8 THEN 'ru' END,
			CASE WHEN k.column1 < 2 THEN 1 WHEN k.column1 = 7 THEN NULL WHEN k.column1 = 8 THEN i %% 40 + 1 ELSE i END,
			CASE k.column1 WHEN 2 THEN 'int' WHEN 3 THEN 'relation' WHEN 8 THEN 'relation' WHEN 9 THEN 'relation' ELSE 'string' END,
			CASE k.column1 WHEN 2 THEN (10 * 16777216 + (1 + i / 51200) * 65536 + i / 200 %% 256 * 256 + i %% 200 + 10) - 2147483648 END,
			CASE k.column1 WHEN 0 THEN %s WHEN 1 THEN 'eth0' WHEN 4 THEN %s WHEN 5 THEN %s || '/24' WHEN 6 THEN 'eth0' WHEN 7 THEN 'SN' || i END,
			CASE k.column1 WHEN 3 THEN %d + i / 200 WHEN 8 THEN %d + i WHEN 9 THEN %d + i END, 1
			FROM s CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) k`,
			rack, boot, hosts, mac, ip, ip, network, hosts, hosts),
	}
}
