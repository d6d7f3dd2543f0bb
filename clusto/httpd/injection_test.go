package httpd_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// injections are what a statement would trip over that has a parameter spliced
// in, in either database, and what texts may bring besides.
var injections = []string{
	`'`, `"`, `\'`, `/*`, `$1`, `?`,
	`'; DROP TABLE entities; --`, `s0001' OR '1'='1`, `" OR ""="`, `1 OR 1=1`, `') OR ('a'='a`,
	"a\x00b", "\xff\xfe'", "'\r\n--", strings.Repeat(`'`, 3000), `-1`, `99999999999999999999`, ``,
}

// more are sent to what answers fast: a read on SQLite.
var more = []string{
	`''`, `\`, "`", `;`, `--`, `*/`, `%`, `_`, `:1`, `@a`, `{}`, `[`, `(`, `)`, `"; DELETE FROM entity_attrs; --`,
	`s0001'; UPDATE entities SET name = 'x`, `' UNION SELECT name FROM entities --`, `x'/**/OR/**/1=1#`,
	`$$; DROP TABLE counters; $$`, `E'\'`, `U&'\0027'`, `0x27`, `%27%20OR%201=1`, `&apos;`, `＇`, "a\nb", "\u2028",
	`$label`, `null`, `1e999`, `0`, `NaN`, `../../etc/passwd`, `<script>`,
}

// places are the calls with each parameter in turn: {} is a text in a path or a
// query, {json} one inside of JSON in a query.
var places = []string{
	"GET /v2/hosts/{}", "GET /v2/find?q={}",
	"GET /v2/entities/{}/attrs", "GET /v2/entities/s0001/attrs?key={}", "GET /v2/entities/s0001/attrs?merge={}",
	"GET /v2/entities/s0001/attrs?hidden={}", "GET /v2/{}", "GET /v2/entities/{}", "GET /v2/entities?type={}", "GET /v2/entities?driver={}", "GET /v2/entities?name={}",
	"GET /v2/entities?q={}", "GET /v2/changes?since={}",

	"GET /{}", "GET /{}/s0001", "GET /server/{}", "GET /server/{}/show", "GET /server/{}/attrs", "GET /{}/s0001/attrs",
	"GET /server/s0001/attrs?key={}", "GET /server/s0001/attrs?subkey={}", "GET /server/s0001/attrs?number={}",
	"GET /server/s0001/attrs?value={}", "GET /server/s0001/attrs?key=dhcp&regex=1&value={}", "GET /server/s0001/attrs?regex=1&key={}",
	"GET /server/s0001/attrs?merge_container_attrs={}", "GET /server/s0001/attrs?ignore_hidden={}", "GET /server/s0001/attrs?sort_by_keys={}",
	"GET /server/s0001/attrs?callback={}", "GET /server/s0001/attrs?{}=1", "GET /server/s0001/{}", "GET /server/s0001/ports?x={}",
	"GET /server/s0001/get_port_attr?porttype={}&portnum=1&key=mac", "GET /server/s0001/get_port_attr?porttype=nic-eth&portnum={}&key=mac",
	"GET /server/s0001/get_port_attr?porttype=nic-eth&portnum=1&key={}", "GET /search?q={}",
	"GET /query/{}", "GET /query/get_entities?names=[{json}]", "GET /query/get_entities?clusto_types=[{json}]",
	"GET /query/get_entities?clusto_drivers=[{json}]", `GET /query/get_entities?attrs=[{"key":{json}}]`,
	`GET /query/get_entities?attrs=[{"subkey":{json}}]`, `GET /query/get_entities?attrs=[{"number":{json}}]`,
	`GET /query/get_entities?attrs=[{"value":{json}}]`, `GET /query/get_entities?attrs=[{{json}:1}]`, "GET /query/get_entities?attrs={}",
	"GET /query/get_ip_manager?ip={}", "GET /query/get_by_name?name={}", "GET /query/get?name={}", "GET /query/get_from_pools?pools={}",
	"GET /query/get_from_pools?pools=production&types={}", "GET /query/get_from_pools?pools=production&prefetch_attrs={}",
}

// changes are the calls that write, as places; and the operations of a batch,
// of which each text in turn is replaced.
var changes = []string{
	"POST /pool/{}", "POST /{}/inj1", "DELETE /server/{}", "DELETE /{}/s0001x",
	"POST /server/s0001/addattr?key={}&value=a", "POST /server/s0001/addattr?key=inj&value={}", "POST /server/s0001/addattr?key=inj&value=a&subkey={}",
	"POST /server/s0001/addattr?key=inj&value=1&number={}", "POST /server/s0001/addattr?key=inj&value=1&datatype={}",
	"POST /server/{}/addattr?key=inj&value=a",
	"POST /server/s0001/setattr?key={}&value=a", "POST /server/s0001/setattr?key=injset&value={}", "POST /server/s0001/setattr?key=injset&value=a&subkey={}",
	"POST /server/s0001/delattr?key={}", "POST /server/s0001/delattr?key=injset&value={}", "POST /server/s0001/delattr?key=injset&subkey={}",
	"POST /pool/production/insert?object={}", "POST /pool/production/remove?object={}", "POST /pool/{}/insert?object=/server/s0001",
	"POST /server/s0001/set_port_attr?porttype={}&portnum=1&key=inj&value=a", "POST /server/s0001/set_port_attr?porttype=nic-eth&portnum={}&key=inj&value=a",
	"POST /server/s0001/set_port_attr?porttype=nic-eth&portnum=1&key={}&value=a", "POST /server/s0001/set_port_attr?porttype=nic-eth&portnum=1&key=inj&value={}",
	"POST /resourcemanager/{}/allocate?driver=basicserver", "POST /resourcemanager/net-private0/allocate?driver={}",
}

const changesByBatch = `[
	{"op":"x"},
	{"op":"entity","name":"inj2","driver":"pool","as":"a"},
	{"op":"create","name":"inj3","driver":"pool"},
	{"op":"attr","name":"s0001","key":"inj","subkey":"a","value":{"type":"string","str":"b"}},
	{"op":"attr","name":"s0001","key":"inj","subkey":"r","value":{"type":"relation","str":"/pool/production"}},
	{"op":"attr","name":"s0001","key":"inj","subkey":"j","value":{"type":"json","str":"{}"}},
	{"op":"attr","name":"s0001","key":"inj","subkey":"t","value":{"type":"datetime","str":"2020-01-02 03:04:05"}},
	{"op":"add","name":"s0001","key":"inj","subkey":"a","value":{"type":"string","str":"b"}},
	{"op":"set","name":"s0001","key":"injset","subkey":"a","value":{"type":"string","str":"b"}},
	{"op":"del","name":"s0001","key":"injdel","subkey":"a","value":{"type":"string","str":"b"}},
	{"op":"raw","name":"s0001","key":"injraw","subkey":"a"},
	{"op":"counter","name":"s0001","key":"inj","number":1},
	{"op":"delete","name":"injnone"},
	{"op":"insert","name":"s0001","into":"production"},
	{"op":"remove","name":"s0001","into":"injnone"},
	{"op":"bind","name":"s0001","ip":"10.42.0.99","osport":"eth0"},
	{"op":"unbind","name":"s0001","ip":"10.42.0.98"},
	{"op":"connect","name":"s0002","port":"injtype","num":"1","to":"s0003","to_num":"1"},
	{"op":"disconnect","name":"s0002","port":"injtype","num":"1"},
	{"op":"has","name":"s0001","driver":"penguinserver","key":"dhcp","subkey":"a","value":{"type":"string","str":"b"}},
	{"op":"lacks","name":"s0001","driver":"penguinserver","key":"inj","subkey":"a","value":{"type":"string","str":"b"}},
	{"op":"allocate","name":"net-private0","to":"s0002","osport":"inj"},
	{"op":"allocate","name":"servernames","driver":"basicserver"}]`

// TestNothingIsSpliced sends texts that break out of statements in every
// parameter of every call. Nobody gets a 500, and the tables stay what they are.
func TestNothingIsSpliced(t *testing.T) {
	if raceDetector { // it makes SQLite many times slower, and finds nothing in texts
		t.Skip("the test without the race detector does it")
	}
	t.Run("sqlite", func(t *testing.T) {
		s := originalStore(t)
		db := openDB(t, "sqlite", dbFile(t, s))
		nothingIsSpliced(t, s, db, append(more, injections...), `SELECT type || name || coalesce(sql, '') FROM sqlite_master`)
		var verdict string
		if err := db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity: %q, %v", verdict, err)
		}
	})
	t.Run("postgresql", func(t *testing.T) {
		dsn := pgtest.New(t)
		openStore(t, dsn).Close() // makes the tables
		pgtest.Copy(t, originalFile(t), dsn)
		nothingIsSpliced(t, openStore(t, dsn), openDB(t, "pgx", dsn), injections,
			`SELECT table_name || column_name || data_type FROM information_schema.columns WHERE table_schema = 'public'`)
	})
}

func openDB(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// nothingIsSpliced sends texts to a store, by calls that read, and injections by
// those that write; schema lists what its database is made of.
func nothingIsSpliced(t *testing.T, s *store.Store, db *sql.DB, texts []string, schema string) {
	base := serve(t, s, httpd.Config{Log: slog.New(slog.DiscardHandler)})
	before := rowsOf(t, db, schema)
	for _, place := range places {
		for _, text := range texts {
			inject(t, base, place, text)
		}
	}
	if after := rowsOf(t, db, schema); !maps.Equal(before, after) {
		t.Error("calls that read have changed something")
	}
	for _, place := range changes {
		for _, text := range injections {
			inject(t, base, place, text)
		}
	}
	injectBatches(t, base)
	after := rowsOf(t, db, schema)
	for row := range before {
		if !after[row] && !strings.HasPrefix(row, "counters ") {
			t.Errorf("this is not there any more: %s", row)
		}
	}
}

// rowsOf gives the schema and what is in the tables.
func rowsOf(t *testing.T, db *sql.DB, schema string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for table, query := range map[string]string{
		"schema":       schema,
		"entities":     `SELECT entity_id || ',' || name || ',' || type || ',' || driver || ',' || coalesce(deleted_at_version, -1) FROM entities`,
		"entity_attrs": `SELECT attr_id || ',' || entity_id || "key" || ',' || coalesce(subkey, 'NULL') || ',' || coalesce(CAST(number AS text), '-') || ',' || coalesce(string_value, 'NULL') || ',' || coalesce(int_value, -1) || ',' || coalesce(relation_id, -1) FROM entity_attrs`,
		"counters":     `SELECT counter_id || ',' || entity_id || attr_key || value FROM counters`,
	} {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				t.Fatal(err)
			}
			all[table+" "+row] = true
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return all
}

// inject sends a call with a text in its place.
func inject(t *testing.T, base, place, text string) {
	t.Helper()
	method, target, _ := strings.Cut(place, " ")
	path, query, _ := strings.Cut(target, "?")
	inJSON, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	path = strings.ReplaceAll(path, "{}", url.PathEscape(text))
	var params []string
	for _, param := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(param, "=")
		name = strings.ReplaceAll(name, "{}", text)
		value = strings.ReplaceAll(strings.ReplaceAll(value, "{json}", string(inJSON)), "{}", text)
		params = append(params, url.QueryEscape(name)+"="+url.QueryEscape(value))
	}
	checkInjected(t, method, base+path+"?"+strings.Join(params, "&"), "", place, text)
}

func checkInjected(t *testing.T, method, url, body, place, text string) {
	t.Helper()
	if strings.Contains(place, "/v2/changes") { // whose answer to a position has no end
		begun(t, url, place, text)
		return
	}
	resp, got := do(t, method, url, body)
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("%s with %.60q: %s: %s", place, text, resp.Status, got)
	}
}

// begun looks at the beginning of an answer.
func begun(t *testing.T, url, place, text string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s with %.60q: %s", place, text, resp.Status)
	}
}

// injectBatches replaces every text of every operation.
func injectBatches(t *testing.T, base string) {
	t.Helper()
	var ops []map[string]any
	decode(t, []byte(changesByBatch), &ops)
	for _, op := range ops {
		for _, key := range slices.Sorted(maps.Keys(op)) {
			for _, text := range injections {
				changed := maps.Clone(op)
				changed[key] = text
				if value, ok := op[key].(map[string]any); ok {
					value = maps.Clone(value)
					value["str"], changed[key] = text, value
				}
				body, err := json.Marshal(map[string]any{"ops": []any{changed}})
				if err != nil {
					t.Fatal(err)
				}
				checkInjected(t, http.MethodPost, base+"/v2/batch", string(body), fmt.Sprintf("batch %v, %s", op, key), text)
			}
		}
	}
}
