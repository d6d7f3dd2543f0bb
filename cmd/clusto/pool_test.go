package main

import "testing"

func TestPool(t *testing.T) {
	t.Parallel()
	steps(t, hall, []step{
		{args: "pool list", out: "pxe\ndebian\nweb\n"},
		{args: "pool list debian", out: "s1\ns2\n"},
		{args: "pool list pxe", out: "debian\ns3\n"},
		{args: "pool list pxe -r", out: "debian\ns1\ns2\ns3\n"},
		{args: "pool list pxe --recursive --type server", out: "s1\ns2\ns3\n"},
		{args: "pool list pxe web -r", out: "s1\n"},
		{args: "pool show pxe", out: "debian  pool\n  s1    server\n  s2    server\ns3      server\n"},
		{args: "pool show pxe --depth 1", out: "debian  pool    ...\ns3      server\n"},
		{args: "pool show debian --json", out: "{\n  \"name\": \"debian\",\n  \"type\": \"pool\",\n  \"contents\": [\n    {\n      \"name\": \"s1\",\n      \"type\": \"server\"\n    },\n    {\n      \"name\": \"s2\",\n      \"type\": \"server\"\n    }\n  ]\n}\n"},

		{args: "pool create new --json", out: "{\n  \"applied\": 1\n}\n"},
		{args: "pool create new", err: `create entity "new": the name is taken by /pool/new, driver "pool"`, code: exitFailed},
		{args: "pool create other --driver poool", err: `--driver: "poool" makes no pool; write pool, unique_pool or exclusive_pool; --help lists the flags`, code: exitUsage},
		{args: "pool insert new s1 192.168.1.1 02:00:00:00:00:02 web"},
		{args: "pool insert web new", err: "insert /pool/new into /pool/web: it would contain itself", code: exitFailed},
		{args: "pool list new", out: "s1\ns2\nweb\n"},
		{args: "pool insert new s3 s33", err: `"s33" is no name, MAC or IPv4 address in WHERE; did you mean "s3"?`, code: exitFailed},
		{args: "pool insert sv2 s3", err: "/datacenter/sv2 is no pool", code: exitFailed},
		{args: "pool remove new s3", err: "/server/s3 is not in /pool/new; nothing was removed", code: exitFailed},
		{args: "pool remove new s1 web"},
		{args: "pool list new --json", out: "{\n  \"entities\": [\n    {\n      \"name\": \"s2\",\n      \"type\": \"server\",\n      \"driver\": \"penguinserver2u\"\n    }\n  ]\n}\n"},
		{args: "pool delete new", err: "/pool/new holds 1 thing; give --yes to delete it nevertheless", code: exitFailed},
		{args: "pool delete new --yes"},
		{args: "pool list", out: "pxe\ndebian\nweb\n"},
		{args: "pool show new", err: `"new" is no name, MAC or IPv4 address in WHERE`, code: exitFailed},
	})
}

func TestRack(t *testing.T) {
	t.Parallel()
	steps(t, hall, []step{
		{args: "rack show sv2-r01", out: "6  /networkswitch/sw1\n5  -\n4  -\n3  /server/s2\n2  /server/s2\n1  /server/s1\n"},
		{args: "rack insert sv2-r01 s3 4"},
		{args: "rack remove sv2-r01 s2"},
		{args: "rack insert sv2-r01 s2 4", err: "insert /server/s2 into /rack/sv2-r01: rack unit 4 is taken by /server/s3", code: exitFailed},
		{args: "rack insert sv2-r01 s2 6", err: "insert /server/s2 into /rack/sv2-r01: rack units 6 to 7 are not within 1 to 6", code: exitUsage},
		{args: "rack insert sv2-r01 s2 0", err: "<ru>: 0 is none; units count from 1; --help lists the flags", code: exitUsage},
		{args: "rack insert pxe s2 1", err: "/pool/pxe is no rack", code: exitFailed},
		{args: "rack remove sv2-r01 s1 s2", err: "/server/s2 is not in /rack/sv2-r01; nothing was removed", code: exitFailed},
		{args: "rack remove sv2-r01 s1"},
		{args: "rack show sv2-r01", out: "6  /networkswitch/sw1\n5  -\n4  /server/s3\n3  -\n2  -\n1  -\n"},
		{args: "rack list", out: "sv2-r01  6 units  4 free\n"},
		{args: "rack list --json", out: "{\n  \"racks\": [\n    {\n      \"name\": \"sv2-r01\",\n      \"type\": \"rack\",\n      \"driver\": \"basicrack\",\n      \"units\": 6,\n      \"free\": 4\n    }\n  ]\n}\n"},
	})
}

// TestPoolsInACircle: the original lets pools be in each other; every walk ends.
func TestPoolsInACircle(t *testing.T) {
	t.Parallel()
	const circle = `entities:
  a: {driver: pool, raw: [{key: _contains, number: 0, value: {relation: /pool/b}}, {key: _contains, number: 1, value: {relation: /pool/a}}]}
  b: {driver: pool, raw: [{key: _contains, number: 0, value: {relation: /pool/a}}, {key: _contains, number: 1, value: {relation: /server/s}}, {key: _contains, number: 2, value: {relation: /pool/c}}]}
  c: {driver: pool, raw: [{key: _contains, number: 0, value: {relation: /server/s}}]}
  d: {driver: pool, raw: [{key: _contains, number: 0, value: {relation: /pool/c}}, {key: _contains, number: 1, value: {relation: /pool/b}}]}
  s: {driver: basicserver}
`
	steps(t, circle, []step{
		{args: "pool show a", out: "b      pool\n  a    pool    see above\n  s    server\n  c    pool\n    s  server\na      pool    see above\n"},
		{args: "pool show d", out: "c      pool\n  s    server\nb      pool\n  a    pool\n    b  pool    see above\n    a  pool    see above\n  s    server\n  c    pool    see above\n"},
		{args: "pool list a -r", out: "b\na\ns\nc\n"},
		{args: "show a", out: "/pool/a\n  type      pool\n  driver    pool\n  hostname  a\n  dhcp      not enabled: no dhcp/enabled on /pool/a or any of its containers\n" +
			"  in\n    /pool/a\n    /pool/b\n  contents\n    b      pool\n      a    pool    see above\n      s    server\n      c    pool\n        s  server\n    a      pool    see above\n"},
	})
}
