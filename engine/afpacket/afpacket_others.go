//go:build !linux

package afpacket

import (
	"errors"

	"github.com/clusto/clusto-engine/engine"
)

var errLinux = errors.New("afpacket: packet sockets are Linux's; run this there")

// Group is the sockets of one interface, and what watches over it.
type Group struct{}

// Open fails: there are no packet sockets here.
func Open(Config) (*Group, error) { return nil, errLinux }

func (*Group) Conn(int) engine.Conn              { return nil }
func (*Group) Workers() int                      { return 0 }
func (*Group) Link() *engine.Link                { return nil }
func (*Group) Name() string                      { return "" }
func (*Group) DefaultRoute() (bool, error)       { return false, errLinux }
func (*Group) SendOn(*engine.Link, []byte) error { return errLinux }
func (*Group) Stats() Stats                      { return Stats{} }
func (*Group) Close()                            {}

// Sink holds a UDP port.
type Sink struct{}

// OpenSink fails, as Open does.
func OpenSink(uint16) (*Sink, error) { return nil, errLinux }

func (*Sink) Close() {}

// CheckOverlap fails, as Open does.
func CheckOverlap([]string) error { return errLinux }
