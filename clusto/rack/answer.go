package rack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"github.com/clusto/clusto-engine/clusto"
)

// answer is what a program writes.
type answer struct {
	Unmapped    *string `json:"unmapped"`
	Driver      string  `json:"driver"`
	RU          []int   `json:"ru"`
	Connections []struct {
		Port  string `json:"port"`
		Num   number `json:"num"`
		To    string `json:"to"`
		ToNum number `json:"to_num"`
	} `json:"connections"`
}

// number is the number of a port, or the name of an outlet.
type number string

// UnmarshalJSON takes 1 and "1" for the same.
func (n *number) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		*n = number(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(n))
}

var (
	entityPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$`) // what clusto takes for a name
	socketPattern = regexp.MustCompile(`^[A-Za-z]{0,8}[1-9][0-9]{0,3}$`)
)

// answer reads and judges what a program wrote: a server of a known driver, in
// units and on ports that exist and that the rack's own devices do not have, one
// of its network cards on the port of the event.
func (l *Layout) answer(out []byte, e Event, rack string) (Placement, error) {
	var a answer
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.DisallowUnknownFields()
	err := dec.Decode(&a)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after it")
		}
	} else if errors.Is(err, io.EOF) {
		err = errors.New("it is empty")
	}
	if err != nil {
		return Placement{}, fmt.Errorf("it is no placement in JSON: %v; it says %.200q: %w", err, out, clusto.ErrInvalid)
	}
	if a.Unmapped != nil {
		return Placement{}, fmt.Errorf("%.200q: %w", *a.Unmapped, ErrUnmapped)
	}
	p := Placement{Driver: a.Driver, RUs: slices.Sorted(slices.Values(a.RU))}
	for _, c := range a.Connections {
		p.Connections = append(p.Connections, Connection{c.Port, string(c.Num), c.To, string(c.ToNum)})
	}
	if err := l.judge(&p, e, rack); err != nil {
		return Placement{}, fmt.Errorf("%w: %w", err, clusto.ErrInvalid)
	}
	return p, nil
}

// judge checks an answer and finds the network card that is on the event's port.
func (l *Layout) judge(p *Placement, e Event, rack string) error {
	if d, ok := lookup(p.Driver); !ok || d.Type != "server" {
		return fmt.Errorf("driver %.40q is none of a server; did you mean %s?", p.Driver, nearest(p.Driver, "server"))
	}
	if n, want := len(p.RUs), unitsOf(p.Driver); n != want || p.RUs[n-1]-p.RUs[0] != n-1 {
		return fmt.Errorf("ru %v: %s takes %d, next to each other", p.RUs, p.Driver, want)
	}
	own := map[slot]bool{}
	for _, c := range p.Connections {
		end := slot{port: c.Port, num: c.Num}
		switch {
		case !entityPattern.MatchString(c.To) || !socketPattern.MatchString(c.ToNum):
			return fmt.Errorf("connection of %.40q to %.40q, %.40q: want the name of a device, and of its port", c.Port, c.To, c.ToNum)
		case !entityPattern.MatchString(c.Port) || !entityPattern.MatchString(c.Num):
			return fmt.Errorf("connection of %.40q, %.40q: want a type of ports, as in nic-eth, and the number of one", c.Port, c.Num)
		case own[end]:
			return fmt.Errorf("%s %s is connected twice", c.Port, c.Num)
		}
		own[end] = true
		if c.Port == nic && c.To == e.Switch && c.ToNum == strconv.Itoa(e.Port) {
			p.NIC, _ = strconv.Atoi(c.Num)
		}
	}
	c := newChecker(l, rack)
	c.problems, c.at = nil, nil // the layout's own are not the program's
	if c.server(*p, "the server itself"); len(c.problems) > 0 {
		return errors.New(c.problems[0].What)
	}
	if p.NIC == 0 {
		return fmt.Errorf("no nic-eth leads to port %d of %s, where the server is", e.Port, e.Switch)
	}
	return nil
}
