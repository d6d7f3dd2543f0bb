// Package afpacket is engine.Conn over Linux packet sockets: a Group listens on
// one interface with a fanout of sockets, one for each worker, and lives through
// the interface going down, being deleted and coming back. It is the only room
// with system calls.
package afpacket

import (
	"errors"
	"log/slog"
	"time"
)

// Defaults of Config.
const (
	DefaultBuffer = 16 << 20
	DefaultPoll   = time.Second
	maxWorkers    = 64
)

// ErrNoInterface is what SendOn returns while the interface is not there.
var ErrNoInterface = errors.New("afpacket: the interface is not there")

// Config says what a Group listens to. Zero fields mean the defaults.
type Config struct {
	Interface string   // needed
	Ports     []uint16 // UDP destination ports that frames are taken for, at any VLAN depth; needed
	Workers   int      // sockets, each with frames of its own share of chaddrs; 1
	Buffer    int      // bytes of receive buffer to ask for, each socket; DefaultBuffer
	Poll      time.Duration
	Log       *slog.Logger // nothing is logged if nil

	// OtherHosts takes frames for any MAC, not only for the interface's own and
	// for all: what a program needs that plays many machines.
	OtherHosts bool

	// In calls its argument where sockets are to be opened: on a thread inside
	// another network namespace. Nil opens them in the process's own.
	In func(func() error) error
}

// Stats is what a Group has seen since it was opened.
type Stats struct {
	Received uint64 // frames that the kernel queued for us
	Dropped  uint64 // frames that the kernel had no room for
	Skipped  uint64 // replies that the kernel refused
	Opened   uint64 // how often the interface's sockets were opened
	Buffer   int    // bytes of receive buffer granted to each socket
	Up       bool   // the interface is there, and up
}

func (c *Config) setDefaults() error {
	switch {
	case c.Interface == "":
		return errors.New("afpacket: Config.Interface is empty: name one")
	case len(c.Ports) == 0:
		return errors.New("afpacket: Config.Ports is empty: name one")
	case c.Workers < 0 || c.Workers > maxWorkers:
		return errors.New("afpacket: Config.Workers: want 1 to 64")
	}
	c.Workers = max(c.Workers, 1)
	if c.Buffer == 0 {
		c.Buffer = DefaultBuffer
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.In == nil {
		c.In = func(f func() error) error { return f() }
	}
	return nil
}
