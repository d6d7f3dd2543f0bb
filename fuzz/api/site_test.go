package api

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// begins are the requests that every inventory begins with.
const begins = `POST /pool/p
POST /basicserver/s
POST /basicnetworkswitch/sw
POST /basicrack/r
POST /ipmanager/lan
POST /resourcemanager/lan/setattr?key=baseip&subkey=property&value=10.0.0.0
POST /resourcemanager/lan/setattr?key=netmask&subkey=property&value=255.255.255.0
POST /pool/p/insert?object=/server/s
POST /rack/r/insert?object=/server/s&ru=7
POST /server/s/set_port_attr?porttype=nic-eth&portnum=1&key=mac&value=00:11:22:33:44:55
POST /server/s/connect_ports?porttype=nic-eth&portnum=1&object=/networkswitch/sw&otherportnum=3
POST /server/s/bind_ip_to_osport?ip=10.0.0.7&osportname=eth0`

// site is an inventory in a file, kept open from one input to the next: to make
// one takes as long as a hundred requests.
type site struct {
	store   *store.Store
	other   *sql.DB     // one connection of our own to the same file, beside a copy of how it began
	back    []*sql.Stmt // what makes every table what it was
	version *sql.Stmt   // changes when others have written
	begun   int64       // the version when all was as in the beginning

	objects []clusto.Object // in the beginning
	hosts   map[clusto.MAC]string
	since   string // the feed's position then
	tokens  *httpd.Tokens
	empty   *site // another one, which begins with nothing
}

// open makes the inventory, in memory where the system has a folder for that:
// nothing of it outlives this process.
func open(tb testing.TB) *site {
	tb.Helper()
	s := begin(tb, begins)
	s.empty = begin(tb, "")
	tokens, err := httpd.ParseTokens("tokens", []byte("write "+token["write"]+"\nread "+token["read"]+"\n"))
	if err != nil {
		tb.Fatal(err)
	}
	s.tokens, s.objects = tokens, objects(tb, s.store)
	s.hosts = hosts(tb, s.store)
	s.since = s.feed(tb, httpd.New(httpd.Config{Store: s.store}), "").at
	consistent(tb, s.objects, written{})
	counted(tb, nil, s.objects, written{})
	if !s.exported(tb, s.objects) {
		tb.Fatal("what every input begins with cannot be exported")
	}
	s.guarded(tb)
	return s
}

// guarded: the tokens of every input are good for what they are meant for, so that what an
// input finds is not that nobody may write at all.
func (s *site) guarded(tb testing.TB) {
	tb.Helper()
	h := s.handler()
	for request, want := range map[string]map[string]int{
		"POST /pool/x":    {"nobody": 401, "wrong": 401, "read": 403, "write": 201},
		"GET /v2/objects": {"nobody": 401, "wrong": 401, "read": 200, "write": 200},
		"GET /v2/version": {"nobody": 200, "wrong": 200, "read": 200, "write": 200},
	} {
		for who, want := range want {
			code, body := ask(tb, h, request, token[who])
			if code != want || s.written(tb) != (want == 201) {
				tb.Fatalf("%s %s: %d %s", who, request, code, body)
			}
			s.reset(tb)
		}
	}
}

// handler serves the inventory to who has a token.
func (s *site) handler() http.Handler {
	return httpd.New(httpd.Config{Store: s.store, Tokens: func() *httpd.Tokens { return s.tokens }})
}

// begin makes an inventory by requests.
func begin(tb testing.TB, requests string) *site {
	tb.Helper()
	file := filepath.Join(corpus.Folder(tb), "clusto.db")
	s := &site{store: openStore(tb, file)}
	h := httpd.New(httpd.Config{Store: s.store})
	for line := range strings.Lines(requests) {
		if code, body := ask(tb, h, line, ""); code/100 != 2 {
			tb.Fatalf("%s: %d %s", line, code, body)
		}
	}
	s.keep(tb, file)
	return s
}

func openStore(tb testing.TB, file string) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), file, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// keep copies the database, and makes ready to copy it back.
func (s *site) keep(tb testing.TB, file string) {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	s.other = db
	s.run(tb, s.prepare(tb, fmt.Sprintf(`VACUUM INTO '%s-begun'`, file)))
	s.run(tb, s.prepare(tb, fmt.Sprintf(`ATTACH '%s-begun' AS begun`, file)))
	s.version = s.prepare(tb, `PRAGMA main.data_version`)
	s.back = []*sql.Stmt{s.prepare(tb, `BEGIN IMMEDIATE`)}
	for _, table := range s.tables(tb) {
		s.back = append(s.back, s.prepare(tb, `DELETE FROM main.`+table), s.prepare(tb, `INSERT INTO main.`+table+` SELECT * FROM begun.`+table))
	}
	s.back = append(s.back, s.prepare(tb, `COMMIT`))
	s.begun = s.now(tb)
}

// tables lists all tables; last those that triggers, and SQLite itself, write
// when the others are written.
func (s *site) tables(tb testing.TB) (all []string) {
	tb.Helper()
	rows, err := s.other.QueryContext(tb.Context(), `SELECT name FROM begun.sqlite_schema WHERE type = 'table'
		ORDER BY name = 'sqlite_sequence', name = 'clusto_changes'`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			tb.Fatal(err)
		}
		all = append(all, name)
	}
	if err := rows.Err(); err != nil || !slices.Contains(all, "clusto_changes") {
		tb.Fatalf("tables %q: %v", all, err)
	}
	return all
}

func (s *site) prepare(tb testing.TB, text string) *sql.Stmt {
	tb.Helper()
	st, err := s.other.PrepareContext(tb.Context(), text)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return st
}

func (s *site) run(tb testing.TB, st *sql.Stmt) {
	tb.Helper()
	if _, err := st.ExecContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func (s *site) now(tb testing.TB) (version int64) {
	tb.Helper()
	if err := s.version.QueryRowContext(tb.Context()).Scan(&version); err != nil {
		tb.Fatal(err)
	}
	return version
}

// written reports whether anything was written since the beginning, or the last reset.
func (s *site) written(tb testing.TB) bool {
	tb.Helper()
	return s.now(tb) != s.begun
}

// reset has every table hold what it held in the beginning.
func (s *site) reset(tb testing.TB) {
	tb.Helper()
	for _, st := range s.back {
		s.run(tb, st)
	}
	s.begun = s.now(tb)
}

// TestResetLeavesNothing: after any session each table holds what it held before it, so
// that what one input finds does not depend on those before it.
func TestResetLeavesNothing(t *testing.T) {
	s := open(t)
	before := s.content(t)
	wrote := 0
	for _, in := range corpus.Texts(t, "http") {
		session := string(in.Bytes)
		h := httpd.New(httpd.Config{Store: s.store})
		for line := range strings.Lines(session) {
			_, request := whose(line)
			ask(t, h, request, "")
		}
		if s.written(t) != (s.content(t) != before) {
			t.Errorf("%q: written is %v of\n%s", session, s.written(t), s.content(t))
		}
		if s.written(t) {
			wrote++
		}
		if s.reset(t); s.written(t) || s.content(t) != before {
			t.Errorf("%q left\n%s\nwhere there was\n%s", session, s.content(t), before)
		}
	}
	if wrote < 10 {
		t.Errorf("%d sessions only wrote anything", wrote)
	}
}

// content writes down all rows of all tables.
func (s *site) content(tb testing.TB) string {
	tb.Helper()
	var out strings.Builder
	for _, table := range s.tables(tb) {
		rows, err := s.other.QueryContext(tb.Context(), `SELECT * FROM main.`+table+` ORDER BY rowid`)
		if err != nil {
			tb.Fatal(err)
		}
		columns, err := rows.Columns()
		for err == nil && rows.Next() {
			row, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				to[i] = &row[i]
			}
			err = rows.Scan(to...)
			fmt.Fprintln(&out, table, row)
		}
		if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
			tb.Fatal(err)
		}
	}
	return out.String()
}

// TestMirrored: a connection of which one end knows nothing is noticed, and not held against a
// client that writes attributes one by one.
func TestMirrored(t *testing.T) {
	for line, want := range map[string]names{
		"POST /server/s/%61ddattr?key=port-nic-eth": {"s": true}, "POST /server/s%2e/set_port_attr": {"s.": true}, "POST /server/s/connect_ports": nil, "DELETE /server/s": nil,
		`POST /v2/batch {"ops":[{"op":"connect"},{"op":"raw","name":"p"}]}`: {"p": true}, `POST /v2/batch {"ops":[{"op":"connect"}]}`: nil, "POST /v2/batch {": nil, "?": nil,
		`POST /v2/batch {"ops":[{"op":"create","name":"t","as":"a"},{"op":"del","name":"$a"},{"op":"has","as":"b"},{"op":"attr","name":"$b"},{"op":"add","name":"$c"}]}`: {"t": true, "found": true, "$c": true},
	} {
		var did written
		if did.add(line, `{"results":[{"index":2,"name":"found"}]}`); !maps.Equal(did.attrs, want) {
			t.Errorf("%s: %v", line, did)
		}
	}
	one, number, sub, other := clusto.Object{Entity: clusto.Entity{Name: "s", Type: "server"}}, 1, "connection", "otherportnum"
	one.Attrs = []clusto.Attr{
		{Key: "port-nic-eth", Subkey: &sub, Number: &number, Value: clusto.Value{Type: clusto.Relation, Str: "/networkswitch/sw"}},
		{Key: "port-nic-eth", Subkey: &other, Number: &number, Value: clusto.Value{Type: clusto.Int, Int: 3}},
	}
	got := connections(t, []clusto.Object{one}, map[string]string{"/networkswitch/sw": "cisco4948"}, written{})
	if want := (map[end]end{{"/server/s", "port-nic-eth", 1}: {"/networkswitch/sw", "port-nic-eth", 3}}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
