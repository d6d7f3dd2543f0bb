package main

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/clusto/clusto-engine/clusto"
)

// unitOf and outletOf are layout 201001 as the original's source has it, and not
// as this project's table does.
func unitOf(port int) int {
	if port < 24 {
		return port
	}
	return port + 1
}

func outletOf(port int) string {
	switch {
	case port <= 8:
		return "bb" + strconv.Itoa(port)
	case port <= 16:
		return "ba" + strconv.Itoa(port-8)
	case port <= 23:
		return "ab" + strconv.Itoa(port-16)
	}
	return "aa" + strconv.Itoa(port-23)
}

// judgeRack checks names, units, connections, MACs and addresses of servers that
// were found in the order of their ports.
func judgeRack(found []rackServer) error {
	if len(found) != rackServers {
		return fmt.Errorf("%d servers were made, want %d", len(found), rackServers)
	}
	given := map[netip.Addr]string{}
	for i := range found {
		s := &found[i]
		if err := s.judge(); err != nil {
			return fmt.Errorf("the server on port %d of the switch, %s: %w", s.port, s.Name, err)
		}
		if other := given[s.ip]; other != "" {
			return fmt.Errorf("%s and %s have the same address, %s", other, s.Name, s.ip)
		}
		given[s.ip] = s.Name
	}
	return nil
}

func (s *rackServer) judge() error {
	if want := fmt.Sprintf("node%04d", s.port); s.Name != want {
		return fmt.Errorf("its name is not %s, the next of servernames", want)
	}
	if s.unit != unitOf(s.port) {
		return fmt.Errorf("it is in unit %d, want %d", s.unit, unitOf(s.port))
	}
	for _, c := range []clusto.Port{
		{Type: "nic-eth", Num: 1, To: "/networkswitch/" + demoRack + "-sw1", ToNum: strconv.Itoa(s.port)},
		{Type: "pwr-nema-5", Num: 1, To: "/powerstrip/" + demoRack + "-pwr1", ToNum: outletOf(s.port)},
		{Type: "console-serial", Num: 1, To: "/consoleserver/" + demoRack + "-ts1", ToNum: strconv.Itoa(s.port)},
	} {
		if got := s.peer(c.Type); got != c {
			return fmt.Errorf("%s 1 leads to port %q of %q, want port %s of %s", c.Type, got.ToNum, got.To, c.ToNum, c.To)
		}
	}
	if !rackNet.Contains(s.ip) || s.ip == daemonIP || s.ip == rackSwIP {
		return fmt.Errorf("its address %s is none that network nodes has to give", s.ip)
	}
	return nil
}

// peer is the port 1 of a type.
func (s *rackServer) peer(kind string) clusto.Port {
	for _, p := range s.Ports {
		if p.Type == kind && p.Num == 1 {
			return p
		}
	}
	return clusto.Port{Type: kind, Num: 1}
}
