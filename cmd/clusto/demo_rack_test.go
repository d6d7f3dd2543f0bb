package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// goodRack is what discovery should make.
func goodRack() (found []rackServer) {
	for port := 1; port <= rackServers; port++ {
		s := rackServer{port: port, unit: unitOf(port), ip: netip.AddrFrom4([4]byte{10, 42, 0, byte(port + 2)})}
		s.Entity = clusto.Entity{Name: fmt.Sprintf("node%04d", port), Type: "server"}
		s.Ports = []clusto.Port{
			{Type: "nic-eth", Num: 1, To: "/networkswitch/sv2-r01-sw1", ToNum: strconv.Itoa(port)},
			{Type: "pwr-nema-5", Num: 1, To: "/powerstrip/sv2-r01-pwr1", ToNum: outletOf(port)},
			{Type: "console-serial", Num: 1, To: "/consoleserver/sv2-r01-ts1", ToNum: strconv.Itoa(port)},
		}
		found = append(found, s)
	}
	return found
}

// TestDemoJudgesRack: whatever is missing or wrong is named, and fails the demo.
func TestDemoJudgesRack(t *testing.T) {
	if err := judgeRack(goodRack()); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
	if err := judgeRack(goodRack()[:29]); err == nil {
		t.Error("a server is missing")
	}
	for _, c := range []struct {
		wrong func(s *rackServer) // of port 24
		want  string
	}{
		{func(s *rackServer) { s.unit = 24 }, "it is in unit 24, want 25"},
		{func(s *rackServer) { s.unit = 0 }, "it is in unit 0, want 25"},
		{func(s *rackServer) { s.Name = "node0042" }, "its name is not node0024"},
		{func(s *rackServer) { s.Ports[0].To = "" }, `nic-eth 1 leads to port "24" of "", want port 24 of /networkswitch/sv2-r01-sw1`},
		{func(s *rackServer) { s.Ports[1].ToNum = "aa2" }, `pwr-nema-5 1 leads to port "aa2"`},
		{func(s *rackServer) { s.Ports = s.Ports[:2] }, `console-serial 1 leads to port ""`},
		{func(s *rackServer) { s.ip = netip.Addr{} }, "its address invalid IP"},
		{func(s *rackServer) { s.ip = rackSwIP }, "its address 10.42.0.2"},
		{func(s *rackServer) { s.ip = netip.MustParseAddr("10.42.0.3") }, "node0001 and node0024 have the same address"},
	} {
		found := goodRack()
		c.wrong(&found[23])
		if err := judgeRack(found); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
