package store

import (
	"encoding/json"
	"flag"
	"fmt"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// benchHosts scales the benchmarks: go test -bench . -hosts 100000.
var benchHosts = flag.Int("hosts", 10_000, "hosts in the benchmarks' site")

// fleet gives a site of n servers: racks of 40, a network for each 200, one
// pool inside another, all in one datacenter.
func fleet(n int) []clusto.Op {
	ops := []clusto.Op{
		entity_("dc", "basicdatacenter"), attrAt("dc", "dhcp/domain", str("example.org")),
		entity_("all", "pool"), attrAt("all", "dhcp/NTP_server", str("10.0.0.1")),
		entity_("boot", "pool"), insert("boot", "all", 0),
		attrAt("boot", "dhcp/enabled", num(1)), attrAt("boot", "dhcp/tftp_server", str("10.0.0.2")),
		attrAt("boot", "dhcp/tftp_filename", str("pxelinux.0")),
	}
	for i := range n {
		if i%200 == 0 {
			lan := fmt.Sprintf("lan%d", i/200)
			base := fmt.Sprintf("10.%d.%d", 1+i/200/256, i/200%256)
			ops = append(ops, entity_(lan, "ipmanager"), attrAt(lan, "baseip/property", str(base+".0")),
				attrAt(lan, "netmask/property", str("255.255.255.0")), attrAt(lan, "gateway/property", str(base+".1")))
		}
		rack := fmt.Sprintf("r%d", i/40)
		if i%40 == 0 {
			ops = append(ops, entity_(rack, "basicrack"), insert(rack, "dc", 0))
		}
		s := fmt.Sprintf("s%06d", i)
		ops = append(ops, entity_(s, "basicserver"), insert(s, rack, i%40+1), insert(s, "boot", 0),
			attrAt(s, "port-nic-eth/mac/1", str(fleetMAC(i).String())),
			attrAt(s, "port-nic-eth/osportname/1", str("eth0")),
			bind(s, fmt.Sprintf("10.%d.%d.%d", 1+i/200/256, i/200%256, i%200+10), "eth0"))
	}
	return ops
}

func fleetMAC(i int) clusto.MAC {
	return clusto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
}

func fleetStore(b *testing.B) *Store {
	b.Helper()
	s := openTest(b, b.TempDir()+"/clusto.db")
	apply(b, s, fleet(*benchHosts)...)
	return s
}

func BenchmarkApply(b *testing.B) {
	ops := fleet(*benchHosts)
	for b.Loop() {
		s := openTest(b, b.TempDir()+"/clusto.db")
		apply(b, s, ops...)
	}
	b.ReportMetric(float64(len(ops))*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkImport imports a sample site into a new database of either kind, from
// the text of its file; PostgreSQL waits for the disk, as one in use does:
// go test -run - -bench Import -benchtime 1x -hosts 100000.
func BenchmarkImport(b *testing.B) {
	text := inventory.Sample(*benchHosts)
	for name, newDSN := range kinds {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dsn := newDSN(b)
				if name == "postgresql" {
					pgtest.Durable(b, dsn)
				}
				s := openTest(b, dsn)
				b.StartTimer()
				site, err := inventory.Parse("site.yaml", text)
				if err != nil {
					b.Fatal(err)
				}
				apply(b, s, site.Ops()...)
			}
			b.ReportMetric(float64(*benchHosts*b.N)/b.Elapsed().Seconds(), "hosts/s")
		})
	}
}

func BenchmarkApplyAgain(b *testing.B) {
	ops := fleet(*benchHosts)
	s := fleetStore(b)
	for b.Loop() {
		apply(b, s, ops...)
	}
	b.ReportMetric(float64(len(ops))*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkHost(b *testing.B) {
	s := fleetStore(b)
	i := 0
	for b.Loop() {
		i = (i + 7919) % *benchHosts
		if _, err := s.Host(b.Context(), fleetMAC(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHostOfOriginal(b *testing.B) {
	s := original(b, "clusto.sql")
	for b.Loop() {
		if _, err := s.Host(b.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHosts(b *testing.B) {
	s := fleetStore(b)
	for b.Loop() {
		n := 0
		if err := s.Hosts(b.Context(), func(*clusto.Host) error { n++; return nil }); err != nil || n != *benchHosts {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkHostsJSON(b *testing.B) {
	s := fleetStore(b)
	for b.Loop() {
		err := s.Hosts(b.Context(), func(h *clusto.Host) error {
			_, err := json.Marshal(h)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
