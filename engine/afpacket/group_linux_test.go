package afpacket

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

var nilNet *netlab.Net // the process's own namespace

// journal keeps what was logged.
type journal struct{ labtest.Log }

func (j *journal) count(s string) int { return strings.Count(j.String(), s) }

// reaches proves that frames come through, however often the client has to try.
func reaches(t *testing.T, l *lab, srv *Group) {
	t.Helper()
	var fs [][]byte // some of them are worker 0's
	for i := range 16 {
		fs = append(fs, discover(&storm.Client{MAC: chaddr(i)}))
	}
	got := make(chan engine.Packet, 1)
	go func() {
		var b engine.Batch
		for srv.Conn(0).Recv(&b) == nil {
			if len(b.Packets) > 0 {
				got <- b.Packets[0]
				return
			}
		}
	}()
	until(t, "a frame", func() bool {
		l.client.Conn(0).Send(&engine.Batch{Replies: fs})
		select {
		case <-got:
			return true
		default:
			return false
		}
	})
}

// TestInterfaceComesAndGoes takes an interface through everything that happens
// to one, with readers waiting all the time.
func TestInterfaceComesAndGoes(t *testing.T) {
	var log journal
	l := newLab(t)
	must(t, nilNet.Delete("srv0"))
	srv := l.open(Config{Interface: "srv0", Ports: []uint16{67}, Workers: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if srv.Link() != nil || srv.Stats().Up {
		t.Fatal("there is a link before the interface")
	}
	if err := srv.SendOn(nil, nil); !errors.Is(err, ErrNoInterface) {
		t.Errorf("SendOn: %v", err)
	}
	drain := func() { // worker 1 has to live through it too
		var b engine.Batch
		for srv.Conn(1).Recv(&b) == nil {
		}
	}
	go drain()
	until(t, "cli0 gone", func() bool { return !l.client.Stats().Up })
	l.plug()
	until(t, "both ends opened", func() bool { return srv.Stats().Up && l.client.Stats().Up })
	reaches(t, l, srv)

	must(t, nilNet.SetDown("srv0"))
	until(t, "down", func() bool { return !srv.Stats().Up })
	must(t, nilNet.SetUp("srv0"))
	until(t, "up", func() bool { return srv.Stats().Up })
	reaches(t, l, srv)

	index := srv.Link().Index
	must(t, nilNet.Delete("srv0"))
	until(t, "gone", func() bool { return !srv.Stats().Up && !l.client.Stats().Up })
	l.plug()
	until(t, "back", func() bool { return srv.Stats().Up && l.client.Stats().Up })
	reaches(t, l, srv)
	if srv.Link().Index == index || srv.Stats().Opened != 2 {
		t.Errorf("index %d again, opened %d times", index, srv.Stats().Opened)
	}

	must(t, nilNet.Rename("srv0", "other0"))
	until(t, "renamed away", func() bool { return !srv.Stats().Up })
	must(t, nilNet.Rename("other0", "srv0"))
	until(t, "renamed back", func() bool { return srv.Stats().Up })
	reaches(t, l, srv)
	if n := log.count("the interface is gone"); n != 2 {
		t.Errorf("%d lines say that the interface is gone, want 2", n)
	}
	if n := log.count("the interface is not there yet"); n != 1 {
		t.Errorf("%d lines say that the interface is not there yet, want 1", n)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []Config{
		{Ports: []uint16{67}},
		{Interface: "srv0"},
		{Interface: "srv0", Ports: []uint16{67}, Workers: 65},
	} {
		if g, err := Open(c); err == nil {
			g.Close()
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestOverlap(t *testing.T) {
	links := []netlink.Link{
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "eth0", Index: 2, MasterIndex: 4}},
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "eth1", Index: 3}},
		&netlink.Bond{LinkAttrs: netlink.LinkAttrs{Name: "bond0", Index: 4}},
		&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "eth1.5", Index: 5, ParentIndex: 3}, VlanId: 5},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth0", Index: 6, ParentIndex: 7}},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth1", Index: 7, ParentIndex: 6}},
	}
	for names, want := range map[string]string{
		"eth0 eth1":       "",
		"bond0 eth1":      "",
		"veth0 veth1":     "", // two ends of a cable, not one frame twice
		"eth0 bond0":      "bond0 and eth0",
		"eth1.5 eth1":     "eth1 and eth1.5",
		"eth1.5 missing0": "",
	} {
		err := overlap(links, strings.Fields(names))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", names, err, want)
		}
	}
	must(t, CheckOverlap([]string{"lo"}))
}

// TestSinkNamesTheOwner opens the port twice.
func TestSinkNamesTheOwner(t *testing.T) {
	c, err := net.ListenPacket("udp4", "0.0.0.0:67")
	must(t, err)
	defer c.Close()
	s, err := OpenSink(67)
	if err == nil {
		s.Close()
		t.Fatal("the port was free")
	}
	self, ferr := os.ReadFile("/proc/self/comm")
	must(t, ferr)
	if want := fmt.Sprintf("taken by %s (process %d)", strings.TrimSpace(string(self)), os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not name this process", err)
	}
}
