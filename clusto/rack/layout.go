package rack

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// ErrUnmapped says that a layout has no place for what is on a switch port.
var ErrUnmapped = errors.New("not in the rack's layout")

// Layout is one way to build a rack, as Parse read it. It does not change.
type Layout struct {
	Name string
	File string // where it was read: a path, or "built in"

	line    int // of the name
	minu    int
	maxu    int
	sw      *device
	console *device // nil if there is none
	power   *device // nil if there is none
	servers []server
	byPort  map[int]spot

	exec     string // path of the program that places servers; "" if servers are in the file
	execLine int
	timeout  time.Duration
}

// Names of the three devices, as the file and the programs know them.
const (
	roleSwitch  = "switch"
	roleConsole = "console"
	rolePower   = "power"
)

// device is the switch, the console server or the power strip.
type device struct {
	role   string
	suffix string
	driver string
	ru     int
	cables []Connection // of its own ports, To being a role
	at     lines
}

// called is the device in messages.
func (d *device) called() string {
	switch d.role {
	case roleConsole:
		return "the console server"
	case rolePower:
		return "the power strip"
	}
	return "the switch"
}

// name is the name of the entity.
func (d *device) name(rack string) string { return rack + "-" + d.suffix }

// server is the place of one server.
type server struct {
	driver  string
	ports   []int    // of the switch, for nic-eth 1 and then 2
	rus     []int    // ascending
	outlets []string // for pwr-nema-5 1 and then 2
	console int      // 0 without a console server
	at      lines
}

// spot is what is on a switch port: the network card of a server.
type spot struct{ server, nic int }

// lines tells by key where something is said in the file; "" is where it begins.
type lines map[string]int

// of gives the line of a key, in the plural of rows or the singular of devices.
func (l lines) of(key string) int {
	for _, k := range []string{key, strings.TrimSuffix(key, "s")} {
		if n, ok := l[k]; ok {
			return n
		}
	}
	return l[""]
}

// Connection is one cable: port Num of type Port leads to port ToNum of To.
type Connection struct {
	Port  string // "nic-eth", "pwr-nema-5", "console-serial"
	Num   string // "1"
	To    string // name of the device: "sv2-r01-sw1"
	ToNum string // "25", of a power strip the name of the outlet: "aa2"
}

// Placement is where a server belongs: what there is to write of it.
type Placement struct {
	Driver      string
	RUs         []int // ascending, next to each other; the first is the one to insert at
	NIC         int   // which nic-eth of the server leads to the switch port that was asked for
	Connections []Connection
}

// Place gives the place of the server on a port of the switch of a rack. The
// cables of all its network cards are in it, whichever of them the port is. The
// error wraps ErrUnmapped if the layout has no server there; it wraps
// clusto.ErrInvalid if the layout has a program, which only PlaceEvent asks.
func (l *Layout) Place(rack string, port int) (Placement, error) {
	if l.exec != "" {
		return Placement{}, fmt.Errorf("place port %d of rack %s: layout %s has a program for that, %s, which has to be asked: %w", port, rack, l.Name, l.exec, clusto.ErrInvalid)
	}
	at, ok := l.byPort[port]
	if !ok {
		return Placement{}, fmt.Errorf("place port %d of rack %s: servers of layout %s are on ports %s: %w", port, rack, l.Name, ranges(l.Ports()), ErrUnmapped)
	}
	return l.placement(rack, &l.servers[at.server], at.nic), nil
}

func (l *Layout) placement(rack string, s *server, card int) Placement {
	p := Placement{Driver: s.driver, RUs: slices.Clone(s.rus), NIC: card}
	add := func(port string, num int, to *device, toNum string) {
		p.Connections = append(p.Connections, Connection{port, strconv.Itoa(num), to.name(rack), toNum})
	}
	for i, n := range s.ports {
		add(nic, i+1, l.sw, strconv.Itoa(n))
	}
	for i, name := range s.outlets {
		add(power, i+1, l.power, name)
	}
	if s.console != 0 {
		add(console, 1, l.console, strconv.Itoa(s.console))
	}
	return p
}

// Ports gives the switch ports that have a server, ascending; none if a program
// places them.
func (l *Layout) Ports() []int { return slices.Sorted(maps.Keys(l.byPort)) }

// Switch gives the name of the switch whose ports the layout is about.
func (l *Layout) Switch(rack string) string { return l.sw.name(rack) }

// devices are those that there are.
func (l *Layout) devices() []*device {
	return slices.DeleteFunc([]*device{l.sw, l.console, l.power}, func(d *device) bool { return d == nil })
}

func (l *Layout) device(role string) *device {
	for _, d := range l.devices() {
		if d.role == role {
			return d
		}
	}
	return nil
}

// Infrastructure gives what makes a rack an instance of the layout: its
// attribute racklayout, its devices in their units, and their cabling. The rack
// itself has to exist by then. Applying it again changes nothing.
func (l *Layout) Infrastructure(rack string) []clusto.Op {
	ops := []clusto.Op{{
		Op: "attr", Name: rack, Key: "racklayout",
		Value: &clusto.Value{Type: clusto.String, Str: l.Name},
	}}
	for _, d := range l.devices() {
		ops = append(ops,
			clusto.Op{Op: "entity", Name: clusto.NewName(d.name(rack)), Driver: d.driver},
			clusto.Op{Op: "insert", Name: d.name(rack), Into: rack, RU: d.ru})
	}
	for _, d := range l.devices() {
		for _, c := range d.cables {
			to := l.device(c.To)
			ops = append(ops, clusto.Op{Op: "connect", Name: d.name(rack), Port: c.Port, Num: c.Num, To: to.name(rack), ToNum: c.ToNum})
		}
	}
	return ops
}
