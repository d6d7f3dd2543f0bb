package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

func (d *running) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "http://" + d.addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestServesWhatClustoWrote finds the database as clusto's own tools do.
func TestServesWhatClustoWrote(t *testing.T) {
	file := originalFile(t)
	_, conf := clustoConf(t, "sqlite:///"+file)
	for name, d := range map[string]*running{
		"--db":         start(t, nil, "--db", file),
		"clusto.conf":  start(t, conf),
		"CLUSTODSN":    start(t, []string{"CLUSTODSN=sqlite:///" + file}),
		"a new one":    start(t, nil, "--db", filepath.Join(t.TempDir(), "new.db")),
		"a memory":     start(t, nil, "--db", ":memory:"),
		"only reading": start(t, nil, "--db", file+"?mode=ro"),
	} {
		c := d.client(t)
		if err := c.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		h, err := c.Host(t.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1})
		if empty := name == "a new one" || name == "a memory"; empty != errors.Is(err, clusto.ErrNotFound) || !empty && (err != nil || h.Name != "s0001" || !h.Enabled) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
		if code := d.end(t, syscall.SIGTERM); code != 0 || !strings.Contains(d.log.String(), "stopped") {
			t.Errorf("%s: SIGTERM ends it with %d\n%s", name, code, d.log.String())
		}
	}
}

// slowBatch sends a batch up to where its body shall begin, and returns once the
// server waits for that body.
func slowBatch(t *testing.T, d *running, length int) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /v2/batch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return conn, in
}

// idle gives a connection that the server closes as it begins to end.
func idle(t *testing.T, d *running) io.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return in
}

// TestSIGTERMDuringARequest lets the request end, and applies what it asked for.
func TestSIGTERMDuringARequest(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		file := originalFile(t)
		d := start(t, nil, "--db", file)
		body := `{"ops":[{"op":"entity","name":"late","driver":"pool"}]}`
		conn, in := slowBatch(t, d, len(body))
		waiting := idle(t, d)
		if err := d.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, waiting); err != nil { // until it is closed
			t.Fatal(err)
		}
		if _, err := net.Dial("tcp", d.addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v: a new connection: %v", sig, err)
		}
		if _, err := io.WriteString(conn, body); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v: %v, %v\n%s", sig, resp, err, d.log.String())
		}
		resp.Body.Close()
		if code := d.wait(t); code != 0 {
			t.Errorf("%v ends it with %d\n%s", sig, code, d.log.String())
		}
		if n := count(t, openFile(t, file), `SELECT count(*) FROM entities WHERE name = 'late'`); n != 1 {
			t.Errorf("%v: an answered batch is not there", sig)
		}
	}
}

// TestSIGTERMDuringAStream that its reader leaves lying does not wait for him as
// it waits for other requests.
func TestSIGTERMDuringAStream(t *testing.T) {
	t.Parallel()
	d := start(t, nil, "--db", ":memory:")
	big := &clusto.Value{Type: clusto.String, Str: strings.Repeat("x", 10<<20)} // more than sockets hold
	err := d.client(t).Apply(t.Context(), []clusto.Op{
		{Op: "entity", Name: "p1", Driver: "pool"}, {Op: "attr", Name: "p1", Key: "big", Value: big},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /v2/objects HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK { //nolint:bodyclose // it is left lying
		t.Fatalf("%v, %v", resp, err)
	}
	if code := d.end(t, syscall.SIGTERM); code != 0 || strings.Contains(d.log.String(), "cut off") {
		t.Errorf("%d\n%s", code, d.log.String())
	}
}

// TestSIGTERMDuringAnEndlessRequest cuts it off.
func TestSIGTERMDuringAnEndlessRequest(t *testing.T) {
	t.Parallel()
	d := start(t, nil, "--db", originalFile(t))
	slowBatch(t, d, 100)
	if code := d.end(t, syscall.SIGTERM); code != 0 || !strings.Contains(d.log.String(), "cut off") {
		t.Errorf("%d\n%s", code, d.log.String())
	}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(context.Background(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
