package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
)

// site is an inventory made by operations: racks of layout 201001, named r00 and
// on, in a datacenter where discovery is on.
type site struct {
	dsn   string
	store *store.Store
	racks int
	named []string // the racks; r00 and on if nil
}

const layoutName = "201001"

// switchIP is the address of the switch of a rack.
func switchIP(rack int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 42, byte(1 + rack/200), byte(1 + rack%200)})
}

func rackName(i int) string { return fmt.Sprintf("r%02d", i) }

// rack names a rack of the site.
func (s *site) rack(i int) string {
	if s.named != nil {
		return s.named[i]
	}
	return rackName(i)
}

// inMemory is a folder that no disk has to be waited for, where there is one. It
// is for an inventory that nobody kills; PostgreSQL's of tests waits for none
// either.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "clusto")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newSite(t testing.TB, dsn string, racks int) *site {
	t.Helper()
	s := &site{dsn: dsn, racks: racks}
	s.open(t)
	t.Cleanup(func() { s.store.Close() })
	layouts, err := rack.Load("")
	must(t, err)
	layout, err := layouts.Find(layoutName)
	must(t, err)
	ops := []clusto.Op{
		{Op: "entity", Name: "dc", Driver: "basicdatacenter"},
		attr("dc", "snmp", "discovery", 1),
		{Op: "entity", Name: "servernames", Driver: "simpleentitynamemanager"},
		attr("servernames", "basename", "property", "s"), attr("servernames", "digits", "property", 4),
		{Op: "entity", Name: "mgmt", Driver: "ipmanager"},
		{Op: "entity", Name: "machines", Driver: "ipmanager"},
		attr("mgmt", "baseip", "property", "10.42.0.0"), attr("mgmt", "netmask", "property", "255.255.0.0"),
		attr("machines", "baseip", "property", "10.50.0.0"), attr("machines", "netmask", "property", "255.255.0.0"),
		attr("machines", "gateway", "property", "10.50.0.1"),
	}
	for i := range racks {
		name := rackName(i)
		ops = append(ops, clusto.Op{Op: "entity", Name: name, Driver: "apcrack"}, clusto.Op{Op: "insert", Name: name, Into: "dc"})
		ops = append(ops, layout.Infrastructure(name)...)
		ops = append(ops, clusto.Op{Op: "bind", Name: name + "-sw1", IP: switchIP(i).String()})
	}
	s.apply(t, ops...)
	return s
}

func (s *site) open(t testing.TB) {
	t.Helper()
	var err error
	s.store, err = store.Open(context.Background(), s.dsn, nil)
	must(t, err)
}

func (s *site) apply(t testing.TB, ops ...clusto.Op) {
	t.Helper()
	must(t, s.store.Apply(context.Background(), ops))
}

func (s *site) object(t testing.TB, name string) clusto.Object {
	t.Helper()
	o, err := s.store.Object(context.Background(), name)
	must(t, err)
	return o
}

// attr sets one attribute, to a text or a number.
func attr(name, key, sub string, val any) clusto.Op {
	op := clusto.Op{Op: "attr", Name: name, Key: key}
	if sub != "" {
		op.Subkey = &sub
	}
	switch v := val.(type) {
	case string:
		op.Value = &clusto.Value{Type: clusto.String, Str: v}
	case int:
		op.Value = &clusto.Value{Type: clusto.Int, Int: int64(v)}
	}
	return op
}

// front is the inventory's HTTP server with a switch for what can go wrong.
type front struct {
	t     testing.TB
	net   *netlab.Net
	mu    sync.Mutex
	next  http.Handler
	fault func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil: all is well
	down  func()                                                          // ends port and connections, as a crash does
}

func newFront(t testing.TB, n *netlab.Net, s *store.Store) *front {
	f := &front{t: t, net: n, next: httpd.New(httpd.Config{Store: s})}
	f.up()
	t.Cleanup(func() { f.down() })
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	fault, next := f.fault, f.next
	f.mu.Unlock()
	if fault != nil {
		fault(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// serve changes what is served when all is well.
func (f *front) serve(s *store.Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = httpd.New(httpd.Config{Store: s})
}

func (f *front) fail(h func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = h
}

func (f *front) up() {
	f.t.Helper()
	f.down = labtest.ServeIn(f.t, f.net, apiAddr, f)
}
