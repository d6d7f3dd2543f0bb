package client_test

import (
	"context"
	"database/sql"
	"errors"
	"hash/maphash"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/cache"
	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
)

// attributes is the attribute cache as a client.Memory, as clusto-dhcpd has it.
type attributes struct {
	*cache.Cache[string, *client.Record]
}

func (m attributes) Get(ctx context.Context, key string) (*client.Record, error) {
	if r, state := m.Lookup(key, time.Now().UnixNano()); state == cache.Fresh {
		return r, nil
	}
	r, _, err := m.Fetch(ctx, key)
	return r, err
}

func (m attributes) Forget() { m.MarkStale() }

func newAttributes(read func(context.Context, string) (*client.Record, error)) (client.Memory, error) {
	seed := maphash.MakeSeed()
	c, err := cache.New(cache.Config[string, *client.Record]{
		TTL: time.Hour, LoadTimeout: time.Minute, Load: read,
		Hash:     func(k string) uint64 { return maphash.String(seed, k) },
		Name:     func(k string) string { return k },
		IsAbsent: func(error) bool { return false },
	})
	return attributes{c}, err
}

// standIn serves a store as the original would.
func standIn(t *testing.T, s *store.Store, recorded bool) *original.Server {
	t.Helper()
	srv, err := original.Listen("127.0.0.1:0", original.Config{Inventory: s, Recorded: recorded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

func newLegacy(t *testing.T, url string) *client.Legacy {
	t.Helper()
	l, err := client.NewLegacy(client.Config{URL: url, Memory: newAttributes, Patience: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// without takes out what the original does not tell: the ids of attributes. It
// lists them by id, so what ids decide is decided alike.
func without(h *clusto.Host) *clusto.Host {
	for i := range h.Attrs {
		h.Attrs[i].ID = 0
	}
	return h
}

// sameAsV2 resolves every MAC of a site in three ways: by /v2, by the calls of
// the original, and on a walk over all of them.
func sameAsV2(t *testing.T, v2 *client.Client, l *client.Legacy) (n int) {
	t.Helper()
	walked := map[clusto.MAC]*clusto.Host{}
	if _, err := l.Hosts(t.Context(), func(h *clusto.Host) error { walked[h.MAC] = h; return nil }); err != nil {
		t.Fatal(err)
	}
	n, err := v2.Hosts(t.Context(), func(want *clusto.Host) error {
		got, err := l.Host(t.Context(), want.MAC)
		if err != nil {
			return err
		}
		if without(want); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(walked[want.MAC], want) {
			t.Errorf("%s %s:\nlegacy %+v\nwalk   %+v\n/v2    %+v", want.MAC, want.Name, got, walked[want.MAC], want)
		}
		return nil
	})
	if err != nil || n != len(walked) {
		t.Errorf("%d hosts by /v2, %d on the walk, %v", n, len(walked), err)
	}
	want, err := v2.Networks(t.Context())
	if got, err2 := l.Networks(t.Context()); err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("networks %+v, %v; want %+v, %v", got, err2, want, err)
	}
	return n
}

// TestLegacyOnTheOriginalsSite: the same answers as from /v2 on the same
// database, field by field but for the attributes' ids.
func TestLegacyOnTheOriginalsSite(t *testing.T) {
	s := originalStore(t)
	srv := standIn(t, s, true)
	v2, _ := dial(t, s)
	if n := sameAsV2(t, v2, newLegacy(t, srv.URL)); n != 27 {
		t.Errorf("%d hosts, want 27", n)
	}
	own := map[string]bool{}
	for _, c := range srv.Calls() {
		if c.Recorded {
			own[c.Call] = true
		}
	}
	for _, call := range []string{
		"GET /server/s0001", "GET /server/s0002", "GET /server/s0005", "GET /query/get_by_name?name=db.example.org",
		"GET /pool/production", "GET /pool/pxeboot-servers", "GET /rack/sv2-r02", "GET /resourcemanager/net-public0",
		`POST /query/get_entities?attrs=[{"key":"port-nic-eth","number":1,"subkey":"mac","value":"00:1e:c9:00:00:01"}]`,
	} {
		if !own[call] {
			t.Errorf("%s was not answered by the original itself", call)
		}
	}
}

// hardSite has what the original's site lacks.
const hardSite = `
networks:
  wide: {cidr: 10.8.0.0/16, gateway: 10.8.255.254}
  lan:  {cidr: 10.9.0.0/24, gateway: 10.9.0.254}
pools:
  top:   {dhcp: {enabled: 1, domain: top.example.org, NTP_server: 10.9.0.3}}
  left:  {in: top, dhcp: {domain: left.example.org}}
  right: {in: top, dhcp: {domain: right.example.org, tftp_filename: /right.0}}
  deep:  {in: right, dhcp: {tftp_server: 10.9.0.2}}
servers:
  s1:  {in: [left, deep], mac: "02:00:00:00:00:01", ip: 10.9.0.51}
  s2:  {in: [right], mac: "02:00:00:00:00:02", ip: [10.9.0.52, 10.8.7.52], dhcp: {enabled: 0}}
  s3:  {in: deep, mac: "02:00:00:00:00:03"}
  two: {in: deep, mac: "02:00:00:00:00:04", ip: 10.9.0.54}
  bmc: {in: left, mac: "02:00:00:00:00:0a", ip: 10.9.0.60, ipmi: {mac: "02:00:00:00:00:0b", ip: 10.9.0.61}}
`

// hardSQL has what no import writes, but sites of old have.
const hardSQL = `
	INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, int_value, relation_id, version)
	SELECT o.entity_id, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, (SELECT entity_id FROM entities WHERE name = v.column8), 1
	FROM (VALUES
		('s1', 'dhcp', 'name_server', 2, 'string', '10.9.0.5', NULL, NULL),
		('s1', 'dhcp', 'name_server', 1, 'string', '10.9.0.4', NULL, NULL),
		('s1', 'dhcp', 'name_server', '', 'string', '10.9.0.6', NULL, NULL), -- a text where a number belongs
		('s1', 'dhcp', 'log_server', NULL, 'relation', NULL, NULL, 'bmc'),
		('s1', 'dhcp', 'lpr_server', NULL, 'relation', NULL, NULL, 'left'),
		('s1', 'dhcp', 'root_disk_path', NULL, 'json', '{"a": [1, 2]}', NULL, NULL),
		('s1', 'hostname', NULL, NULL, 'string', 'first', NULL, NULL),
		('s1', 'hostname', NULL, NULL, 'string', 'last', NULL, NULL),
		('s1', 'hostname', 'other', NULL, 'string', 'no', NULL, NULL),
		('s3', 'ip', NULL, 900, 'int', NULL, -1979121609, NULL), -- 10.9.0.55, without text or manager
		('s3', 'ip', 'osportname', 900, 'string', 'eth0', NULL, NULL),
		('s3', 'ip', 'ipstring', NULL, 'string', '10.9.0.56', NULL, NULL),
		('s3', 'ip', 'ipstring', NULL, 'string', '10.9.0.57', NULL, NULL),
		('s3', 'ip', 'ipstring', 901, 'string', '203.0.113.1', NULL, NULL), -- nobody's
		('two', 'port-nic-eth', 'mac', 2, 'string', '0200.0000.0005', NULL, NULL),
		('two', 'port-nic-eth', 'mac', 3, 'string', '02-00-00-00-00-0C', NULL, NULL),
		('two', 'port-nic-eth', 'osportname', 2, 'string', 'eth7', NULL, NULL),
		('two', 'port-nic-eth', 'mac', NULL, 'string', '020000000006', NULL, NULL),
		('s3', 'port-nic-eth', 'mac', 2, 'string', '020000000006', NULL, NULL), -- ambiguous
		('s2', 'port-nic-eth', 'mac', 2, 'string', '02:00:00:00:00:03', NULL, NULL), -- s3's on port 1
		('s2', 'port-nic-eth', 'mac', 3, 'string', 'none', NULL, NULL),
		('s2', 'port-nic-eth', 'mac', 4, 'string', '02:00:00:00:00:0A', NULL, NULL), -- bmc's on port 1
		('left', 'port-nic-eth', 'mac', 1, 'string', '02:00:00:00:00:01', NULL, NULL), -- s1's, no server
		('left', 'port-nic-eth', 'mac', 1, 'string', '02:00:00:00:00:0e', NULL, NULL),
		('left', 'port-nic-eth', 'mac', 2, 'string', '02:00:00:00:00:06', NULL, NULL),
		('wide', 'baseip', 'property', 7, 'string', ' 10.9.0.0/16 ', NULL, NULL),
		('lan', 'netmask', 'property', 1, 'int', NULL, 24, NULL),
		('top', '_contains', NULL, 99, 'relation', NULL, NULL, 'top'),
		('deep', '_contains', NULL, 98, 'relation', NULL, NULL, 'top')) v -- cycles
	JOIN entities o ON o.name = v.column1`

func newSite(t *testing.T, yaml, extra string) *store.Store {
	t.Helper()
	file := t.TempDir() + "/clusto.db"
	s, err := store.Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	defer func() {
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), extra); err != nil {
			t.Fatal(err)
		}
	}()
	parsed, err := inventory.Parse("site.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), parsed.Ops()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLegacyOnAHardSite: several owners, BMCs, spellings, cycles, lists,
// relations, addresses without a manager, and numbers that are none.
func TestLegacyOnAHardSite(t *testing.T) {
	s := newSite(t, hardSite, hardSQL)
	srv := standIn(t, s, false)
	v2, _ := dial(t, s)
	l := newLegacy(t, srv.URL)
	if n := sameAsV2(t, v2, l); n != 10 {
		t.Errorf("%d hosts, want 10", n)
	}
	_, err := l.Host(t.Context(), clusto.MAC{2, 9})
	if !errors.Is(err, clusto.ErrNotFound) || errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("an unknown host: %v", err)
	}
}

// TestSecondServerInCapitals is the one difference from /v2: the original
// compares MACs as text, and a second question for each host would cost more
// than this is worth.
func TestSecondServerInCapitals(t *testing.T) {
	s := newSite(t, hardSite, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
		SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', '02:00:00:00:00:0A', 1 FROM entities WHERE name = 's1'`)
	v2, _ := dial(t, s)
	l := newLegacy(t, standIn(t, s, false).URL)
	mac := clusto.MAC{2, 0, 0, 0, 0, 10}
	if h, err := v2.Host(t.Context(), mac); err != nil || !slices.Equal(h.Ambiguous, []string{"/server/bmc", "/server/s1"}) {
		t.Errorf("by /v2: %+v, %v", h, err)
	}
	if h, err := l.Host(t.Context(), mac); err != nil || h.Name != "bmc" {
		t.Errorf("behind the original: %+v, %v", h, err)
	}
}

// made gives the calls that a stand-in was asked, in short.
func made(srv *original.Server) (calls []string) {
	for _, c := range srv.Calls() {
		call := c.Call
		if i := strings.Index(call, "?attrs="); i > 0 {
			call = call[:i] + " for a MAC"
		}
		calls = append(calls, call)
	}
	return calls
}

// TestSharedIsAskedOnce: what a host shares with others is not asked for again.
func TestSharedIsAskedOnce(t *testing.T) {
	srv := standIn(t, originalStore(t), true)
	l := newLegacy(t, srv.URL)
	for _, tt := range []struct {
		last byte
		want string
	}{
		{1, "POST /query/get_entities for a MAC, GET /server/s0001, GET /resourcemanager/net-private0, " +
			"GET /rack/sv2-r01, GET /pool/pxeboot-servers, GET /pool/webservers, GET /datacenter/sv2, GET /pool/production"},
		{2, "POST /query/get_entities for a MAC, GET /server/s0002"},
		{5, "POST /query/get_entities for a MAC, GET /server/s0005, GET /resourcemanager/net-public0"},
		{0x10, "POST /query/get_entities for a MAC, POST /query/get_entities for a MAC, GET /server/s0016"},
		{0x99, "POST /query/get_entities for a MAC, POST /query/get_entities for a MAC"},
	} {
		_, err := l.Host(t.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, tt.last})
		if err != nil && !errors.Is(err, clusto.ErrNotFound) {
			t.Fatal(err)
		}
		if got := strings.Join(made(srv), ", "); got != tt.want {
			t.Errorf("host %x:\n%s, want\n%s", tt.last, got, tt.want)
		}
	}
	l.Forget()
	if _, err := l.Host(t.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}); err != nil {
		t.Error(err)
	}
	if n := len(made(srv)); n != 8 {
		t.Errorf("after Forget: %d calls, want all 8", n)
	}
}

// TestFourAtOnce has all hosts of the site ask at once: four connections wait at
// the server, never a fifth.
func TestFourAtOnce(t *testing.T) {
	s := originalStore(t)
	srv := standIn(t, s, true)
	full := func(string) string {
		for srv.Most() < 4 {
			runtime.Gosched()
		}
		return ""
	}
	srv.Fail(full) // nothing is answered before four wait
	l := newLegacy(t, srv.URL)
	var all sync.WaitGroup
	for last := range byte(0x1c) {
		all.Go(func() {
			if _, err := l.Host(t.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, last}); err != nil && !errors.Is(err, clusto.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		if _, err := l.Hosts(t.Context(), func(*clusto.Host) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	if n := srv.Most(); n != 4 {
		t.Errorf("%d requests at once, want 4", n)
	}
	n := 0
	for _, c := range srv.Calls() {
		if c.Call == "GET /pool/production" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the pool that all are in was read %d times, want once", n)
	}
}
