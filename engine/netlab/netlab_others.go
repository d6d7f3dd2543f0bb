//go:build !linux

package netlab

import (
	"errors"
	"net/netip"
	"os/exec"
)

var errLinux = errors.New("network namespaces need Linux")

type space struct{}

func enter() error                                                  { return errLinux }
func newNet() (*Net, error)                                         { return nil, errLinux }
func veth(*Net, string, *Net, string) error                         { return errLinux }
func (n *Net) do(func() error) error                                { return errLinux }
func (n *Net) start(*exec.Cmd) error                                { return errLinux }
func (n *Net) close() error                                         { return errLinux }
func (n *Net) bridge(string, []string) error                        { return errLinux }
func (n *Net) addAddr(string, netip.Prefix) error                   { return errLinux }
func (n *Net) delAddr(string, netip.Prefix) error                   { return errLinux }
func (n *Net) setUp(string) error                                   { return errLinux }
func (n *Net) setDown(string) error                                 { return errLinux }
func (n *Net) delete(string) error                                  { return errLinux }
func (n *Net) rename(_, _ string) error                             { return errLinux }
func (n *Net) mac(string) ([6]byte, error)                          { return [6]byte{}, errLinux }
func (n *Net) setMAC(string, [6]byte) error                         { return errLinux }
func (n *Net) addRoute(netip.Prefix, netip.Addr) error              { return errLinux }
func (n *Net) addNeighbour(_ string, _ netip.Addr, _ [6]byte) error { return errLinux }
func widen(int, uint16, int) error                                  { return errLinux }
