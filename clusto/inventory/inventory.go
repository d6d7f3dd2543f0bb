// Package inventory reads a site that is written down in YAML and turns it into
// the operations that make clusto hold it; and it writes one down (Export). It
// knows the file, not the database: what a file says of names that it does not
// declare is for the store to judge.
//
//	networks:
//	  lan: {cidr: 192.168.1.0/24, gateway: 192.168.1.254}
//	locations:
//	  sv2:     {driver: basicdatacenter, dhcp: {NTP_server: 192.168.1.4}}
//	  sv2-r01: {driver: basicrack, in: sv2}
//	pools:
//	  pxeboot-servers:
//	    dhcp: {enabled: 1, tftp_server: 192.168.1.1, tftp_filename: /pxelinux.0}
//	servers:
//	  ex0000:
//	    in: [pxeboot-servers, {rack: sv2-r01, ru: 3}]
//	    mac: 00:11:22:33:44:55
//	    ip: 192.168.1.50
//	    ipmi: {mac: 00:11:22:33:44:56, ip: 192.168.1.51}
//
// A further section, devices, holds what has ports and is no server: switches,
// power strips, appliances. Their driver has to be named. The section entities
// holds anything, with all keys; a driver that clusto does not have takes the
// type that it makes, too.
//
// All sections have attrs, for attributes of any name: [{key: K, subkey: S,
// number: N, value: V}], all but key and value optional. Servers, devices and
// entities have ports: {nic-eth: {2: {mac: M, vlan: 7, to: sw1/12}}}, where to is
// the other end of a connection, to be written at one of them.
//
// For what an export has to say besides, there are numbers that clusto gives by
// itself, as in {name: POOL, number: N} under in, and {ip: ADDRESS, number: N};
// counters: {KEY: N}; and raw: attributes as attrs has them, with values for
// several under one name, which are written past all rules, after all else.
//
// Values of dhcp and attrs are read as they are written: plain decimal numbers
// become ints, true and false become 1 and 0 (clusto has no booleans), lists
// and mappings become JSON, {relation: NAME}, {datetime: "2010-01-02
// 03:04:05"}, {int: N} (of 64 bits), {json: ANYTHING} and {rawjson: TEXT} what
// they say, and everything else text: 010, 0x10, 1:30 and 2010-01-02 are never
// converted.
package inventory

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Site is one file, understood.
type Site struct {
	file     string
	ops      []clusto.Op
	lines    []int             // of each operation
	kinds    map[string]string // "server" by name, for messages
	networks []clusto.Network
	servers  []ServerInfo
}

// ServerInfo is a server as the file declares it.
type ServerInfo struct {
	Name  string
	Line  int
	MAC   clusto.MAC       // of port nic-eth 1; zero if the file gives none
	IPMI  clusto.MAC       // ipmi-mac of port nic-eth 1; zero if the file gives none
	IP    netip.Addr       // the first address that is not the BMC's; invalid if there is none
	Addrs []clusto.Address // all addresses in the order of the file, without Network
}

// Ops gives what the file asks for, in the order in which it can be applied:
// entities, attributes, insertions, addresses. The caller must not change it.
func (s *Site) Ops() []clusto.Op { return s.ops }

// Networks gives the IP managers that the file declares, in its order.
func (s *Site) Networks() []clusto.Network { return s.networks }

// Servers gives the servers that the file declares, in its order.
func (s *Site) Servers() []ServerInfo { return s.servers }

// Where gives the place that operation i of Ops comes from: "site.yaml:12". It
// is the file alone for an i that Ops does not have.
func (s *Site) Where(i int) string {
	if i < 0 || i >= len(s.lines) {
		return s.file
	}
	return fmt.Sprintf("%s:%d", s.file, s.lines[i])
}

// Explain puts the place in the file and the object's name before an error that
// says which operation failed: "site.yaml:12: server ex0000: ...". Other errors
// come back as they are.
func (s *Site) Explain(err error) error {
	var op *clusto.OpError
	if !errors.As(err, &op) || op.Index < 0 || op.Index >= len(s.ops) {
		return err
	}
	name := s.ops[op.Index].Name
	if s.ops[op.Index].Op == "entity" && strings.HasPrefix(name, "$") {
		name = name[1:] // clusto.NewName
	}
	return fmt.Errorf("%s: %s %s: %w", s.Where(op.Index), s.kinds[name], name, op.Err)
}

// Error is one thing wrong with a file.
type Error struct {
	File string
	Line int // 0 when it concerns the file as a whole
	What string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.What
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What)
}

// Unwrap gives clusto.ErrInvalid.
func (e *Error) Unwrap() error { return clusto.ErrInvalid }
