package inventory

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	perNetwork = 1000 // of the 1,021 addresses that a /22 leaves for hosts
	perRack    = 40
	maxSample  = 1 + 16384*perNetwork // 10.0.0.0/8 in networks of /22
)

// Sample writes a site of n servers (1 at least) for demonstrations and load
// tests; Parse reads it without an error. It is the same for the same n.
//
// It holds the example of the documentation (pool pxeboot-servers, network lan,
// server ex0000 with 00:11:22:33:44:55 and 192.168.1.50) and n-1 servers
// s000001 ... with MACs 52:54:00:00:00:01 ..., 1,000 to a network of /22 under
// 10.0.0.0/8, 40 to a rack, racks in two datacenters. Their pools are nested
// three deep under pxeboot-servers and override one another, some servers
// override their pools, and the datacenters add options of their own. Every
// server is enabled and has one MAC and one address.
//
// In each network the first address is left free for the machine that answers,
// and the last one is the gateway.
func Sample(n int) []byte {
	n = min(max(n, 1), maxSample)
	var b bytes.Buffer
	nets := (n - 1 + perNetwork - 1) / perNetwork
	b.WriteString("# A sample site: the example of the documentation and " + fmt.Sprint(n-1) + " servers more.\nnetworks:\n" +
		"  lan: {baseip: 192.168.1.0, netmask: 255.255.255.0, gateway: 192.168.1.254}\n")
	for i := range nets {
		fmt.Fprintf(&b, "  net%05d: {cidr: %s/22, gateway: %s}\n", i, sampleAddr(i, 0), sampleAddr(i, 1022))
	}
	sampleLocations(&b, n-1)
	b.WriteString(samplePools)
	b.WriteString(sampleFirst)
	for i := 1; i < n; i++ {
		sampleServer(&b, i)
	}
	return b.Bytes()
}

func sampleLocations(b *bytes.Buffer, others int) {
	b.WriteString("locations:\n" +
		"  east: {driver: basicdatacenter, dhcp: {NTP_server: 10.0.0.1, log_server: 10.0.0.1}}\n" +
		"  west: {driver: basicdatacenter, dhcp: {NTP_server: [10.0.4.1, 10.0.0.1]}}\n")
	for r := range (others + perRack - 1) / perRack {
		fmt.Fprintf(b, "  %s: {driver: basicrack, in: %s}\n", sampleRack(r), []string{"east", "west"}[r%2])
	}
}

const samplePools = `pools:
  pxeboot-servers:
    dhcp: {enabled: 1, tftp_server: 192.168.1.1, tftp_filename: /pxelinux.0, domain: example.org}
  compute:           # in pxeboot-servers, and more specific: its domain wins
    in: pxeboot-servers
    dhcp: {domain: compute.example.org, tftp_filename-efi64: /grubx64.efi, lease_time: 7200}
  storage:
    in: pxeboot-servers
    dhcp: {domain: storage.example.org, interface-mtu: 1400}
  compute-debian:    # the third level
    in: compute
    dhcp: {tftp_filename: /debian/pxelinux.0, lease_time: 1800}
  compute-rescue:
    in: compute
    dhcp: {tftp_filename: /rescue/pxelinux.0, pxelinux-configfile: pxelinux.cfg/rescue}
  storage-ceph:
    in: storage
    dhcp: {tftp_filename: /ceph/pxelinux.0, root_disk_path: "nfs:10.0.0.1:/export/ceph"}
`

const sampleFirst = `servers:
  ex0000:
    in: pxeboot-servers
    mac: 00:11:22:33:44:55
    ip: 192.168.1.50
`

// sampleServer writes server i, from 1 on.
func sampleServer(b *bytes.Buffer, i int) {
	at := i - 1
	pool := []string{"compute-debian", "compute-debian", "storage-ceph", "compute-rescue"}[at%4]
	mac := [4]byte{}
	binary.BigEndian.PutUint32(mac[:], uint32(i))
	fmt.Fprintf(b, "  s%06d:\n    in: [%s, {rack: %s, ru: %d}]\n    mac: 52:54:00:%02x:%02x:%02x\n    ip: %s\n",
		i, pool, sampleRack(at/perRack), at%perRack+1, mac[1], mac[2], mac[3], sampleAddr(at/perNetwork, 2+at%perNetwork))
	switch {
	case i%50 == 0:
		fmt.Fprintf(b, "    dhcp: {tftp_filename: /special/s%06d.0, lease_time: 600}\n", i)
	case i%25 == 0:
		fmt.Fprintf(b, "    hostname: db%d.example.org\n", i)
	case i%10 == 0:
		b.WriteString("    dhcp: {lease_time: 900, domain: own.example.org}\n")
	}
}

func sampleRack(r int) string { return fmt.Sprintf("r%05d", r) }

// sampleAddr is address host of the sample's network i.
func sampleAddr(i, host int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i)<<10|uint32(host))
	return netip.AddrFrom4(a)
}
