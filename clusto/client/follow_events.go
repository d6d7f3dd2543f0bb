package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// event is one server-sent event.
type event struct {
	id, kind string
	data     []byte
}

// events reads a stream of them.
type events struct {
	stream
	in *bufio.Reader
}

// next reads one event; heard is called for every line, comments included.
func (r *events) next(heard func()) (e event, err error) {
	for {
		line, err := r.line(r.in)
		if err != nil {
			return e, err
		}
		heard()
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && e.kind != "":
			return e, nil
		case len(line) == 0:
			e = event{}
		case string(name) == "id":
			e.id = string(value)
		case string(name) == "event":
			e.kind = string(value)
		case string(name) == "data":
			if e.data = append(e.data, value...); int64(len(e.data)) > r.max {
				return e, fmt.Errorf("an event is longer than %d bytes", r.max)
			}
		}
	}
}

// take tells the follower of one event.
func (s *session) take(e *event) error {
	var d struct {
		Seq      int64        `json:"seq"`
		Entities []string     `json:"entities"`
		MACs     []clusto.MAC `json:"macs"`
	}
	if e.kind != "hello" && e.kind != "change" && e.kind != "reset" {
		return nil // of another version
	}
	if err := json.Unmarshal(e.data, &d); err != nil {
		return fmt.Errorf("event %.20q: %v in %s", e.kind, err, excerpt(e.data))
	}
	switch e.kind {
	case "hello":
		if s.greeted = true; s.at == "" {
			s.f.Reset()
		}
		s.head = d.Seq
	case "reset":
		s.f.Reset()
		s.head = d.Seq
	case "change":
		if !s.greeted {
			return errors.New("a change came before hello")
		}
		s.f.Changed(d.Entities, d.MACs)
	}
	if e.id == "" {
		return nil // there is more of it
	}
	s.at = e.id
	number, _, _ := strings.Cut(e.id, "-")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return fmt.Errorf("event %.20q has id %.40q, which is no position", e.kind, e.id)
	}
	if seq >= s.head {
		s.f.Live(seq)
	}
	return nil
}
