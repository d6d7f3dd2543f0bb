package main

import (
	"strings"
	"testing"
)

// hall is what the tests of attr, pool and rack change.
const hall = `networks:
  lan: {cidr: 192.168.1.0/24, gateway: 192.168.1.254}
locations:
  sv2:     {driver: basicdatacenter, dhcp: {NTP_server: 192.168.1.4}}
  sv2-r01: {driver: basicrack, in: sv2, attrs: [{key: maxu, subkey: property, value: 6}]}
pools:
  pxe:     {dhcp: {enabled: 1, domain: example.org}}
  debian:  {in: pxe}
  web:
devices:
  sw1: {driver: cisco4948, in: {rack: sv2-r01, ru: 6}}
servers:
  s1: {in: [debian, web, {rack: sv2-r01, ru: 1}], mac: 02:00:00:00:00:01, ip: 192.168.1.1, dhcp: {domain: s1.example.org}}
  s2: {driver: penguinserver2u, in: [debian, {rack: sv2-r01, ru: 2}], mac: 02:00:00:00:00:02, attrs: [{key: disk, subkey: size, number: 0, value: 10}, {key: disk, subkey: size, number: 1, value: 10}, {key: serial, value: "0042"}]}
  s3: {in: pxe}
`

// step is one run, and what it prints.
type step struct {
	args string // parted by blanks; WHERE is the inventory
	out  string
	err  string // after "clusto COMMAND: "
	code int
}

// steps runs commands one after another, against a database and against a
// clusto-httpd.
func steps(t *testing.T, site string, all []step) {
	t.Helper()
	flags, _ := inventories(t)
	for _, where := range flags {
		if r := runClusto(t, site, append([]string{"import", "-"}, where...)...); r.code != 0 {
			t.Fatal(r)
		}
		for _, s := range all {
			args := strings.Fields(s.args)
			got := runClusto(t, "", append(args, where...)...)
			_, got.err, _ = strings.Cut(got.err, ": ")
			errs := strings.ReplaceAll(s.err, "WHERE", where[1])
			if errs != "" {
				errs += "\n"
			}
			if want := (result{s.out, errs, s.code}); got != want {
				t.Errorf("%s %s:\n%s%s(%d)\nwant\n%s%s(%d)", s.args, where[0], got.out, got.err, got.code, want.out, want.err, want.code)
			}
		}
	}
}

func TestAttr(t *testing.T) {
	t.Parallel()
	steps(t, hall, []step{
		{args: "attr get s2 -k disk", out: "KEY   SUBKEY  NUM  TYPE  VALUE\ndisk  size    0    int   10\ndisk  size    1    int   10\n"},
		{args: "attr show -k dhcp -m -s domain s1", out: "KEY   SUBKEY  NUM  TYPE    VALUE           FROM\n" +
			"dhcp  domain  -    string  s1.example.org  /server/s1\ndhcp  domain  -    string  example.org     /pool/pxe\n"},
		{args: "attr get s1 s2 -k dhcp", out: "KEY   SUBKEY  NUM  TYPE    VALUE           FROM\ndhcp  domain  -    string  s1.example.org  /server/s1\n"},
		{args: "attr get 02:00:00:00:00:02 -k serial -v 0042", out: "KEY     SUBKEY  NUM  TYPE    VALUE\nserial  -       -    string  0042\n"},
		{args: "attr get web", out: "KEY  SUBKEY  NUM  TYPE  VALUE\n"},
		{args: "attr get web --hidden", out: "KEY        SUBKEY  NUM  TYPE      VALUE\n_contains  -       0    relation  /server/s1\n"},

		{args: "attr set -k serial -v 43 s2"}, // was a text, and stays one
		{args: "attr add -k disk -s size -n 2 -v 43 s2"},
		{args: "attr add -k peer -t relation -v s1 s2"},
		{args: "attr add -k when -t datetime -v 2010-01-02T03 s2", err: `attribute when of /server/s2: value "2010-01-02T03" is no date like 2010-01-02 03:04:05`, code: exitUsage},
		{args: "attr set -k note -s x -t json -v {} s1 s2"},
		{args: "attr get s2", out: "KEY           SUBKEY  NUM  TYPE      VALUE\ndisk          size    0    int       10\ndisk          size    1    int       10\ndisk          size    2    int       43\n" +
			"note          x       -    json      {}\npeer          -       -    relation  /server/s1\nport-nic-eth  mac     1    string    02:00:00:00:00:02\nserial        -       -    string    43\n"},
		{args: "attr set -k note -s x -v y s2 --json", out: "{\n  \"applied\": 1\n}\n"},
		{args: "attr get s2 -k note --json", out: `{
  "attrs": [
    {
      "key": "note",
      "subkey": "x",
      "number": null,
      "value": {
        "type": "string",
        "str": "y"
      },
      "origin": "/server/s2",
      "id": 35
    }
  ]
}
`},

		{args: "attr del -k disk s2", err: "/server/s2 has 3 attributes disk; say more of the one that is meant, or --all; nothing was deleted", code: exitFailed},
		{args: "attr del -k disk -n 1 s2"},
		{args: "attr del -k disk -v 10 s2"},
		{args: "attr add -k disk -s size -v 43 s2"},
		{args: "attr del -k disk -v 44 s2", err: `/server/s2 has no attribute disk with value "44"; nothing was deleted`, code: exitFailed},
		{args: "attr get -k disk s2", out: "KEY   SUBKEY  NUM  TYPE  VALUE\ndisk  size    -    int   43\ndisk  size    2    int   43\n"},
		{args: "attr del -k disk -n 2 s2"},
		{args: "attr delete -k dsik s2", err: "/server/s2 has no attribute dsik; did you mean disk?; nothing was deleted", code: exitFailed},
		{args: "attr get -k disk -s sizes s2", err: "s2: no attribute disk/sizes", code: exitFailed},
		{args: "attr delete -k disk -s size s2"},
		{args: "attr get -k disk s2", err: "s2: no attribute disk", code: exitFailed},

		{args: "attr get s4", err: `"s4" is no name, MAC or IPv4 address in WHERE; did you mean "s1"?`, code: exitFailed},
		{args: "attr set -k note -v x s1 nobody", err: `"nobody" is no name, MAC or IPv4 address in WHERE`, code: exitFailed},
		{args: "attr get s1 -k note", out: "KEY   SUBKEY  NUM  TYPE  VALUE\nnote  x       -    json  {}\n"},
		{args: "attr set -k mac -v x", err: `expected "<names> ..."; --help lists the flags`, code: exitUsage},
		{args: "attr set -v x s1", err: "missing flags: --key=STRING; --help lists the flags", code: exitUsage},
		{args: "attr set -k a -v x -t flaot s1", err: `--type: "flaot" is none; write auto, string, int, datetime, relation or json; --help lists the flags`, code: exitUsage},
		{args: "attr set -k a -v x -t int s1", err: `--value: "x" is no int; --help lists the flags`, code: exitUsage},
		{args: "attr set -k _contains -v x s1", err: `attribute _contains of "s1": use an insert operation`, code: exitUsage},
		{args: "attr sett", err: `unknown command "attr sett": did you mean "set"?`, code: exitUsage},
	})
}

// TestAttrDelOfOneAmongNumbered: without a number it was deleted with those of
// the same value that have one.
func TestAttrDelOfOneAmongNumbered(t *testing.T) {
	t.Parallel()
	steps(t, "servers: {a: {attrs: [{key: d, value: 1}, {key: d, number: 1, value: 1}, {key: d, number: 2, value: 1}]}}\n", []step{
		{args: "attr del a -k d -n 2"},
		{args: "attr add a -k d -v x"},
		{args: "attr del a -k d -v x"},
		{args: "attr add a -k d -v 1"},
		{args: "attr del a -k d -n 1"},
		{args: "attr get a -k d", out: "KEY  SUBKEY  NUM  TYPE  VALUE\nd    -       -    int   1\nd    -       -    int   1\n"},
	})
}

// TestNoDatabaseByMistake: a command that changes something makes no database.
func TestNoDatabaseByMistake(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"attr set a -k b -v c", "pool create p", "rack remove r s"} {
		db := t.TempDir() + "/new.db"
		r := runClusto(t, "", append(strings.Fields(args), "--db", db)...)
		want(t, r, result{"", "clusto " + strings.Join(strings.Fields(args)[:2], " ") + ": open database \"" + db + "\": there is no such file; clusto import makes one\n", exitUsage})
	}
}
