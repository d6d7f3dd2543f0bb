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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(c.cfg.StreamPause, func() { cancel(errPause) })
	defer stalled.Stop()
	resp, err := c.do(ctx, http.MethodGet, "/v2/hosts", nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, c.refusal("/v2/hosts", resp)
	}
	if err := hasType(resp, "application/x-ndjson"); err != nil {
		return 0, c.broken("/v2/hosts", err)
	}
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		stalled.Reset(c.cfg.StreamPause)
		line, err := c.line(in)
		stalled.Stop()
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			return n, c.broken("/v2/hosts", fmt.Errorf("after %d hosts: %w", n, err))
		}
		h, end, err := readLine(line, n)
		switch {
		case err != nil:
			return n, c.broken("/v2/hosts", err)
		case end:
			return n, nil
		}
		if err := f(h); err != nil {
			return n, err
		}
		n++
	}
}

// line reads one line; the usual one is not copied.
func (c *Client) line(in *bufio.Reader) ([]byte, error) {
	var long []byte
	line, err := in.ReadSlice('\n')
	for ; errors.Is(err, bufio.ErrBufferFull); line, err = in.ReadSlice('\n') {
		if long = append(long, line...); int64(len(long)) > c.cfg.MaxBody {
			return nil, fmt.Errorf("a line is longer than %d bytes", c.cfg.MaxBody)
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

// readLine tells the last line, {"end":true,"count":N}, and a failure,
// {"error":"..."}, from a host.
func readLine(line []byte, n int) (h *clusto.Host, end bool, err error) {
	if bytes.HasPrefix(line, []byte(`{"mac"`)) {
		h = new(clusto.Host)
		if err := json.Unmarshal(line, h); err != nil {
			return nil, false, fmt.Errorf("line %d: %v in %s", n+1, err, excerpt(line))
		}
		return h, false, nil
	}
	var last struct {
		End   bool   `json:"end"`
		Count int    `json:"count"`
		Error string `json:"error"`
	}
	switch err := json.Unmarshal(line, &last); {
	case err != nil:
		return nil, false, fmt.Errorf("line %d: %v in %s", n+1, err, excerpt(line))
	case last.Error != "":
		return nil, false, fmt.Errorf("after %d hosts the server failed: %s", n, last.Error)
	case !last.End:
		return nil, false, fmt.Errorf("line %d is neither a host nor the end: %s", n+1, excerpt(line))
	case last.Count != n:
		return nil, false, fmt.Errorf("%d hosts came, the server counts %d", n, last.Count)
	}
	return nil, true, nil
}
