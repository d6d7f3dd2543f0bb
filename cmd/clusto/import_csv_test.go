package main

import (
	"strings"
	"testing"
)

const (
	pools = "networks: {lan: {cidr: 10.0.0.0/24}}\npools: {pxe: {dhcp: {enabled: 1}}, debian: }\n"
	hosts = "name,mac,ip,pool\r\nweb1,02:00:00:00:00:01,10.0.0.1,pxe\r\nweb2,02-00-00-00-00-02,10.0.0.2,pxe;debian\r\n"
)

// TestImportCSV: a hall from a spreadsheet, into pools that are there; again, it
// changes nothing; and what YAML says of the same servers is no change either.
func TestImportCSV(t *testing.T) {
	t.Parallel()
	file := write(t, "hosts.CSV", hosts)
	flags, dbs := inventories(t)
	for i, where := range flags {
		run := func(in, file string, more ...string) result {
			return runClusto(t, in, append([]string{"import", file}, append(more, where...)...)...)
		}
		r := run("", file)
		if r.code != exitUsage || r.out != "" || !strings.HasPrefix(r.err, file+":2: server web1: ") || strings.Count(r.err, "\n") != 1 ||
			!strings.Contains(r.err, `"pxe"`) || !strings.Contains(r.err, "import a YAML file that declares it first; nothing was imported") {
			t.Errorf("without the pools: %+v", r)
		}
		if r := run(pools, "-"); r.code != 0 {
			t.Fatalf("the pools: %+v", r)
		}
		line := "9 operations; 2 servers, 0 networks in " + where[1] + "\n"
		want(t, run("", file), result{file + ": " + line, "", 0})
		before := dump(t, dbs[i])
		if !strings.Contains(before, "02:00:00:00:00:02") || !strings.Contains(before, "10.0.0.2") {
			t.Errorf("web2 is not in there:\n%s", before)
		}
		want(t, run(hosts, "-", "--format", "csv"), result{"stdin: " + line, "", 0})
		const yaml = "servers:\n  web1: {in: pxe, mac: 02:00:00:00:00:01, ip: 10.0.0.1}\n  web2: {in: [pxe, debian], mac: 02:00:00:00:00:02, ip: 10.0.0.2}\n"
		want(t, run(yaml, "-"), result{"stdin: " + line, "", 0})
		if dump(t, dbs[i]) != before {
			t.Errorf("%s: the second import changed something", where[0])
		}
		r = run("name,mac,ip,pool\nweb3,02:00:00:00:00:03,10.0.0.3,pxe\nweb4,02:00:00:00:00:01,,pxe\n", "-", "--format", "csv")
		if r.code != exitUsage || !strings.HasPrefix(r.err, "stdin:3: server web4: ") || !strings.Contains(r.err, "/server/web1") {
			t.Errorf("a MAC that clusto has on another server: %+v", r)
		}
		if dump(t, dbs[i]) != before {
			t.Errorf("%s: half of a refused file was written", where[0])
		}
	}
}

func TestImportCSVErrors(t *testing.T) {
	t.Parallel()
	file := write(t, "hosts.csv", "name,macs,ip,pool\nweb1,x,10.0.0.300,\n")
	for _, c := range []struct {
		args []string
		err  string
	}{
		{[]string{"import", file}, file + ":1: unknown column \"macs\": did you mean \"mac\"?\n" + file +
			":2: server web1: ip: \"10.0.0.300\" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50\n"},
		{[]string{"import", file, "--format", "yaml"}, file + ":1: want a mapping (key: value), got \"name,macs,ip,pool web1,x,10.0.0.300,\"\n"},
		{[]string{"import", file, "--format", "cvs"}, "clusto import: --format: \"cvs\" is none; write auto, yaml or csv; --help lists the flags\n"},
	} {
		want(t, runClusto(t, "", c.args...), result{"", c.err, exitUsage})
	}
}
