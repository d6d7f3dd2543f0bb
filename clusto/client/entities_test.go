package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestEntities compares what comes over HTTP with what the store says.
func TestEntities(t *testing.T) {
	s := originalStore(t)
	c, _ := dial(t, s)
	odd := "ä b%2F.c;d"
	if err := s.Apply(t.Context(), []clusto.Op{{Op: "entity", Name: odd, Driver: "pool"}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s0001", "sv2-r01-pwr1", "sv2-r01", "production", odd} {
		got, err := c.Object(t.Context(), name)
		want, err2 := s.Object(t.Context(), name)
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v\nwant %+v, %v", name, got, err, want, err2)
		}
	}
	for _, q := range []clusto.Query{
		{},
		{Types: []string{"rack", "pool"}},
		{Drivers: []string{"basicserver"}},
		{Names: []string{"s0002", "s0001", odd}, Types: []string{"server"}},
		{Contains: "SV2-R01"},
		{Contains: "%"},
		{Contains: "nobody"},
	} {
		got, err := c.Entities(t.Context(), q)
		want, err2 := s.Entities(t.Context(), q)
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %v, %v\nwant %v, %v", q, got, err, want, err2)
		}
	}
	byAttr := clusto.Query{Attrs: []clusto.AttrMatch{{
		Key: "ip", Subkey: &clusto.NullString{Text: "ipstring"}, Value: &clusto.ValueMatch{Texts: []string{"10.42.0.11", "10.42.0.12"}},
	}}}
	if got, err := c.Entities(t.Context(), byAttr); err != nil || len(got) != 2 || got[0].Name != "s0001" {
		t.Errorf("by attributes: %v, %v", got, err)
	}
	if _, err := c.Object(t.Context(), "nobody"); !errors.Is(err, clusto.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	for _, err := range []error{
		second(c.Entities(t.Context(), clusto.Query{Contains: "\x00"})),
		second(c.Object(t.Context(), "a\x00b")),
		second(c.Object(t.Context(), "a\xffb")),
	} {
		if !errors.Is(err, clusto.ErrInvalid) {
			t.Errorf("got %v, want one that is invalid", err)
		}
	}
}

// TestOwnersAreAskedForOnce: each spelling of a MAC was a condition, and the
// server looked for all spellings for each of them.
func TestOwnersAreAskedForOnce(t *testing.T) {
	s := originalStore(t)
	var asks []int
	next := httpd.New(httpd.Config{Store: s})
	p := newPlace(t)
	p.handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var conditions []any
		if err := json.Unmarshal([]byte(r.URL.Query().Get("attrs")), &conditions); err != nil {
			t.Error(err)
		}
		asks = append(asks, len(conditions))
		next.ServeHTTP(w, r)
	}))
	c := newClient(t, client.Config{URL: p.url()})
	one, two := asked.Spellings(), (clusto.MAC{9}).Spellings()
	for _, sub := range []*clusto.NullString{nil, {Text: "mac"}, {Text: "ipmi-mac"}, {Text: "other"}} {
		texts := append(append([]string{"no MAC", "no MAC either"}, one[:]...), two[:]...)
		q := clusto.Query{Attrs: []clusto.AttrMatch{{Key: "port-nic-eth", Subkey: sub, Value: &clusto.ValueMatch{Texts: texts}}}}
		got, err := c.Entities(t.Context(), q)
		want, err2 := s.Entities(t.Context(), q)
		if err != nil || err2 != nil || !slices.Equal(got, want) {
			t.Errorf("%v: got %v, %v\nwant %v, %v", sub, got, err, want, err2)
		}
		if len(q.Attrs[0].Value.Texts) != len(texts) {
			t.Error("the query is not the caller's any more")
		}
	}
	if want := []int{4, 4, 4, 2 + 2*clusto.MACForms}; !slices.Equal(asks, want) {
		t.Errorf("%d conditions, want %d", asks, want)
	}
}

func second[T any](_ T, err error) error { return err }

// TestBrokenEntities: an answer that makes no sense says nothing of an entity.
func TestBrokenEntities(t *testing.T) {
	for name, body := range map[string]string{
		"of another": `{"name":"b","attrs":[],"parents":[]}`,
		"half":       `{"name":"a","attrs":[]}`,
		"empty":      `{}`,
	} {
		p := newPlace(t)
		p.handler(fixed(200, jsonType, body))
		c := newClient(t, client.Config{URL: p.url()})
		_, err := c.Object(t.Context(), "a")
		_, err2 := c.Entities(t.Context(), clusto.Query{})
		for _, err := range []error{err, err2} {
			if !errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "makes no sense") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
