package rack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/clusto/clusto-engine/clusto"
)

// FuzzLayout: no panic; what is wrong has a line of the file; Check tells what the plainest
// words find, each thing by its line, its port and what it is, and nothing else; two things of
// a full rack are at one place only where it tells something; and Place knows the ports that
// there are and no others. A layout of the right form is not refused, whatever its numbers.
func FuzzLayout(f *testing.F) {
	addLayouts(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse("x.json", data)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || l != nil {
				t.Fatalf("%v, %v", l, err)
			}
			haveLines(t, problems, data)
			data = rightForm(data)
			if l, err = Parse("x.json", data); err != nil {
				t.Fatalf("%v\nof %s", err, data)
			}
		}
		if l.Name == "" || l.sw == nil || (len(l.servers) == 0) == (l.exec == "") {
			t.Fatalf("a layout without a name, a switch, or a place for servers: %+v", l)
		}
		problems := Check(l)
		haveLines(t, problems, data)
		want := told(l)
		if collides(l) && len(want) == 0 {
			t.Fatal("two things of a full rack are at one place, and nothing is to be told")
		}
		same := func(p, w Problem) bool {
			return p.File == w.File && p.Layout == w.Layout && p.Line == w.Line && p.Port == w.Port && strings.HasPrefix(p.What, w.What)
		}
		if !slices.EqualFunc(problems, want, same) {
			t.Fatalf("told are\n%v\nwant\n%v", Problems(problems), Problems(want))
		}
		if err := Draw(io.Discard, l); err != nil {
			t.Error(err)
		}
		if len(problems) == 0 {
			places(t, l)
		}
	})
}

func addLayouts(f *testing.F) {
	f.Helper()
	f.Add([]byte(Example))
	for _, glob := range []string{"layouts/*.json", "testdata/*.json"} {
		files, err := filepath.Glob(glob)
		if err != nil || files == nil {
			f.Fatal(files, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	// Made as the tests of Check make theirs: ranges that overlap or go backwards and an outlet twice; lists;
	// a power strip of another driver; a program instead of servers.
	f.Add([]byte(with(`{"ports": ["1-3", "3-5"], "ru": "3-1", "outlets": "aa1, aa1, bb7"}`)))
	f.Add([]byte(with(`{"ports": [1, 2], "ru": [1, 2], "driver": "penguinserver2u", "outlets": ["aa1", "aa1"], "console": 48}`)))
	f.Add([]byte(devices(sw, `"power": {"suffix": "p", "driver": "basicpowerstrip", "ru": 36, "port": 1}`)))
	f.Add([]byte(`{"name": "x", "devices": {` + sw + `}, "exec": "place", "timeout": "1ms"}`))
	// What is wrong is on lines of its own, behind what is right; and what is not there: units on either side,
	// ports of what a cable leads to, ports that it begins at; and programs that are none.
	f.Add([]byte(with("{\n\"ports\": \"1-2\",\n\"ru\": \"36, 46\",\n\"outlets\":\n\"aa1, aa8\"}", "{\"ports\": [3, 2],\n\"ru\": \"0\"}", `{"ports": "49, 0", "ru": "1-2", "console": "1, 49", "outlets": "ca1, 5"}`)))
	f.Add([]byte(devices(sw, `"console": {"suffix": "ts1", "driver": "basicconsoleserver", "ru": 36, "port": 49}`, `"power": {"suffix": "p", "driver": "basicpowerstrip", "ru": 4, "console": 1}`)))
	for _, path := range []string{"fuzz_test.go", "/bin/sh", "/", "/nowhere"} {
		f.Add([]byte(`{"name": "x", "devices": {` + sw + "},\n\"exec\": \"" + path + `"}`))
	}
	f.Add([]byte(with(`{"ports": "1-3", "ru": "1-3"}`, "{\"ru\": \"5-6\",\n\"ports\": \"3-4\"}", `{"ports": "4", "ru": "7"}`)))
	f.Add([]byte(`{}`))
}

func haveLines(t *testing.T, problems []Problem, data []byte) {
	t.Helper()
	for _, p := range problems {
		if p.Line < 1 || p.Line > 1+bytes.Count(data, []byte("\n")) || p.What == "" || p.File != "x.json" {
			t.Errorf("problem %+v", p)
		}
	}
}

// rightForm makes a layout of any bytes: a server in a row of its own of each four, whose numbers
// may be too large, or those of another.
func rightForm(data []byte) []byte {
	var rows []string
	for b := data; len(b) >= 4 && len(rows) < 20; b = b[4:] {
		rows = append(rows, fmt.Sprintf(`{"ports": %d, "ru": %d, "outlets": "%c%c%d", "console": %d}`, b[0]%64, b[1]%64, 'a'+b[2]&1, 'a'+b[2]>>1&1, b[2]>>2%10, 1+b[3]%64))
	}
	return []byte(with(append(rows, `{"ports": 1, "ru": 1}`)...))
}

// told gives what Check should tell of a layout, by the plainest words and in the order of the
// file's servers behind its devices; of each problem the beginning.
func told(l *Layout) (all []Problem) {
	holders := map[string]string{} // who has a unit, a port or an outlet
	for _, d := range l.devices() {
		tell := func(key, what string) {
			all = append(all, Problem{l.File, d.at.of(key), l.Name, 0, d.called() + ": " + what})
		}
		wantUnit(l, holders, d.ru, fmt.Sprintf("%s on line %d", d.called(), d.at.of("ru")), tell)
		for _, c := range d.cables {
			wantPort(l, holders, d.driver, c, d.called(), d.at, tell)
		}
	}
	first := map[int]int{} // line by first port
	for _, s := range l.servers {
		port := s.ports[0]
		tell := func(key, what string) { all = append(all, Problem{l.File, s.at.of(key), l.Name, port, what}) }
		if line, ok := first[port]; ok {
			tell("ports", fmt.Sprintf("it is mapped twice, first on line %d;", line))
			continue
		}
		first[port] = s.at.of("ports")
		who := fmt.Sprintf("the server of port %d", port)
		for _, ru := range s.rus {
			wantUnit(l, holders, ru, fmt.Sprintf("%s on line %d", who, s.at.of("ru")), tell)
		}
		for i, n := range s.ports {
			wantPort(l, holders, s.driver, Connection{nic, strconv.Itoa(i + 1), roleSwitch, strconv.Itoa(n)}, who, s.at, tell)
		}
		for i, name := range s.outlets {
			wantPort(l, holders, s.driver, Connection{power, strconv.Itoa(i + 1), rolePower, name}, who, s.at, tell)
		}
		if s.console != 0 {
			wantPort(l, holders, s.driver, Connection{console, "1", roleConsole, strconv.Itoa(s.console)}, who, s.at, tell)
		}
	}
	if st, err := os.Stat(l.exec); l.exec != "" && (err != nil || !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0) {
		all = append(all, Problem{l.File, l.execLine, l.Name, 0, "exec: "})
	}
	return all
}

func wantUnit(l *Layout, holders map[string]string, ru int, who string, tell func(key, what string)) {
	what := fmt.Sprintf("unit %d", ru)
	if ru < l.minu || ru > l.maxu {
		tell("ru", fmt.Sprintf("there is no %s; the rack has %d to %d", what, l.minu, l.maxu))
		return
	}
	wantFree(holders, "ru", what, who, tell)
}

func wantPort(l *Layout, holders map[string]string, from string, c Connection, who string, at lines, tell func(key, what string)) {
	key, to := "ports", l.sw
	what := "switch port " + c.ToNum
	switch c.To {
	case rolePower:
		key, to, what = "outlets", l.power, "outlet "+c.ToNum
	case roleConsole:
		key, to, what = "console", l.console, "console port "+c.ToNum
	}
	switch {
	case !there(from, c.Port, c.Num):
		tell(key, fmt.Sprintf("%s: %s has no %s %s to plug into it;", what, from, c.Port, c.Num))
	case !there(to.driver, c.Port, c.ToNum):
		tell(key, fmt.Sprintf("there is no %s; %s has ", what, to.driver))
	default:
		wantFree(holders, key, what, fmt.Sprintf("%s on line %d", who, at.of(key)), tell)
	}
}

func wantFree(holders map[string]string, key, what, who string, tell func(key, what string)) {
	if first, ok := holders[what]; ok {
		tell(key, fmt.Sprintf("%s is taken by %s;", what, first))
		return
	}
	holders[what] = who
}

var towerOutlet = regexp.MustCompile(`^[ab][ab][1-8]$`)

// there counts up to a port; of a power tower, from aa1 to bb8.
func there(driver, port, num string) bool {
	if driver == clusto.PowerTower && port == power {
		return towerOutlet.MatchString(num)
	}
	for n := 1; n <= clusto.Drivers[driver].Ports[port]; n++ {
		if num == strconv.Itoa(n) {
			return true
		}
	}
	return false
}

// collides reports whether two things of a full rack are at one place.
func collides(l *Layout) bool {
	seen, twice := map[string]bool{}, false
	take := func(what ...any) {
		key := fmt.Sprint(what...)
		twice = twice || seen[key]
		seen[key] = true
	}
	for _, op := range l.Infrastructure("r") {
		switch op.Op {
		case "insert":
			take("unit", " ", op.RU)
		case "connect":
			take(op.To, " ", op.Port, " ", op.ToNum)
		}
	}
	for i := range l.servers {
		p := l.placement("r", &l.servers[i], 1)
		for _, ru := range p.RUs {
			take("unit", " ", ru)
		}
		for _, c := range p.Connections {
			take(c.To, " ", c.Port, " ", c.ToNum)
		}
	}
	return twice
}

// places goes through the ports of a sound layout.
func places(t *testing.T, l *Layout) {
	t.Helper()
	mapped := map[int]bool{}
	for _, port := range l.Ports() {
		mapped[port] = true
		p, err := l.Place("r", port)
		if err != nil {
			t.Fatal(err)
		}
		on := Connection{nic, fmt.Sprint(p.NIC), l.Switch("r"), fmt.Sprint(port)}
		found := 0
		for _, c := range p.Connections {
			if c == on {
				found++
			}
		}
		if found != 1 || len(p.RUs) != unitsOf(p.Driver) {
			t.Errorf("port %d: %+v", port, p)
		}
		for i, ru := range p.RUs {
			if ru < l.minu || ru > l.maxu || ru != p.RUs[0]+i {
				t.Errorf("port %d: units %v", port, p.RUs)
			}
		}
	}
	for port := -1; port < 60; port++ {
		want := ErrUnmapped
		if l.exec != "" {
			want = clusto.ErrInvalid
		}
		if p, err := l.Place("r", port); !mapped[port] && !errors.Is(err, want) {
			t.Errorf("port %d: %v, %v", port, p, err)
		}
	}
}

// FuzzAnswer: what a program writes is refused in one line, as invalid or as unmapped; or it is a
// server in as many units as it takes, which exist and no device of the rack has, with ports that it has,
// each connected once, and of them its network card on the port of the event. A server of two
// units alone is taken wherever they are free, with either card.
func FuzzAnswer(f *testing.F) {
	text := with("")
	l, err := Parse("x.json", []byte(text[:strings.Index(text, `"servers"`)]+`"exec": "place"}`))
	if err != nil {
		f.Fatal(err)
	}
	const also = `, {"port": "pwr-nema-5", "num": "1", "to": "r1-pwr1", "to_num": "aa2"}, {"port": "console-serial", "num": 1, "to": "r1-ts1", "to_num": 7}`
	for _, driver := range []string{"penguinserver", "penguinserver2u", "cisco4948"} {
		for _, ru := range []string{"10", "11, 10", "10, 12", "46", "36"} {
			f.Add(answerOf(driver, ru, 2, ""))
			f.Add(answerOf(driver, ru, 1, also))
		}
	}
	f.Add(bytes.Replace(answerOf("penguinserver", "10", 1, ""), []byte("25"), []byte("24"), 1))
	f.Add(answerOf("penguinserver", "10", 1, `, {"port": "nic-eth", "num": "1", "to": "r1-sw1", "to_num": 26}`))
	f.Add([]byte(`{"unmapped": "port 25\nis a spare"}`))
	f.Add([]byte(`{"driver": "penguinserver", "ru": [1], "connections": [{"port": "a\nb", "num": {
}, "to": "r1-sw1", "to_num": 25}]}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		p, err := l.answer(out, event, "r1")
		if err != nil {
			if errors.Is(err, ErrUnmapped) == errors.Is(err, clusto.ErrInvalid) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("%q", err)
			}
			unit, card := 1, 1
			if len(out) > 1 {
				unit, card = int(out[0])%50, int(out[1])%4
			}
			p, err = l.answer(answerOf("penguinserver2u", fmt.Sprintf("%d, %d", unit+1, unit), card, ""), event, "r1")
			if right := freeUnit(l, unit) && freeUnit(l, unit+1) && (card == 1 || card == 2); (err == nil) != right {
				t.Fatalf("card %d in unit %d: %v", card, unit, err)
			} else if !right {
				return
			}
		}
		fits(t, l, p)
	})
}

func answerOf(driver, ru string, card int, also string) []byte {
	return fmt.Appendf(nil, `{"driver": %q, "ru": [%s], "connections": [{"port": "nic-eth", "num": %d, "to": "r1-sw1", "to_num": 25}%s]}`, driver, ru, card, also)
}

func freeUnit(l *Layout, ru int) bool {
	return ru >= l.minu && ru <= l.maxu && !slices.ContainsFunc(l.devices(), func(d *device) bool { return d.ru == ru })
}

func fits(t *testing.T, l *Layout, p Placement) {
	t.Helper()
	if clusto.Drivers[p.Driver].Type != "server" || len(p.RUs) != unitsOf(p.Driver) || !slices.Contains(p.Connections, Connection{nic, strconv.Itoa(p.NIC), event.Switch, strconv.Itoa(event.Port)}) {
		t.Errorf("no server at its port: %+v", p)
	}
	for i, ru := range p.RUs {
		if ru != p.RUs[0]+i || !freeUnit(l, ru) {
			t.Errorf("units of %+v", p)
		}
	}
	for i, c := range p.Connections {
		twice := func(o Connection) bool {
			return o.Port == c.Port && (o.Num == c.Num || o.To == c.To && o.ToNum == c.ToNum)
		}
		if !there(p.Driver, c.Port, c.Num) || slices.ContainsFunc(p.Connections[:i], twice) {
			t.Errorf("connection %+v of %+v", c, p)
		}
	}
}
