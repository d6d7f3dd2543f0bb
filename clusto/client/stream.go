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

// streamPause is how long a stream may stand still.
const streamPause = 30 * time.Second

// Hosts calls f with every host of the inventory and returns how many there
// were. An error of f ends it. A stream that was cut short, or stands still for
// 30 s, is an error that wraps clusto.ErrUnavailable; f has seen its beginning.
func (c *Client) Hosts(ctx context.Context, f func(*clusto.Host) error) (n int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.do(ctx, http.MethodGet, "/v2/hosts", nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0, c.refusal("/v2/hosts", resp)
	}
	stalled := time.AfterFunc(streamPause, cancel)
	defer stalled.Stop()
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	var long []byte
	for {
		line, err := c.line(in, &long)
		if err != nil {
			return n, c.broken("/v2/hosts", fmt.Errorf("after %d hosts: %w", n, err))
		}
		stalled.Reset(streamPause)
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
func (c *Client) line(in *bufio.Reader, long *[]byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	for *long = (*long)[:0]; errors.Is(err, bufio.ErrBufferFull); line, err = in.ReadSlice('\n') {
		if *long = append(*long, line...); int64(len(*long)) > c.cfg.MaxBody {
			return nil, fmt.Errorf("a line is longer than %d bytes", c.cfg.MaxBody)
		}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // only the end line ends a stream
	}
	if len(*long) > 0 && err == nil {
		line = append(*long, line...)
	}
	return line, err
}

// readLine tells the last line, {"end":true,"count":N}, and a failure,
// {"error":"..."}, from a host.
func readLine(line []byte, n int) (h *clusto.Host, end bool, err error) {
	if bytes.HasPrefix(line, []byte(`{"mac"`)) {
		h = new(clusto.Host)
		if err := json.Unmarshal(line, h); err != nil {
			return nil, false, fmt.Errorf("line %d: %w in %s", n+1, err, excerpt(line))
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
		return nil, false, fmt.Errorf("line %d: %w in %s", n+1, err, excerpt(line))
	case last.Error != "":
		return nil, false, fmt.Errorf("after %d hosts the server failed: %s", n, last.Error)
	case !last.End:
		return nil, false, fmt.Errorf("line %d is neither a host nor the end: %s", n+1, excerpt(line))
	case last.Count != n:
		return nil, false, fmt.Errorf("%d hosts came, the server counts %d", n, last.Count)
	}
	return nil, true, nil
}
