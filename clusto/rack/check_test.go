package rack

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// problemsOf gives all that is wrong with the file x.json, in form or in sense.
func problemsOf(t *testing.T, text string) (out []string) {
	t.Helper()
	l, err := Parse("x.json", []byte(text))
	problems, _ := err.(Problems)
	if err == nil {
		problems = Check(l)
	} else if !errors.Is(err, clusto.ErrInvalid) {
		t.Errorf("%v does not wrap ErrInvalid", err)
	}
	for _, p := range problems {
		out = append(out, p.String())
	}
	return out
}

// with puts rows of servers into a layout whose devices are on lines 2 to 4, the
// rows from line 5 on.
func with(rows ...string) string {
	return `{"name": "x", "devices": {
"switch":  {"suffix": "sw1",  "driver": "cisco4948",      "ru": 36, "outlet": "aa8", "console": 48},
"console": {"suffix": "ts1",  "driver": "opengearcm4148", "ru": 34, "outlet": "ab8", "port": 43},
"power":   {"suffix": "pwr1", "driver": "powertowerxm",   "ru": 41, "port": 44, "console": 44}}, "servers": [
` + strings.Join(rows, ",\n") + "\n]}"
}

// device gives a layout with other devices, one to a line from line 2 on.
func devices(d ...string) string {
	return "{\"name\": \"x\", \"devices\": {\n" + strings.Join(d, ",\n") + "},\n" + `"servers": [{"ports": 1, "ru": 1}]}`
}

const sw = `"switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 36}`

type problemTest struct {
	name, in string
	want     []string
}

func check(t *testing.T, tests []problemTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := problemsOf(t, test.in); !slices.Equal(got, test.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(test.want, "\n  "))
			}
		})
	}
}

func TestUnits(t *testing.T) {
	check(t, []problemTest{
		{"none", with(`{"ports": "1-2", "ru": "1-2"}`), nil},
		{"a unit of a device", with(`{"ports": "1-2", "ru": "35-36"}`), []string{
			`x.json:5: layout x: port 2: unit 36 is taken by the switch on line 2; give one of them another`,
		}},
		{"a unit of another server", with(`{"ports": "1-2", "ru": "1-2"}`, `{"ports": "3-4", "ru": "3, 2"}`), []string{
			`x.json:6: layout x: port 4: unit 2 is taken by the server of port 2 on line 5; give one of them another`,
		}},
		{"the upper unit of 2U", with(`{"ports": 1, "ru": "1-2", "driver": "penguinserver2u"}`, `{"ports": 2, "ru": 2}`), []string{
			`x.json:6: layout x: port 2: unit 2 is taken by the server of port 1 on line 5; give one of them another`,
		}},
		{"2U below another server", with(`{"ports": 2, "ru": 2}`, `{"ports": 1, "ru": "1-2", "driver": "penguinserver2u"}`), []string{
			`x.json:6: layout x: port 1: unit 2 is taken by the server of port 2 on line 5; give one of them another`,
		}},
		{"units that are not there", with(`{"ports": "1-2", "ru": "45-46"}`, `{"ports": "3", "ru": 0}`), []string{
			`x.json:5: layout x: port 2: there is no unit 46; the rack has 1 to 45`,
			`x.json:6: layout x: port 3: there is no unit 0; the rack has 1 to 45`,
		}},
	})
}

func TestOutlets(t *testing.T) {
	check(t, []problemTest{
		{"an outlet of a device", with(`{"ports": 1, "ru": 1, "outlets": "aa8"}`), []string{
			`x.json:5: layout x: port 1: outlet aa8 is taken by the switch on line 2; give one of them another`,
		}},
		{"an outlet twice", with(`{"ports": "1-2", "ru": "1-2", "outlets": "aa1-aa2"}`, `{"ports": 3, "ru": 3, "outlets": "aa2"}`), []string{
			`x.json:6: layout x: port 3: outlet aa2 is taken by the server of port 2 on line 5; give one of them another`,
		}},
		{"both supplies on one outlet", with(`{"ports": 1, "ru": "1-2", "driver": "penguinserver2u", "outlets": ["aa1", "aa1"]}`), []string{
			`x.json:5: layout x: port 1: outlet aa1 is taken by the server of port 1 on line 5; give one of them another`,
		}},
		{"outlets that are not there", with(`{"ports": "1-2", "ru": "1-2", "outlets": "aa9, 5"}`, `{"ports": 3, "ru": 3, "outlets": "ca1"}`), []string{
			`x.json:5: layout x: port 1: there is no outlet aa9; powertowerxm has aa1 to bb8`,
			`x.json:5: layout x: port 2: there is no outlet 5; powertowerxm has aa1 to bb8`,
			`x.json:6: layout x: port 3: there is no outlet ca1; powertowerxm has aa1 to bb8`,
		}},
	})
}

func TestPorts(t *testing.T) {
	check(t, []problemTest{
		{"a port of a device", with(`{"ports": 44, "ru": 1, "console": 1}`), []string{
			`x.json:5: layout x: port 44: switch port 44 is taken by the power strip on line 4; give one of them another`,
		}},
		{"a port twice", with(`{"ports": "1-3", "ru": "1-3"}`, `{"ports": "3-4", "ru": "5-6"}`), []string{
			`x.json:6: layout x: port 3: it is mapped twice, first on line 5; take it out of one of them`,
		}},
		{"a port of two cards", with(`{"ports": ["1-3", "3-5"], "ru": "1-3"}`), []string{
			`x.json:5: layout x: port 3: switch port 3 is taken by the server of port 1 on line 5; give one of them another`,
		}},
		{"ports that are not there", with(`{"ports": "0, 48, 49", "ru": "1-3", "console": "1-3"}`), []string{
			`x.json:5: layout x: there is no switch port 0; cisco4948 has 1 to 48`,
			`x.json:5: layout x: port 49: there is no switch port 49; cisco4948 has 1 to 48`,
		}},
	})
}

func TestConsolePorts(t *testing.T) {
	check(t, []problemTest{
		{"a console port of a device", with(`{"ports": 1, "ru": 1, "console": 48}`), []string{
			`x.json:5: layout x: port 1: console port 48 is taken by the switch on line 2; give one of them another`,
		}},
		{"a console port twice", with(`{"ports": 1, "ru": 1, "console": 5}`, `{"ports": 5, "ru": 5}`), []string{
			`x.json:6: layout x: port 5: console port 5 is taken by the server of port 1 on line 5; give one of them another`,
		}},
		{"console ports that are not there", with(`{"ports": 1, "ru": 1, "console": 49}`), []string{
			`x.json:5: layout x: port 1: there is no console port 49; opengearcm4148 has 1 to 48`,
		}},
	})
}

func TestLinesOfFields(t *testing.T) {
	check(t, []problemTest{
		{"fields on lines of their own", with("{\"ports\": \"1-2\",\n\"ru\": \"1-2\",\n\"outlets\":\n\"aa1, aa8\"}"), []string{
			`x.json:8: layout x: port 2: outlet aa8 is taken by the switch on line 2; give one of them another`,
		}},
	})
}

func TestDevicesAndLimits(t *testing.T) {
	check(t, []problemTest{
		{"other limits", `{"name": "x", "minu": 2, "maxu": 10, "devices": {` + sw + `},` + "\n" + `"servers": [{"ports": "1-2", "ru": "10-11"}, {"ports": 3, "ru": 1}]}`, []string{
			`x.json:1: layout x: the switch: there is no unit 36; the rack has 2 to 10`,
			`x.json:2: layout x: port 2: there is no unit 11; the rack has 2 to 10`,
			`x.json:2: layout x: port 3: there is no unit 1; the rack has 2 to 10`,
		}},
		{"devices in one unit", devices(sw, `"console": {"suffix": "ts1", "driver": "opengearcm4148", "ru": 36}`), []string{
			`x.json:3: layout x: the console server: unit 36 is taken by the switch on line 2; give one of them another`,
		}},
		{"devices on one port", devices(sw, `"console": {"suffix": "ts1", "driver": "opengearcm4148", "ru": 3, "port": 40}`, `"power": {"suffix": "p", "driver": "powertowerxm", "ru": 4, "port": 40}`), []string{
			`x.json:4: layout x: the power strip: switch port 40 is taken by the console server on line 3; give one of them another`,
		}},
		{"devices out of range", devices(`"switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 0, "console": 25}`, `"console": {"suffix": "ts1", "driver": "basicconsoleserver", "ru": 3, "port": 49, "outlet": "aa1"}`, `"power": {"suffix": "p", "driver": "basicpowerstrip", "ru": 4, "console": 1}`), []string{
			`x.json:2: layout x: the switch: there is no unit 0; the rack has 1 to 45`,
			`x.json:2: layout x: the switch: there is no console port 25; basicconsoleserver has 1 to 24`,
			`x.json:3: layout x: the console server: there is no switch port 49; cisco4948 has 1 to 48`,
			`x.json:3: layout x: the console server: there is no outlet aa1; basicpowerstrip has 1 to 24`,
			`x.json:4: layout x: the power strip: console port 1: basicpowerstrip has no console-serial 1 to plug into it; it has none`,
		}},
	})
}

func TestProgramsThatAreNone(t *testing.T) {
	check(t, []problemTest{
		{"a program that is not there", `{"name": "x", "devices": {` + sw + `},` + "\n" + `"exec": "/nowhere/place"}`, []string{
			`x.json:2: layout x: exec: stat /nowhere/place: no such file or directory; correct the path, which is meant from the directory of the layout on`,
		}},
		{"a program that is a directory", `{"name": "x", "devices": {` + sw + `},` + "\n" + `"exec": "/"}`, []string{
			`x.json:2: layout x: exec: / is no program`,
		}},
	})
}

func TestJSON(t *testing.T) {
	check(t, []problemTest{
		{"empty", "", []string{
			`x.json:1: not JSON: unexpected end of JSON input`,
		}},
		{"cut off", "{\"name\": \"x\",\n", []string{
			`x.json:1: not JSON: unexpected end of JSON input`,
		}},
		{"no comma", "{\"name\": \"x\"\n\"driver\": 1}", []string{
			`x.json:2: not JSON: invalid character '"' after object key:value pair`,
		}},
		{"two values", "{}\n{}", []string{
			`x.json:2: not JSON: invalid character '{' after top-level value`,
		}},
		{"a comment", "{\n# mine\n}", []string{
			`x.json:2: not JSON: invalid character '#' looking for beginning of object key string`,
		}},
		{"no object", "[1]", []string{
			`x.json:1: want an object, {...}, got a list`,
		}},
		{"nothing in it", "\n{}", []string{
			`x.json:2: name is missing; write it, such as "name": "5555"`,
			`x.json:2: devices is missing; write it, with a switch at least`,
			`x.json:2: servers are missing; map the ports to units, or name a program with exec`,
		}},
		{"deep", strings.Repeat("[", 50) + strings.Repeat("]", 50), []string{
			`x.json:1: no layout is 8 levels deep`,
		}},
	})
}

func TestKeysAndValues(t *testing.T) {
	check(t, []problemTest{
		{"unknown and doubled keys", "{\"name\": \"x\",\n\"nmae\": 1, \"colour\": 2,\n\"name\": \"y\", \"devices\": {" + sw + `, "fan": {}}, "servers": [{"ports": 1, "ru": 1, "rus": 1}]}`, []string{
			`x.json:2: layout x: unknown key "nmae": did you mean "name"?`,
			`x.json:2: layout x: unknown key "colour": known here are name, about, driver, minu, maxu, devices, servers, exec, timeout`,
			`x.json:3: layout x: "name" is there twice, first on line 1; keep one of them`,
			`x.json:3: layout x: devices: unknown key "fan": known here are switch, console, power`,
			`x.json:3: layout x: servers: unknown key "rus": did you mean "ru"?`,
		}},
		{"types", `{"name": 5555, "about": 1, "driver": 2, "minu": "1", "maxu": 1.5, "devices": [], "servers": {}}`, []string{
			`x.json:1: about: want a text in quotes, got 1`,
			`x.json:1: name: want a text in quotes, got 5555`,
			`x.json:1: driver: want a text in quotes, got 2`,
			`x.json:1: minu: want a whole number, got "1"`,
			`x.json:1: maxu: want a whole number, got 1.5`,
			`x.json:1: devices: want an object, {...}, got a list`,
			`x.json:1: servers: want a list, [...], got an object`,
		}},
		{"names", `{"name": "a b", "devices": {"switch": {"suffix": "/", "driver": "cisco4948", "ru": 1}}, "servers": [{"ports": 1, "ru": 2}]}`, []string{
			`x.json:1: name "a b": want letters, digits and . _ -, a letter or digit first, 64 at most`,
			`x.json:1: switch: suffix "/": want letters, digits and . _ -, a letter or digit first, 32 at most`,
		}},
		{"limits", `{"name": "x", "minu": 0, "maxu": 400, "devices": {` + sw + `}, "servers": [{"ports": 1, "ru": 2}]}`, []string{
			`x.json:1: layout x: units 0 to 400: want minu from 1 on, and maxu of 100 at most`,
		}},
		{"drivers", `{"name": "x", "driver": "penguinserver3u", "devices": {"switch": {"suffix": "s", "driver": "opengearcm4148", "ru": 1}},` + "\n" + `"servers": [{"ports": 1, "ru": 2, "driver": "cisco4948"}, {"ports": 1, "ru": 2}, {"ports": 2, "ru": 3, "driver": "basicvirtualserver"}]}`, []string{
			`x.json:1: layout x: driver "penguinserver3u": layouts know no such driver; did you mean penguinserver2u?`,
			`x.json:1: layout x: switch: driver opengearcm4148 makes a consoleserver, not a networkswitch; did you mean cisco4948?`,
			`x.json:2: layout x: driver cisco4948 makes a networkswitch, not a server; did you mean basicserver?`,
			`x.json:2: layout x: driver "basicvirtualserver": layouts know no such driver; did you mean basicserver?`,
		}},
	})
}

func TestFormOfDevices(t *testing.T) {
	check(t, []problemTest{
		{"devices", devices(`"switch": 1`, `"console": {"driver": "opengearcm4148", "ru": "5", "console": 3}`, `"power": {"suffix": "a"}`), []string{
			`x.json:2: layout x: switch: want an object, {...}, got 1`,
			`x.json:3: layout x: console: unknown key "console": known here are suffix, driver, ru, about, outlet, port`,
			`x.json:3: layout x: console: suffix is missing; write it, such as "suffix": "sw1"`,
			`x.json:3: layout x: console: ru: want a whole number, got "5"`,
			`x.json:4: layout x: power: driver is missing; write it, such as "driver": "basicpowerstrip"`,
			`x.json:4: layout x: power: ru is missing; write it, the unit that it is in`,
		}},
		{"no switch", devices(`"power": {"suffix": "a", "driver": "powertowerxm", "ru": 3}`), []string{
			`x.json:1: layout x: devices: switch is missing; write it, such as "switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 31}`,
		}},
		{"one suffix", devices(sw, `"power": {"suffix": "sw1", "driver": "powertowerxm", "ru": 3}`), []string{
			`x.json:3: layout x: power: suffix sw1 is that of the switch on line 2; names are unique in clusto`,
		}},
		{"plugged into nothing", devices(`"switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 36, "outlet": "aa8",` + "\n" + `"console": 48}`), []string{
			`x.json:2: layout x: switch: outlet aa8: there is no device "power"; add it, or take outlet out`,
			`x.json:3: layout x: switch: console 48: there is no device "console"; add it, or take console out`,
		}},
		{"sockets", devices(`"switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 36, "outlet": "aa1-aa2", "console": 1.5}`, `"power": {"suffix": "p", "driver": "powertowerxm", "ru": 3, "port": []}`), []string{
			`x.json:2: layout x: switch: outlet "aa1-aa2": want one port`,
			`x.json:2: layout x: switch: console: want a whole number, got 1.5`,
			`x.json:3: layout x: power: port: want a text in quotes, got a list`,
		}},
	})
}

func TestSeries(t *testing.T) {
	check(t, []problemTest{
		{"series", with(`{"ports": "1-", "ru": "one"}`, `{"ports": "", "ru": "1,,2"}`, `{"ports": "aa1", "ru": "01"}`, `{"ports": "1-5000", "ru": "1 2"}`, `{"ports": 1, "ru": 1, "outlets": "aa1-bb1"}`, `{"ports": -1, "ru": 1.5}`), []string{
			`x.json:5: layout x: ports: "1-" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:5: layout x: ru: "one" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:6: layout x: ports: "" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:6: layout x: ru: "" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:7: layout x: ports: "aa1" is no number; want numbers and ranges of them, such as "1-5, 9"`,
			`x.json:7: layout x: ru: "01" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:8: layout x: ports: "1-5000" has more than 512 members, and no rack has`,
			`x.json:8: layout x: ru: "1 2" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:9: layout x: outlets: range "aa1-bb1" goes from one kind of name to another; write aa1-aa..., bb...-bb1`,
			`x.json:10: layout x: ports: "-1" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
			`x.json:10: layout x: ru: "1.5" is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`,
		}},
		{"series that are none", with(`{"ports": null, "ru": {}}`, `{"ports": [], "ru": [[1]], "outlets": true}`, `7`, `{}`), []string{
			`x.json:5: layout x: ports: want numbers, such as "1-5", got null`,
			`x.json:5: layout x: ru: want numbers, such as "1-5", got an object`,
			`x.json:6: layout x: ports: the list is empty; fill it or take it out`,
			`x.json:6: layout x: ru: want numbers, such as "1-5", got a list`,
			`x.json:6: layout x: outlets: want numbers or names, such as "1-5", got true`,
			`x.json:7: layout x: servers: want an object, {...}, got 7`,
			`x.json:8: layout x: servers: ports is missing; write it, such as "ports": "1-5"`,
			`x.json:8: layout x: servers: ru is missing; write it, such as "ru": "1-5"`,
		}},
		{"not in step", with(`{"ports": ["1-3", "4-5"],` + "\n" + `"ru": "1-2",` + "\n" + `"outlets": "aa1",` + "\n" + `"console": "1-4"}`), []string{
			`x.json:5: layout x: ports: 2 for 3 servers, one for each port; make them as many`,
			`x.json:7: layout x: outlets: 1 for 3 servers, one for each port; make them as many`,
			`x.json:8: layout x: console: 4 for 3 servers, one for each port; make them as many`,
			`x.json:6: layout x: ru: 2 for 3 servers, one for each port; penguinserver takes 1`,
		}},
	})
}

func TestRowsOfServers(t *testing.T) {
	check(t, []problemTest{
		{"2U with the units of 1U", with(`{"ports": "1-3", "ru": "1-3", "driver": "penguinserver2u"}`), []string{
			`x.json:5: layout x: ru: 3 for 3 servers, one for each port; penguinserver2u takes 2`,
		}},
		{"2U in pieces", with(`{"ports": "1-2", "ru": "1, 3, 6, 5", "driver": "penguinserver2u"}`), []string{
			`x.json:5: layout x: ru: units 1, 3 for the server of port 1, penguinserver2u: want 2 next to each other`,
		}},
		{"too many cards and supplies", with(`{"ports": [1, 2, 3], "ru": 1, "outlets": ["aa1", "aa2"]}`), []string{
			`x.json:5: layout x: ports: a list of 3; penguinserver has 2 ports of type nic-eth`,
			`x.json:5: layout x: outlets: a list of 2; penguinserver has 1 ports of type pwr-nema-5`,
		}},
		{"no strip and no console server", `{"name": "x", "devices": {` + sw + `}, "servers": [{"ports": 1, "ru": 2, "outlets": "aa1", "console": 1}]}`, []string{
			`x.json:1: layout x: outlets: there is no power strip; add the device "power", or take outlets out`,
			`x.json:1: layout x: console: there is no console server; add the device "console", or take console out`,
		}},
	})
}

func TestFormOfExec(t *testing.T) {
	check(t, []problemTest{
		{"servers and exec", `{"name": "x", "devices": {` + sw + `}, "servers": [],` + "\n" + `"exec": "/bin/true"}`, []string{
			`x.json:2: layout x: there are servers (line 1) and exec; keep one of them`,
		}},
		{"no servers", `{"name": "x", "devices": {` + sw + `}, "servers": [], "timeout": "5s"}`, []string{
			`x.json:1: layout x: timeout is for exec, which is not there; take it out`,
		}},
		{"exec", `{"name": "x", "devices": {` + sw + `}, "exec": "", "timeout": "5"}`, []string{
			`x.json:1: layout x: exec: "" is no path of a program`,
			`x.json:1: layout x: timeout "5": want a time such as "5s", 1m0s at most`,
		}},
		{"exec of another type", `{"name": "x", "devices": {` + sw + `}, "exec": ["sh", "-c"], "timeout": 5}`, []string{
			`x.json:1: layout x: exec: want a text in quotes, got a list`,
			`x.json:1: layout x: timeout: want a text in quotes, got 5`,
		}},
		{"too long a timeout", `{"name": "x", "devices": {` + sw + `}, "exec": "a", "timeout": "1h"}`, []string{
			`x.json:1: layout x: timeout "1h": want a time such as "5s", 1m0s at most`,
		}},
	})
}

// TestCollidingLayoutsOfTheOriginal has the two that it never used.
func TestCollidingLayoutsOfTheOriginal(t *testing.T) {
	for name, want := range map[string][]string{
		"53532U": {
			"testdata/53532U.json:14: layout 53532U: port 19: unit 36 is taken by the switch on line 5; give one of them another",
			"testdata/53532U.json:15: layout 53532U: port 20: unit 34 is taken by the console server on line 6; give one of them another",
		},
		"54542U": {
			"testdata/54542U.json:14: layout 54542U: port 20: unit 34 is taken by the console server on line 6; give one of them another",
		},
	} {
		l, err := Parse("testdata/"+name+".json", []byte(readTestdata(t, name+".json")))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range Check(l) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), strings.Replace(want[0], "testdata", dir, 1)) {
			t.Errorf("loaded: %v", err)
		}
	}
}
