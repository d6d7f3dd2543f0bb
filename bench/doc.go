// Package bench measures the programs as they ship, from end to end: on veth in
// network namespaces of its own, beside a bare packet-socket echo that does no
// work at all. It has benchmarks only; what may not be slower or larger than
// before is asserted by plain tests beside the code.
//
//	go test -bench . -benchtime 2s -run - ./bench
package bench
