package httpd_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// feed reads server-sent events.
type feed struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
}

func openFeed(t *testing.T, url string, header ...string) *feed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // bounds every wait
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	return &feed{t: t, resp: resp, in: bufio.NewReader(resp.Body)}
}

// told is one event, or a comment.
type told struct {
	ID, Event, Data string
	Seq             *int64
	Entities, MACs  []string
}

func (f *feed) next() (e told) {
	f.t.Helper()
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			f.t.Fatalf("the feed ends: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "":
			e.Event = ":"
		case "id":
			e.ID = value[1:]
		case "event":
			e.Event = value[1:]
		case "data":
			e.Data = value[1:]
			decode(f.t, []byte(e.Data), &e)
		}
	}
	return e
}

func rename(t *testing.T, s *store.Store, name, hostname string) {
	t.Helper()
	op := clusto.Op{Op: "attr", Name: name, Key: "hostname", Value: &clusto.Value{Type: clusto.String, Str: hostname}}
	if err := s.Apply(t.Context(), []clusto.Op{op}); err != nil {
		t.Fatal(err)
	}
}

// TestChanges reads a feed as it comes, and resumes it in both ways.
func TestChanges(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		url := serve(t, s, httpd.Config{Limits: httpd.Limits{Beat: 10 * time.Millisecond}}) + "/v2/changes"
		f := openFeed(t, url)
		hello := f.next()
		if hello.Event != "hello" || hello.ID == "" || !strings.HasPrefix(hello.ID, fmt.Sprint(*hello.Seq, "-")) {
			t.Fatalf("it begins with %+v", hello)
		}
		if beat := f.next(); beat.Event != ":" || beat.ID != "" {
			t.Errorf("silence is %+v", beat)
		}
		rename(t, s, "s0001", "x")
		change := f.next()
		for change.Event == ":" {
			change = f.next()
		}
		want := `{"entities":["/server/s0001"],"macs":["00:1e:c9:00:00:01"]}`
		if change.Event != "change" || change.Data != want || change.ID == hello.ID {
			t.Errorf("got %+v, want %s", change, want)
		}
		for _, f := range []*feed{
			openFeed(t, url+"?since="+hello.ID), openFeed(t, url, "Last-Event-ID", hello.ID),
			openFeed(t, url+"?since=0", "Last-Event-ID", hello.ID),
		} {
			if again := f.next(); again.ID != hello.ID || *again.Seq <= *hello.Seq {
				t.Errorf("it goes on with %+v", again)
			}
			if again := f.next(); again.ID != change.ID || again.Data != want {
				t.Errorf("and then %+v", again)
			}
		}
		f = openFeed(t, url+"?since=1-abc")
		if hello := f.next(); hello.Event != "hello" || hello.ID != "" {
			t.Errorf("from another database: %+v", hello)
		}
		if reset := f.next(); reset.Event != "reset" || reset.ID != change.ID || *reset.Seq <= *hello.Seq {
			t.Errorf("then %+v", reset)
		}
		if resp, body := do(t, http.MethodHead, url, ""); resp.StatusCode != http.StatusOK || len(body) > 0 {
			t.Errorf("HEAD: %s", resp.Status)
		}
	})
}

// TestLargeChangeComesInPieces, of which only the last can be resumed from.
func TestLargeChangeComesInPieces(t *testing.T) {
	s := bigPool(t, 1200)
	f := openFeed(t, serve(t, s, httpd.Config{})+"/v2/changes")
	f.next()
	rename(t, s, "big", "x")
	entities, macs := map[string]bool{}, map[string]bool{}
	for i := range 3 {
		e := f.next()
		if e.Event != "change" || (e.ID != "") != (i == 2) {
			t.Errorf("piece %d: %s, id %q", i, e.Event, e.ID)
		}
		for _, name := range e.Entities {
			entities[name] = true
		}
		for _, mac := range e.MACs {
			macs[mac] = true
		}
	}
	if len(entities) != 1201 || len(macs) != 1200 {
		t.Errorf("%d entities, %d MACs", len(entities), len(macs))
	}
}

// bigPool makes a pool with many hosts.
func bigPool(t *testing.T, hosts int) *store.Store {
	t.Helper()
	s := openStore(t, t.TempDir()+"/clusto.db")
	ops := []clusto.Op{{Op: "entity", Name: "big", Driver: "pool"}}
	mac, one := "mac", 1
	for i := range hosts {
		name := fmt.Sprintf("host%06d", i)
		v := clusto.Value{Type: clusto.String, Str: clusto.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}.String()}
		ops = append(ops, clusto.Op{Op: "entity", Name: name, Driver: "basicserver"}, clusto.Op{Op: "insert", Name: name, Into: "big"},
			clusto.Op{Op: "attr", Name: name, Key: "port-nic-eth", Subkey: &mac, Number: &one, Value: &v})
	}
	if err := s.Apply(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStalledReaderIsCutOff: who does not read does not hold a place for ever.
func TestStalledReaderIsCutOff(t *testing.T) {
	s := bigPool(t, 300)
	over := make(chan struct{})
	h := httpd.New(httpd.Config{Store: s, Limits: httpd.Limits{Stall: 50 * time.Millisecond}})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		h.ServeHTTP(w, r)
	}))
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(1 << 12)
		return ctx
	}
	srv.Start()
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 12)
	if _, err := fmt.Fprintf(conn, "GET /v2/changes HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	late := time.After(20 * time.Second)
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		case <-late:
			t.Fatal("it still has its place")
		default:
			rename(t, s, "big", fmt.Sprint(i))
		}
	}
}

// TestFeedEndsWithTheServer: nobody waits for a feed.
func TestFeedEndsWithTheServer(t *testing.T) {
	ending, end := context.WithCancel(t.Context())
	f := openFeed(t, serve(t, originalStore(t), httpd.Config{Ending: ending})+"/v2/changes")
	f.next()
	end()
	if rest, err := f.in.ReadString(0); rest != "" || err == nil {
		t.Errorf("there comes %q", rest)
	}
}

// TestNoFeed: a database that may not be altered has none, and says so.
func TestNoFeed(t *testing.T) {
	file := originalFile(t)
	if err := os.Chmod(file, 0o444); err != nil {
		t.Fatal(err)
	}
	base := serve(t, openStore(t, file+"?mode=ro"), httpd.Config{})
	status, a := ask(t, http.MethodGet, base+"/v2/changes", "")
	if status != http.StatusNotImplemented || !strings.Contains(a.Error, "cannot be followed") {
		t.Errorf("%d %+v", status, a)
	}
}

// TestChangesAreAsDocumented compares what follows data: with the document.
func TestChangesAreAsDocumented(t *testing.T) {
	d := openAPI(t)
	s := originalStore(t)
	f := openFeed(t, serve(t, s, httpd.Config{})+"/v2/changes?since=0")
	rename(t, s, "s0001", "x")
	schema := at(d["components"], "schemas", "ChangeData")
	for range 3 { // hello, reset, change
		e := f.next()
		if err := d.checkJSON([]byte(e.Data), schema, e.Event); err != nil {
			t.Error(err)
		}
	}
}
