// Package store keeps the inventory in the SQL schema of the original clusto,
// on SQLite or PostgreSQL. A database that the original wrote is served as it
// is, and what this package writes, the original can read.
//
// There is one resolver from MAC to Host, in Go (resolve.go). It works on a
// graph of entities; Host loads the few that one MAC needs with one indexed
// statement, Hosts all of them in chunks within one transaction, and both ask
// the same code.
package store
