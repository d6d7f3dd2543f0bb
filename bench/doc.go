// Package bench measures the programs as they ship, from end to end: on veth in
// network namespaces of its own, beside a bare packet-socket echo that does no
// work at all. Times are measured and never asserted; how much each operation
// may allocate is (TestBudgets). The inventory is measured by itself too, from Open to an answer over HTTP, with as many hosts as
// CLUSTO_BENCH_HOSTS says: 10,000 and 100,000, or with -short the former only.
//
//	go test -bench . -benchtime 2s -run - ./bench
//	CLUSTO_BENCH_HOSTS=1000000 go test -bench 'Open|Host|List|Find' -run - ./bench
package bench
