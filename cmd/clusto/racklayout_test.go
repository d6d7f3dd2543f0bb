package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// colliding has two servers in unit 1 and one outlet too many.
const colliding = `{
  "name": "bad",
  "devices": {
    "switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 3, "outlet": "aa8"},
    "power": {"suffix": "pwr1", "driver": "powertowerxm", "ru": 2, "port": 44}
  },
  "maxu": 3,
  "servers": [
    {"ports": "1", "ru": "1", "outlets": "bb1"},
    {"ports": "2", "ru": "1", "outlets": "bb9"}
  ]
}
`

func TestRackCheck(t *testing.T) {
	t.Parallel()
	all := runClusto(t, "", "rack", "check")
	if all.code != 0 || all.err != "" {
		t.Errorf("%+v", all)
	}
	for _, line := range []string{
		"layout 201001 (built in): 30 servers on ports 1-30\n", "layout 4444 (built in)", "layout 5555 (built in)",
		"  25  penguinserver         24           aa1     24\n",
	} {
		if !strings.Contains(all.out, line) {
			t.Errorf("no %q in\n%s", line, all.out)
		}
	}
	if one := runClusto(t, "", "rack", "check", "5555"); one.code != 0 || one.err != "" || strings.Count(one.out, "layout ") != 1 {
		t.Errorf("%+v", one)
	}
}

// TestRackCheckHadNoJSON: what is wrong, and the layouts, are data.
func TestRackCheckHadNoJSON(t *testing.T) {
	t.Parallel()
	file := write(t, "bad.json", colliding)
	r := runClusto(t, "", "rack", "check", "--json", file)
	var got struct {
		Problems []struct {
			File, What string
			Line       int
		}
		Layouts []struct {
			Name  string
			Units []struct {
				RU          int
				Driver      string
				SwitchPorts []string `json:"switch_ports"`
			}
		}
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != exitFailed {
		t.Fatalf("%v: %+v", err, r)
	}
	if len(got.Problems) != 2 || got.Problems[0].File != file || got.Problems[0].Line != 10 || !strings.HasPrefix(got.Problems[0].What, "unit 1 is taken") {
		t.Errorf("problems %+v", got.Problems)
	}
	if len(got.Layouts) != 1 || got.Layouts[0].Name != "bad" || len(got.Layouts[0].Units) != 4 ||
		got.Layouts[0].Units[3].RU != 1 || !slices.Equal(got.Layouts[0].Units[3].SwitchPorts, []string{"2"}) {
		t.Errorf("layouts %+v", got.Layouts)
	}
	if r := runClusto(t, "", "rack", "check", "--json", "5555"); r.code != 0 || !strings.HasPrefix(r.out, "{\n  \"problems\": [],") {
		t.Errorf("one that is right: %+v", r)
	}
}

// TestRackCheckTellsAll: every problem with its line, and the rack beside it.
func TestRackCheckTellsAll(t *testing.T) {
	t.Parallel()
	file := write(t, "bad.json", colliding)
	dir := filepath.Dir(file)
	for _, args := range [][]string{{file}, {"--rack-layouts", dir}, {"bad", "--rack-layouts", dir}} {
		r := runClusto(t, "", append([]string{"rack", "check"}, args...)...)
		wantErr := file + `:10: layout bad: port 2: unit 1 is taken by the server of port 1 on line 9; give one of them another
` + file + `:10: layout bad: port 2: there is no outlet bb9; powertowerxm has aa1 to bb8
`
		if r.code != exitFailed || r.err != wantErr {
			t.Errorf("%v: code %d\n%swant\n%s", args, r.code, r.err, wantErr)
		}
		if !strings.Contains(r.out, "layout bad ("+file+"): 2 servers on ports 1-2\n") {
			t.Errorf("%v: not drawn:\n%s", args, r.out)
		}
	}
	syntax := write(t, "syntax.json", "{\n\"name\": \"x\",,\n}")
	if r := runClusto(t, "", "rack", "check", syntax, file); r.code != exitFailed || !strings.HasPrefix(r.err, syntax+":2: not JSON") || strings.Count(r.err, "\n") != 3 {
		t.Errorf("%+v", r)
	}
	want(t, runClusto(t, "", "rack", "check", "20101"), result{"", `clusto rack check: there is no rack layout "20101"; did you mean "201001"? known are 201001, 4444, 5555: not found in clusto` + "\n", exitFailed})
	if r := runClusto(t, "", "rack", "check", "--rack-layouts", "/nowhere"); r.code != exitFailed || !strings.Contains(r.err, "/nowhere") {
		t.Errorf("%+v", r)
	}
	want(t, runClusto(t, "", "rack", "chekc"), result{"", `clusto: unknown command "rack chekc": did you mean "check"?` + "\n", exitUsage})
}

const rackSite = `networks:
  mgmt: {cidr: 10.42.0.0/24}
locations:
  dc1: {driver: basicdatacenter}
`

// TestRackCreate: a rack with its devices, once, however often.
func TestRackCreate(t *testing.T) {
	t.Parallel()
	flags, _ := inventories(t)
	for _, inv := range flags {
		if r := runClusto(t, "", append([]string{"import", write(t, "site.yaml", rackSite)}, inv...)...); r.code != 0 {
			t.Fatal(r)
		}
		create := append([]string{"rack", "create", "sv2-r01", "--layout", "201001", "--in", "dc1", "--switch-ip", "10.42.0.2", "--discover"}, inv...)
		for range 2 {
			want(t, runClusto(t, "", create...), result{})
		}
		r := runClusto(t, "", append([]string{"show", "10.42.0.2"}, inv...)...)
		if r.code != 0 || !strings.HasPrefix(r.out, "/networkswitch/sv2-r01-sw1\n") {
			t.Errorf("%+v", r)
		}
		r = runClusto(t, "", append([]string{"rack", "create", "r2", "--layout", "5555", "--in", "dc2"}, inv...)...)
		want(t, r, result{"", "clusto rack create: entity \"dc2\": not found in clusto; it has to be made before it is used\n", exitFailed})
		r = runClusto(t, "", append([]string{"rack", "create", "r2", "--layout", "5554"}, inv...)...)
		want(t, r, result{"", "clusto rack create: --layout: there is no rack layout \"5554\"; did you mean \"5555\"? known are 201001, 4444, 5555: not found in clusto\n", exitUsage})
		if r := runClusto(t, "", append([]string{"show", "r2"}, inv...)...); r.code == 0 {
			t.Errorf("half a rack: %s", r.out)
		}
	}
	bad := write(t, "bad.json", colliding)
	if r := runClusto(t, "", "rack", "create", "r1", "--layout", "bad", "--rack-layouts", filepath.Dir(bad), flags[0][0], flags[0][1]); r.code != exitUsage || !strings.Contains(r.err, bad+":10: ") {
		t.Errorf("%+v", r)
	}
}

// TestRackCheckWithoutAReader: what cannot be shown is a failure.
func TestRackCheckWithoutAReader(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := draw(full, nil); err != nil {
		t.Error(err)
	}
	f := rackCheckFlags{Layouts: []string{"201001"}}
	layouts, _, err := f.gather()
	if err != nil {
		t.Fatal(err)
	}
	if err := draw(full, layouts); err == nil {
		t.Error("nobody was told")
	}
}
