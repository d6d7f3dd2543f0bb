// Package api throws random requests at the HTTP API, and imports random files. It
// is apart from the other targets because whoever has a database among what he is
// linked with is slow to fuzz.
package api
