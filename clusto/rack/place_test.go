package rack

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// The layouts of the original, port by port: port, unit, outlet.
const table201001 = `
1 1 bb1
2 2 bb2
3 3 bb3
4 4 bb4
5 5 bb5
6 6 bb6
7 7 bb7
8 8 bb8
9 9 ba1
10 10 ba2
11 11 ba3
12 12 ba4
13 13 ba5
14 14 ba6
15 15 ba7
16 16 ba8
17 17 ab1
18 18 ab2
19 19 ab3
20 20 ab4
21 21 ab5
22 22 ab6
23 23 ab7
24 25 aa1
25 26 aa2
26 27 aa3
27 28 aa4
28 29 aa5
29 30 aa6
30 31 aa7`

const table5555 = `
1 1 bb1
2 2 bb2
3 3 bb3
4 4 bb4
5 5 bb5
6 7 ba1
7 8 ba2
8 9 ba3
9 10 ba4
10 11 ba5
11 13 ab1
12 14 ab2
13 15 ab3
14 16 ab4
15 17 ab5
16 19 aa1
17 20 aa2
18 21 aa3
19 22 aa4
20 23 aa5`

func TestBuiltInLayouts(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if len(layouts) != 3 {
		t.Errorf("%d layouts are built in, want 3", len(layouts))
	}
	for name, table := range map[string]string{"201001": table201001, "5555": table5555, "4444": table5555} {
		l, err := layouts.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if p := Check(l); p != nil {
			t.Errorf("%s: %v", name, p)
		}
		two := name != "201001" // network cards
		mapped := map[int]bool{}
		for line := range strings.Lines(strings.TrimSpace(table) + "\n") {
			var port, ru int
			var outlet string
			if _, err := fmt.Sscan(line, &port, &ru, &outlet); err != nil {
				t.Fatal(err)
			}
			want := Placement{Driver: "penguinserver", RUs: []int{ru}, NIC: 1, Connections: []Connection{
				{"nic-eth", "1", "r1-sw1", fmt.Sprint(port)},
			}}
			if two {
				want.Connections = append(want.Connections, Connection{"nic-eth", "2", "r1-sw1", fmt.Sprint(port + 20)})
			}
			want.Connections = append(want.Connections,
				Connection{"pwr-nema-5", "1", "r1-pwr1", outlet},
				Connection{"console-serial", "1", "r1-ts1", fmt.Sprint(port)})
			mapped[port] = placed(t, l, port, want)
			if want.NIC = 2; two {
				mapped[port+20] = placed(t, l, port+20, want)
			}
		}
		for port := -1; port <= 100; port++ {
			if p, err := l.Place("r1", port); !mapped[port] && !errors.Is(err, ErrUnmapped) {
				t.Errorf("%s: port %d: %v, %v, want ErrUnmapped", name, port, p, err)
			}
		}
	}
}

func placed(t *testing.T, l *Layout, port int, want Placement) bool {
	t.Helper()
	if got, err := l.Place("r1", port); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: port %d: %v, %v\nwant %v", l.Name, port, got, err, want)
	}
	return true
}

// recorded reads a table of testdata.
func recorded(t *testing.T, name string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(readTestdata(t, name)) {
		if !strings.HasPrefix(line, "#") {
			rows = append(rows, strings.Split(strings.TrimSpace(line), "\t"))
		}
	}
	return rows
}

// TestPlacesAreTheOriginals compares with what the original wrote of servers
// that it made or that were in its racks.
func TestPlacesAreTheOriginals(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	rows := recorded(t, "recorded.tsv")
	for _, r := range rows {
		var port, ru int
		fmt.Sscan(r[1], &port)
		fmt.Sscan(r[2], &ru)
		want := Placement{Driver: "penguinserver", RUs: []int{ru}, NIC: 1, Connections: []Connection{
			{"nic-eth", "1", r[3], r[1]}, {"pwr-nema-5", "1", r[4], r[5]}, {"console-serial", "1", r[6], r[7]},
		}}
		if got, err := layouts["201001"].Place(r[0], port); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("port %d of %s: %v, %v\nwant %v", port, r[0], got, err, want)
		}
	}
	if len(rows) != 37 {
		t.Errorf("%d recorded servers, want 37", len(rows))
	}
}

// TestInfrastructureIsTheOriginals compares the devices of a rack and both ends
// of each of their cables.
func TestInfrastructureIsTheOriginals(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range layouts["201001"].Infrastructure("sv2-r01") {
		row := func(words ...string) { got = append(got, strings.Join(words, " ")) }
		switch op.Op {
		case "attr":
			if op.Name != "sv2-r01" || op.Key != "racklayout" || op.Value.Str != "201001" {
				t.Errorf("attribute %+v", op)
			}
		case "entity":
			row("insert", op.Name, op.Driver)
		case "insert":
			got[len(got)-1] += fmt.Sprint(" ", op.RU)
			if op.Into != "sv2-r01" || !strings.HasPrefix(got[len(got)-1], "insert "+op.Name+" ") {
				t.Errorf("insert %+v", op)
			}
		case "connect":
			row("connect", op.Name, op.Port, op.Num, op.To, op.ToNum)
			if n := clusto.Outlet(op.ToNum); n != 0 {
				op.ToNum = fmt.Sprint(n) // the other end is stored by number
			}
			row("connect", op.To, op.Port, op.ToNum, op.Name, op.Num)
		}
	}
	var want []string
	for _, r := range recorded(t, "recorded-devices.tsv") {
		want = append(want, strings.Join(r, " "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("made\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestInfrastructureOf5555(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"5555", "4444"} {
		var got []string
		for _, op := range layouts[name].Infrastructure("r1") {
			if op.Op == "connect" {
				got = append(got, fmt.Sprintf("connect %s %s %s %s %s", op.Name, op.Port, op.Num, op.To, op.ToNum))
				continue
			}
			got = append(got, fmt.Sprintf("%s %s %s%s %d", op.Op, op.Name, op.Driver, op.Into, op.RU))
		}
		want := []string{
			"attr r1  0",
			"entity r1-sw1 cisco4948 0", "insert r1-sw1 r1 31",
			"entity r1-ts1 opengearcm4148 0", "insert r1-ts1 r1 30",
			"entity r1-pwr1 powertowerxm 0", "insert r1-pwr1 r1 29",
			"connect r1-sw1 pwr-nema-5 1 r1-pwr1 aa8", "connect r1-sw1 console-serial 1 r1-ts1 48",
			"connect r1-ts1 nic-eth 1 r1-sw1 43", "connect r1-ts1 pwr-nema-5 1 r1-pwr1 ab8",
			"connect r1-pwr1 nic-eth 1 r1-sw1 44", "connect r1-pwr1 console-serial 1 r1-ts1 44",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: made\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestExample looks at what the example says of itself.
func TestExample(t *testing.T) {
	l := mustParse(t, Example)
	if p := Check(l); p != nil {
		t.Fatal(p)
	}
	for port, want := range map[int]string{
		1:  "penguinserver [1] 1 nic-eth/1=sw1/1 nic-eth/2=sw1/21 pwr-nema-5/1=pwr1/bb1 console-serial/1=ts1/1",
		21: "penguinserver [1] 2 nic-eth/1=sw1/1 nic-eth/2=sw1/21 pwr-nema-5/1=pwr1/bb1 console-serial/1=ts1/1",
		6:  "penguinserver2u [10 11] 1 nic-eth/1=sw1/6 pwr-nema-5/1=pwr1/aa1 pwr-nema-5/2=pwr1/ba1 console-serial/1=ts1/6",
		8:  "penguinserver2u [14 15] 1 nic-eth/1=sw1/8 pwr-nema-5/1=pwr1/aa3 pwr-nema-5/2=pwr1/ba3 console-serial/1=ts1/8",
		9:  "penguinserver [22] 1 nic-eth/1=sw1/9 pwr-nema-5/1=pwr1/ba8 console-serial/1=ts1/40",
		12: "penguinserver [20] 1 nic-eth/1=sw1/12 pwr-nema-5/1=pwr1/ba6 console-serial/1=ts1/38",
	} {
		p, err := l.Place("r1", port)
		got := fmt.Sprint(p.Driver, " ", p.RUs, " ", p.NIC)
		for _, c := range p.Connections {
			got += fmt.Sprintf(" %s/%s=%s/%s", c.Port, c.Num, strings.TrimPrefix(c.To, "r1-"), c.ToNum)
		}
		if err != nil || got != want {
			t.Errorf("port %d: %v, %v\nwant %v", port, got, err, want)
		}
	}
}

// TestDocumentedLayout reads the layout of the package's documentation.
func TestDocumentedLayout(t *testing.T) {
	var text strings.Builder
	doc := readTestdata(t, "../doc.go")
	for line := range strings.Lines(doc[strings.Index(doc, "//\t{"):]) {
		if text.WriteString(strings.TrimPrefix(line, "//\t")); line == "//\t}\n" {
			break
		}
	}
	l := mustParse(t, text.String())
	if p := Check(l); p != nil {
		t.Error(p)
	}
	if p, err := l.Place("r1", 25); err != nil || p.NIC != 2 || p.RUs[0] != 5 {
		t.Errorf("port 25: %v, %v", p, err)
	}
}

// TestOnlyASwitch is the least that a layout can be.
func TestOnlyASwitch(t *testing.T) {
	l := mustParse(t, `{"name": "least", "devices": {"switch": {"suffix": "sw", "driver": "basicnetworkswitch", "ru": 1}}, "servers": [{"ports": 48, "ru": 45}]}`)
	if p := Check(l); p != nil {
		t.Fatal(p)
	}
	want := Placement{Driver: "penguinserver", RUs: []int{45}, NIC: 1, Connections: []Connection{{"nic-eth", "1", "r-sw", "48"}}}
	if got, err := l.Place("r", 48); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if ops := l.Infrastructure("r"); len(ops) != 3 {
		t.Errorf("operations %+v", ops)
	}
}

func TestUnknownLayout(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	_, err = layouts.Find("555")
	want := `there is no rack layout "555"; did you mean "5555"? known are 201001, 4444, 5555: not found in clusto`
	if !errors.Is(err, clusto.ErrNotFound) || err.Error() != want {
		t.Errorf("%v, want %v", err, want)
	}
	_, err = layouts["201001"].Place("sv2-r01", 40)
	want = `place port 40 of rack sv2-r01: servers of layout 201001 are on ports 1-30: not in the rack's layout`
	if !errors.Is(err, ErrUnmapped) || err.Error() != want {
		t.Errorf("%v, want %v", err, want)
	}
}
