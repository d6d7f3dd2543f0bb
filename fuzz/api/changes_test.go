package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// counted: no counter is behind what it has numbered, nor behind where it was.
func counted(tb testing.TB, before, all []clusto.Object, did written) {
	tb.Helper()
	was, next := map[string]map[string]int64{}, int64(math.MaxInt64)
	for i := range before {
		was[before[i].Path()] = before[i].Counters
	}
	for i := range all {
		o := &all[i]
		if n, ok := o.Counters["ip"]; ok && o.Name == "clustometa" {
			next = n
		}
		for key, n := range was[o.Path()] {
			if o.Counters[key] < n && !did.gone[o.Name] {
				tb.Errorf("%s: counter %s was %d, and is %d", o.Path(), key, n, o.Counters[key])
			}
		}
	}
	for i := range all {
		o := &all[i]
		for _, a := range o.Attrs {
			if a.Number == nil || did.attrs[o.Name] || did.counters[o.Name] || a.Key == "ip" && did.counters["clustometa"] {
				continue
			}
			last, counts := o.Counters[a.Key] // one that is not there begins behind what is
			if n := int64(*a.Number); a.Key == "_contains" && counts && n > last || a.Key == "ip" && n >= next {
				tb.Errorf("%s: %s has number %d, and its counter %v, %d", o.Path(), a.Key, n, o.Counters, next)
			}
		}
	}
}

// hosts gives each MAC's host, and what may be answered to it.
func hosts(tb testing.TB, s *store.Store) map[clusto.MAC]string {
	tb.Helper()
	all := map[clusto.MAC]string{}
	if err := s.Hosts(tb.Context(), func(h *clusto.Host) error {
		b, err := json.Marshal(h)
		all[h.MAC] = string(b)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return all
}

// named: the feed names the MAC of each host that is another one than in the beginning,
// is new or is gone, and the entity that has it, or had it.
func named(tb testing.TB, h http.Handler, s *site) {
	tb.Helper()
	s.feed(tb, h, "") // the store keeps for a second what it read last: of the input before
	heard, now := s.feed(tb, h, s.since), hosts(tb, s.store)
	if heard.reset {
		return
	}
	for mac := range s.hosts {
		if _, still := now[mac]; !still {
			now[mac] = ""
		}
	}
	for mac, text := range now {
		was := s.hosts[mac]
		if text == was {
			continue
		}
		if !heard.macs[mac] {
			tb.Errorf("the host of %s is %s, and was %s: the feed names %v", mac, text, was, heard.macs)
		}
		for _, text := range []string{text, was} {
			var h clusto.Host
			if text == "" || json.Unmarshal([]byte(text), &h) != nil || len(h.Ambiguous) > 0 {
				continue
			}
			if !heard.names[h.Path()] {
				tb.Errorf("the host of %s is %s: the feed names %v", mac, text, heard.names)
			}
		}
	}
}

// heard is what the feed said.
type heard struct {
	*httptest.ResponseRecorder
	stop  context.CancelFunc
	read  int
	at    string // the last id
	head  int64
	names map[string]bool
	macs  map[clusto.MAC]bool
	reset bool
}

// feed listens from a position, "" for now, until all is told.
func (s *site) feed(tb testing.TB, h http.Handler, since string) *heard {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "/v2/changes?since="+since, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token["read"])
	out, err := listen(h, r, httptest.NewRecorder())
	if err != nil || out.Code != http.StatusOK || out.at == "" {
		tb.Errorf("the feed since %q: %d %s, and %v", since, out.Code, out.Body, err)
	}
	return out
}

// listen has a request for the feed answered, until all is told: nobody waits for what comes
// later, nor for ever for an answer that never has it all.
func listen(h http.Handler, r *http.Request, w *httptest.ResponseRecorder) (*heard, error) {
	ctx, stop := context.WithTimeout(r.Context(), time.Minute)
	defer stop()
	out := &heard{ResponseRecorder: w, stop: stop, names: map[string]bool{}, macs: map[clusto.MAC]bool{}}
	h.ServeHTTP(out, r.WithContext(ctx))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return out, errors.New("after a minute not all is told")
	}
	if out.read > 0 && out.read != w.Body.Len() {
		return out, fmt.Errorf("%q comes behind the last event", w.Body.String()[out.read:])
	}
	return out, nil
}

// follow has a random request for the feed answered.
func follow(tb testing.TB, h http.Handler, r *http.Request, w *httptest.ResponseRecorder, last string) {
	tb.Helper()
	if r.Method == http.MethodGet && last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	out, err := listen(h, r, w)
	if err != nil || r.Method == http.MethodGet && out.Code == http.StatusOK && (out.at == "" || !strings.HasPrefix(out.Body.String(), "id: ") && !out.reset) {
		tb.Errorf("%s %q: %d %s, and %v", r.URL, last, out.Code, out.Body, err)
	}
	for name := range out.names {
		if strings.Count(name, "/") < 2 || name[0] != '/' {
			tb.Errorf("%s names %q", r.URL, name)
		}
	}
}

// FlushError implements what http.ResponseController looks for.
func (h *heard) FlushError() error {
	all := h.Body.String()
	end := strings.LastIndex(all, "\n\n")
	for text := range strings.SplitSeq(all[h.read:end], "\n\n") {
		if err := h.event(text); err != nil {
			return err
		}
	}
	h.read = end + 2
	if number, _, _ := strings.Cut(h.at, "-"); h.at != "" {
		if n, err := strconv.ParseInt(number, 10, 64); err != nil || n >= h.head {
			h.stop()
		}
	}
	return nil
}

func (h *heard) event(text string) error {
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		fields[name] = value
	}
	var d struct {
		Seq      int64
		Entities []string
		MACs     []clusto.MAC
	}
	if data := fields["data"]; data != "" {
		if err := json.Unmarshal([]byte(data), &d); err != nil {
			return err
		}
	}
	if fields["id"] != "" {
		h.at = fields["id"]
	}
	h.head = max(h.head, d.Seq)
	h.reset = h.reset || fields["event"] == "reset"
	for _, name := range d.Entities {
		h.names[name] = true
	}
	for _, mac := range d.MACs {
		h.macs[mac] = true
	}
	return nil
}
