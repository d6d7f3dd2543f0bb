// Package original stands in for the original clusto-httpd in tests. It serves
// HTTP/1.0, one request at a time, at a pace like the original's, and closes
// each connection. What the original was asked on its recorded site it answers
// from the record; all else from an inventory, in the original's form and with
// its quirks.
package original

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// transcript holds requests to the original on its site, and the answers, of
// the time before anything was written.
//
//go:embed testdata/transcript.jsonl
var transcript []byte

// Config says how a Server answers.
type Config struct {
	Inventory Inventory     // what answers come from that no record has
	Recorded  bool          // answer from the record where it has the request: Inventory is its site
	Pace      time.Duration // that a request takes; the original's was 9 ms
}

// Server is a stand-in. Its listener is open until Close.
type Server struct {
	URL string

	cfg     Config
	l       net.Listener
	records map[string]answer
	made    map[string]answer // from the inventory
	backlog chan net.Conn
	done    sync.WaitGroup

	mu    sync.Mutex
	fault func(call string) string
	calls []Call
	open  map[net.Conn]bool
	now   int // connections that wait for their answer
	most  int
}

// Call is a request that was answered.
type Call struct {
	Call     string // "GET /server/s0001", parameters decoded
	Recorded bool   // the answer is the original's own
}

type answer struct {
	status   int
	kind     string // Content-Type
	location string
	body     string
}

// Listen serves on addr, "127.0.0.1:0" for any port.
func Listen(addr string, cfg Config) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("stand in for clusto-httpd: %w", err)
	}
	s := &Server{URL: "http://" + l.Addr().String(), cfg: cfg, l: l, backlog: make(chan net.Conn, 1024), open: map[net.Conn]bool{}, made: map[string]answer{}}
	if cfg.Recorded {
		if s.records, err = readRecords(); err != nil {
			return nil, err
		}
	}
	s.done.Go(s.accept)
	s.done.Go(func() {
		for conn := range s.backlog { // one request at a time
			raw := s.serve(conn)
			s.mu.Lock()
			s.now-- // before the client knows
			s.mu.Unlock()
			_, _ = io.WriteString(conn, raw)
			s.forget(conn)
		}
	})
	return s, nil
}

// Close closes the port and all connections.
func (s *Server) Close() {
	_ = s.l.Close()
	s.mu.Lock()
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// Fail has f look at every call from now on: what it returns is sent as it is,
// "" lets the call be answered. nil ends that.
func (s *Server) Fail(f func(call string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Calls gives the calls that were answered since the last time.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// Most is the greatest number of connections that waited at once.
func (s *Server) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

func (s *Server) accept() {
	defer close(s.backlog)
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[conn] = true
		s.now++
		s.most = max(s.most, s.now)
		s.mu.Unlock()
		s.backlog <- conn
	}
}

func (s *Server) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = conn.Close()
	delete(s.open, conn)
}

// serve reads a request and gives the answer as it is to be sent.
func (s *Server) serve(conn net.Conn) string {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return ""
	}
	form, _ := io.ReadAll(r.Body)
	query, err := url.ParseQuery(strings.Trim(r.URL.RawQuery+"&"+string(form), "&"))
	if err != nil {
		return ""
	}
	call := r.URL.Path
	if len(query) > 0 {
		call += "?" + canonical(query)
	}
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	time.Sleep(s.cfg.Pace)
	if fault != nil {
		if raw := fault(r.Method + " " + call); raw != "" {
			return raw
		}
	}
	return s.answer(r, query, r.Method+" "+call)
}

func (s *Server) answer(r *http.Request, query url.Values, call string) string {
	a, recorded := s.records[call]
	s.mu.Lock()
	s.calls = append(s.calls, Call{call, recorded})
	made, ok := s.made[call]
	s.mu.Unlock()
	if recorded {
		return a.String()
	}
	if !ok {
		made = s.fromInventory(r, query)
		s.mu.Lock()
		s.made[call] = made
		s.mu.Unlock()
	}
	return made.String()
}

// Changed says that the inventory is not what it was.
func (s *Server) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.made)
}

func (a *answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.0 %d %s\r\nServer: WSGIServer/0.1 Python/2.7\r\nContent-Type: %s\r\n", a.status, http.StatusText(a.status), a.kind)
	if a.location != "" {
		fmt.Fprintf(&b, "Location: %s\r\n", a.location)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(a.body), a.body)
	return b.String()
}

// canonical gives parameters in an order of their own, JSON without spaces.
func canonical(query url.Values) string {
	var parts []string
	for name, values := range query {
		text := values[len(values)-1] // the last of a repeated one wins
		var v any
		if json.Unmarshal([]byte(text), &v) == nil {
			if b, err := json.Marshal(v); err == nil {
				text = string(b)
			}
		}
		parts = append(parts, name+"="+text)
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

// readRecords gives the record's answers by call.
func readRecords() (map[string]answer, error) {
	all := map[string]answer{}
	lines := bufio.NewScanner(bytes.NewReader(transcript))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var rec struct {
			N                         int
			Method, Path, Query, Body string
			Status                    int
			Headers                   map[string]string
			Response                  json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			return nil, fmt.Errorf("read the record: %w", err)
		}
		a := answer{status: rec.Status, kind: rec.Headers["content-type"], location: rec.Headers["location"], body: string(rec.Response)}
		if a.kind != "application/json" {
			_ = json.Unmarshal(rec.Response, &a.body) // it is a text
		}
		query, err := url.ParseQuery(strings.Trim(rec.Query+"&"+rec.Body, "&"))
		if err != nil {
			return nil, fmt.Errorf("read the record of call %d: %w", rec.N, err)
		}
		call := rec.Method + " " + rec.Path
		if len(query) > 0 {
			call += "?" + canonical(query)
		}
		if _, ok := all[call]; !ok {
			all[call] = a
		}
	}
	return all, lines.Err()
}
