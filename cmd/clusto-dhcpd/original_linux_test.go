package main

import (
	"database/sql"
	"net/netip"
	"os"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

// originalDB gives a copy of a database that the original clusto wrote.
func originalDB(t *testing.T) (file string) {
	t.Helper()
	text, err := os.ReadFile("../../clusto/store/testdata/clusto.sql")
	must(t, err)
	file = t.TempDir() + "/original.db"
	db, err := sql.Open("sqlite", file)
	must(t, err)
	_, err = db.ExecContext(t.Context(), string(text))
	must(t, err)
	must(t, db.Close())
	return file
}

// TestOriginalsDatabase answers from a database that the original clusto wrote,
// as it is.
func TestOriginalsDatabase(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.serve(newStore(t, originalDB(t)))
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix("10.42.0.4/24")))
	l.start()
	host := func(last byte) *storm.Client { return &storm.Client{MAC: [6]byte{0, 0x1e, 0xc9, 0, 0, last}} }
	for last, want := range map[byte]string{
		0x01: "10.42.0.11",
		0x05: "10.42.0.15", // has a public address too
		0x06: "10.42.0.16", // the same, in the other order
		0x10: "10.42.0.26", // its MAC is stored in capitals
		0x11: "10.42.0.27", // on its second port
		0x14: "10.42.0.30", // has an address in another network too
	} {
		r := l.ask(host(last), storm.Message{Type: dhcp4.Discover})
		l.check(r, dhcp4.Offer, want)
	}
	r := l.ask(host(1), storm.Message{Type: dhcp4.Discover})
	for code, want := range map[byte]string{
		dhcp4.OptSubnetMask: "\xff\xff\xff\x00", dhcp4.OptRouter: "\x0a\x2a\x00\x01",
		dhcp4.OptHostname: "s0001", dhcp4.OptDomainName: "example.org", // the pool's over the datacenter's
		dhcp4.OptBootFile: "/pxelinux.0", dhcp4.OptPXELinuxMagic: "\xf1\x00\x74\x7e",
		dhcp4.OptConfigFile: "pxelinux.cfg/default", dhcp4.OptPathPrefix: "http://10.42.0.5/tftpboot/",
	} {
		if got := r.opt(code); got != want {
			t.Errorf("option %d is %q, want %q", code, got, want)
		}
	}
	for last, want := range map[byte]engine.Verdict{
		0x03: engine.Disabled, 0x04: engine.NoAddress, 0x07: engine.Ambiguous, 0x13: engine.Disabled, 0x99: engine.UnknownHost,
	} {
		f := l.frame(host(last), storm.Message{Type: dhcp4.Discover})
		l.fence = host(1)
		l.silent(f, want)
	}
}
