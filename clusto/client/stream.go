package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// errPause ends a stream that stands still.
var errPause = errors.New("the stream stood still")

// Hosts calls f with every host of the inventory and returns how many there
// were. An error of f ends it, and f may take its time. A stream that was cut
// short, or stands still for Config.StreamPause, is an error that wraps
// clusto.ErrUnavailable; f has seen its beginning.
func (c *Client) Hosts(ctx context.Context, f func(*clusto.Host) error) (n int, err error) {
	lines := stream{path: "/v2/hosts", of: "host", begins: `{"mac"`, max: c.cfg.MaxBody}
	return c.stream(ctx, lines, func(line []byte) (use func() error, err error) {
		h := new(clusto.Host)
		err = json.Unmarshal(line, h)
		return func() error { return f(h) }, err
	})
}

// stream is a call that answers with lines of JSON.
type stream struct {
	path   string
	of     string // what a line is: "host"
	begins string // what tells such a line from the last one
	max    int64  // bytes of a line
}

// stream calls read with every line but the last, and the function that read
// returns when the line made sense. It returns how many lines there were.
func (c *Client) stream(ctx context.Context, s stream, read func(line []byte) (use func() error, err error)) (n int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(c.cfg.StreamPause, func() { cancel(errPause) })
	defer stalled.Stop()
	resp, err := c.do(ctx, http.MethodGet, s.path, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, c.refusal(s.path, resp)
	}
	if err := hasType(resp, "application/x-ndjson"); err != nil {
		return 0, c.broken(s.path, err)
	}
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		stalled.Reset(c.cfg.StreamPause)
		line, err := s.line(in)
		stalled.Stop()
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			return n, c.broken(s.path, fmt.Errorf("after %d %ss: %w", n, s.of, err))
		}
		if !bytes.HasPrefix(line, []byte(s.begins)) {
			if err := s.end(line, n); err != nil {
				return n, c.broken(s.path, err)
			}
			return n, nil
		}
		use, err := read(line)
		if err != nil {
			return n, c.broken(s.path, fmt.Errorf("line %d: %v in %s", n+1, err, excerpt(line)))
		}
		if err := use(); err != nil {
			return n, err
		}
		n++
	}
}

// line reads one line; the usual one is not copied.
func (s *stream) line(in *bufio.Reader) ([]byte, error) {
	var long []byte
	line, err := in.ReadSlice('\n')
	for ; errors.Is(err, bufio.ErrBufferFull); line, err = in.ReadSlice('\n') {
		if long = append(long, line...); int64(len(long)) > s.max {
			return nil, fmt.Errorf("a line is longer than %d bytes", s.max)
		}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // only the end line ends a stream
	}
	if len(long) > 0 && err == nil {
		line = append(long, line...)
	}
	return line, err
}

// end reads the last line, {"end":true,"count":N}, or a failure,
// {"error":"..."}.
func (s *stream) end(line []byte, n int) error {
	var last struct {
		End   bool   `json:"end"`
		Count int    `json:"count"`
		Error string `json:"error"`
	}
	switch err := json.Unmarshal(line, &last); {
	case err != nil:
		return fmt.Errorf("line %d: %v in %s", n+1, err, excerpt(line))
	case last.Error != "":
		return fmt.Errorf("after %d %ss the server failed: %s", n, s.of, last.Error)
	case !last.End:
		return fmt.Errorf("line %d is neither a %s nor the end: %s", n+1, s.of, excerpt(line))
	case last.Count != n:
		return fmt.Errorf("%d %ss came, the server counts %d", n, s.of, last.Count)
	}
	return nil
}
