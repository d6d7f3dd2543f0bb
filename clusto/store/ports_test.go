package store

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

func connect(name, kind, num, to, toNum string) clusto.Op {
	return clusto.Op{Op: "connect", Name: name, Port: kind, Num: num, To: to, ToNum: toNum}
}

func disconnect(name, kind, num string) clusto.Op {
	return clusto.Op{Op: "disconnect", Name: name, Port: kind, Num: num}
}

func labelled(op clusto.Op, label string) clusto.Op {
	op.As = label
	return op
}

// discovery is what comes of a MAC on a free port of a switch.
func discovery(mac string, port int, outlet string) []clusto.Op {
	lacks := as("lacks", attrAt("", "port-nic-eth/mac", str(mac)))
	n := fmt.Sprint(port)
	return []clusto.Op{
		lacks, as("lacks", attrAt("", "bootstrap/mac", str(mac))),
		as("has", attrAt("sv2-r01", "racklayout", str("201001"))),
		{Op: "lacks", Name: "sv2-r01-sw1", Key: "port-nic-eth", Subkey: ptr("connection"), Number: &port},
		labelled(clusto.Op{Op: "allocate", Name: "servernames", Driver: "penguinserver"}, "new"),
		attrAt("$new", "bootstrap/mac", str(mac)),
		insert("$new", "sv2-r01", port+1),
		connect("$new", "nic-eth", "1", "sv2-r01-sw1", n),
		connect("$new", "pwr-nema-5", "1", "sv2-r01-pwr1", outlet),
		connect("$new", "console-serial", "1", "sv2-r01-ts1", n),
		attrAt("sv2-r01-sw1", "port-nic-eth/vlan/"+n, num(42)),
	}
}

func ptr(s string) *string { return &s }

// TestDiscoveryAsTheOriginal has one batch write what the original's trap daemon
// wrote for a new server.
func TestDiscoveryAsTheOriginal(t *testing.T) {
	text, err := os.ReadFile("testdata/trap-effect.json")
	if err != nil {
		t.Fatal(err)
	}
	var effect struct {
		Entities []clusto.Entity `json:"entities_added"`
		Attrs    []struct {
			Entity, Key, Subkey, Datatype string
			Number                        *int
			Value                         any
		} `json:"attrs_added"`
		Counters []struct {
			Before, After int
			Entity        string
			Key           string `json:"attr_key"`
		} `json:"counters_changed"`
	}
	if err := json.Unmarshal(text, &effect); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range effect.Counters {
		want = append(want, fmt.Sprintf("-counter %s %s %d", c.Entity, c.Key, c.Before), fmt.Sprintf("+counter %s %s %d", c.Entity, c.Key, c.After))
	}
	for _, e := range effect.Entities {
		want = append(want, fmt.Sprintf("+entity %s %s %s", e.Name, e.Type, e.Driver))
	}
	for _, a := range effect.Attrs {
		number := "-"
		if a.Number != nil {
			number = fmt.Sprint(*a.Number)
		}
		want = append(want, fmt.Sprintf("+%s %s %s %s %s %v", a.Entity, a.Key, a.Subkey, number, a.Datatype, a.Value))
	}
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		before := facts(t, s)
		results, err := s.Change(t.Context(), discovery("00:1e:c9:00:0a:01", 25, "aa2"))
		if err != nil || len(results) != 1 || results[0] != (clusto.Result{Index: 4, Name: "s0029"}) {
			t.Fatalf("got %v, %v", results, err)
		}
		got := changes(before, facts(t, s))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// Once more it stops at what it asks for first, and blocks no name.
		refused(t, s, clusto.ErrConflict, `/server/s0029 has attribute bootstrap mac = "00-1E-C9-00-0A-01"`, discovery("00-1E-C9-00-0A-01", 26, "aa3")[:2]...)
		refused(t, s, clusto.ErrConflict, "/networkswitch/sv2-r01-sw1 has attribute port-nic-eth connection 25", discovery("00:1e:c9:00:0a:02", 25, "aa3")[:4]...)
		results, err = s.Change(t.Context(), discovery("00:1e:c9:00:0a:02", 26, "aa3"))
		if err != nil || results[0].Name != "s0030" {
			t.Errorf("got %v, %v", results, err)
		}
	})
}

func TestConnect(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		does(t, s, []clusto.Op{create("a", "penguinserver2u"), create("b", "basicserver")}, "+entity a server penguinserver2u", "+entity b server basicserver")
		plug := []clusto.Op{connect("a", "pwr-nema-5", "2", "sv2-r01-pwr1", ".AA2")}
		does(t, s, plug, "+a port-pwr-nema-5 connection 2 relation ->sv2-r01-pwr1", "+a port-pwr-nema-5 otherportnum 2 string aa2",
			"+sv2-r01-pwr1 port-pwr-nema-5 connection 2 relation ->a", "+sv2-r01-pwr1 port-pwr-nema-5 otherportnum 2 int 2")
		does(t, s, plug)
		does(t, s, []clusto.Op{connect("sv2-r01-pwr1", "pwr-nema-5", "2", "a", "2")}) // the same from the other side
		// What the original wrote holds, outlets by name and by number.
		does(t, s, []clusto.Op{connect("s0002", "pwr-nema-5", "1", "sv2-r01-pwr1", "bb2"), connect("sv2-r01-pwr1", "pwr-nema-5", "26", "s0002", "1")})
		does(t, s, []clusto.Op{connect("b", "nic-eth", "1", "a", "2"), connect("a", "nic-eth", "1", "b", "2")},
			"+b port-nic-eth connection 1 relation ->a", "+b port-nic-eth otherportnum 1 int 2", "+a port-nic-eth connection 2 relation ->b",
			"+a port-nic-eth otherportnum 2 int 1", "+a port-nic-eth connection 1 relation ->b", "+a port-nic-eth otherportnum 1 int 2",
			"+b port-nic-eth connection 2 relation ->a", "+b port-nic-eth otherportnum 2 int 1")
		does(t, s, []clusto.Op{disconnect("b", "nic-eth", "1")}, "-b port-nic-eth connection 1 relation ->a", "-b port-nic-eth otherportnum 1 int 2",
			"-a port-nic-eth connection 2 relation ->b", "-a port-nic-eth otherportnum 2 int 1")
		does(t, s, []clusto.Op{disconnect("b", "nic-eth", "1")})
		does(t, s, []clusto.Op{disconnect("sv2-r01-pwr1", "pwr-nema-5", "aa2"), connect("b", "pwr-nema-5", "1", "sv2-r01-pwr1", "2")},
			"-a port-pwr-nema-5 connection 2 relation ->sv2-r01-pwr1", "-a port-pwr-nema-5 otherportnum 2 string aa2",
			"-sv2-r01-pwr1 port-pwr-nema-5 connection 2 relation ->a", "-sv2-r01-pwr1 port-pwr-nema-5 otherportnum 2 int 2",
			"+b port-pwr-nema-5 connection 1 relation ->sv2-r01-pwr1", "+b port-pwr-nema-5 otherportnum 1 int 2",
			"+sv2-r01-pwr1 port-pwr-nema-5 connection 2 relation ->b", "+sv2-r01-pwr1 port-pwr-nema-5 otherportnum 2 int 1")
	})
}

func TestConnectRefuses(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		for _, tt := range []struct {
			op   clusto.Op
			want error
			says string
		}{
			{connect("s0002", "nic-eth", "1", "sv2-r01-sw1", "25"), clusto.ErrConflict, "connect nic-eth 1 of /server/s0002 to nic-eth 25 of /networkswitch/sv2-r01-sw1: the former is connected to port 2 of /networkswitch/sv2-r01-sw1"},
			{connect("new", "nic-eth", "1", "sv2-r01-sw1", "2"), clusto.ErrConflict, "connect nic-eth 2 of /networkswitch/sv2-r01-sw1 to nic-eth 1 of /server/new: the former is connected to port 1 of /server/s0002"},
			{connect("new", "pwr-nema-5", "1", "sv2-r01-pwr1", "bb2"), clusto.ErrConflict, "connect pwr-nema-5 bb2 of /powerstrip/sv2-r01-pwr1"},
			{connect("new", "nic-eth", "3", "sv2-r01-sw1", "30"), clusto.ErrInvalid, "its driver penguinserver has numbers 1 to 2"},
			{connect("new", "nic-eth", "1", "sv2-r01-sw1", "49"), clusto.ErrInvalid, "its driver cisco4948 has numbers 1 to 48"},
			{connect("new", "nic-eth", "0", "sv2-r01-sw1", "30"), clusto.ErrInvalid, `port nic-eth "0" of /server/new`},
			{connect("new", "nic-eth", "one", "sv2-r01-sw1", "30"), clusto.ErrInvalid, `"one"`},
			{connect("new", "nic-eth", "", "sv2-r01-sw1", "30"), clusto.ErrInvalid, `port nic-eth ""`},
			{connect("new", "", "1", "sv2-r01-sw1", "30"), clusto.ErrInvalid, `type ""`},
			{connect("new", "nic eth", "1", "sv2-r01-sw1", "30"), clusto.ErrInvalid, `type "nic eth"`},
			{connect("new", strings.Repeat("x", 252), "1", "sv2-r01-sw1", "30"), clusto.ErrInvalid, `xxx"... has 252 characters, and 251 are the most`}, // was said to be of wrong letters
			{connect("new", "nic-fiber10g", "1", "sv2-r01-sw1", "1"), clusto.ErrInvalid, "no ports of that type, but console-serial, nic-eth, pwr-nema-5"},
			{connect("new", "nic-eth", "1", "production", "1"), clusto.ErrInvalid, "no ports of that type, but none at all"},
			{connect("new", "pwr-nema-5", "1", "sv2-r01-pwr1", "ac1"), clusto.ErrInvalid, "numbers 1 to 32, or aa1 to bb8"},
			{connect("new", "pwr-nema-5", "1", "sv2-r01-pwr1", "33"), clusto.ErrInvalid, "numbers 1 to 32"},
			{connect("new", "pwr-nema-5", "aa1", "sv2-r01-pwr1", "aa1"), clusto.ErrInvalid, `"aa1" of /server/new`},
			{connect("new", "nic-eth", "1", "new", "1"), clusto.ErrInvalid, "to itself"},
			{connect("new", "nic-eth", "1", "nobody", "1"), clusto.ErrNotFound, `"nobody"`},
			{disconnect("new", "nic-eth", "9"), clusto.ErrInvalid, `"9"`},
		} {
			refused(t, s, tt.want, tt.says, create("new", "penguinserver"), tt.op)
		}
	})
}

// TestConnectMendsHalfConnections: what the original's deletions, and hands,
// leave behind.
func TestConnectMendsHalfConnections(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		strange := entity_("x", "sitedriver")
		strange.Type = "server"
		apply(t, s, create("a", "basicserver"), create("b", "basicserver"), strange, create("sw", "cisco4948"),
			attrAt("a", "port-nic-eth/otherportnum/1", num(7)),                                                        // of a deleted peer
			attrAt("b", "port-nic-eth/connection/1", rel("sw")), attrAt("b", "port-nic-eth/otherportnum/1", str("2"))) // the switch does not know
		does(t, s, []clusto.Op{connect("a", "nic-eth", "1", "sw", "1")}, "-a port-nic-eth otherportnum 1 int 7",
			"+a port-nic-eth connection 1 relation ->sw", "+a port-nic-eth otherportnum 1 int 1",
			"+sw port-nic-eth connection 1 relation ->a", "+sw port-nic-eth otherportnum 1 int 1")
		does(t, s, []clusto.Op{connect("b", "nic-eth", "1", "sw", "2")}, "+sw port-nic-eth connection 2 relation ->b", "+sw port-nic-eth otherportnum 2 int 1")
		// A driver that clusto does not have may have any port.
		does(t, s, []clusto.Op{connect("x", "nic-eth", "99", "sw", "3")},
			"+x port-nic-eth connection 99 relation ->sw", "+x port-nic-eth otherportnum 99 int 3",
			"+sw port-nic-eth connection 3 relation ->x", "+sw port-nic-eth otherportnum 3 int 99")
		// Both sides are freed though one has lost the other's number.
		apply(t, s, delAt("b", "port-nic-eth/otherportnum/1"))
		does(t, s, []clusto.Op{disconnect("b", "nic-eth", "1")}, "-b port-nic-eth connection 1 relation ->sw",
			"-sw port-nic-eth connection 2 relation ->b", "-sw port-nic-eth otherportnum 2 int 1")
		apply(t, s, delAt("a", "port-nic-eth/otherportnum/1"))
		does(t, s, []clusto.Op{connect("a", "nic-eth", "1", "sw", "1")}, "+a port-nic-eth otherportnum 1 int 1")
	})
}
