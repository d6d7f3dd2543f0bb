// Package store keeps the inventory in the SQL schema of the original clusto,
// on SQLite or PostgreSQL. A database that the original wrote is served as it
// is, and what this package writes, the original can read.
//
// There is one resolver from MAC to Host, in Go (resolve.go). It works on a
// graph of entities; Host loads the few entities that one MAC needs with three
// indexed queries, Hosts loads all of them with a few scans, and both ask the
// same code.
package store
