package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine"
)

// bootPatience bounds the wait for firmware, which runs in software here: 5 to
// 10 s of a processor.
const bootPatience = 90 * time.Second

const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
	romBIOS  = "/usr/lib/ipxe/qemu/efi-virtio.rom" // qemu finds it by itself, for a BIOS too
	snponly  = "/usr/lib/ipxe/snponly.efi"
)

// diskless are machines of one pool that boots them all.
const diskless = `
pools:
  net:
    in: dc
    dhcp:
      tftp_server: 10.9.0.2
      tftp_filename: /other
      tftp_filename-bios: /bios
      tftp_filename-efi64: /snponly.efi
      tftp_filename-http: http://10.9.0.2/boot.efi
servers:
  d1: {in: net, mac: "02:00:00:00:00:31", ip: 10.9.0.91}
  d2: {in: net, mac: "02:00:00:00:00:32", ip: 10.9.0.92, dhcp: {tftp_filename-ipxe: /boot.ipxe}}
  d3: {in: net, mac: "02:00:00:00:00:33", ip: 10.9.0.93, dhcp: {tftp_filename-ipxe: /boot.ipxe}}
  d4: {in: net, mac: "02:00:00:00:00:34", ip: 10.9.0.94}
`

// The firmware of a machine, as arguments of qemu's and for its network card.
var (
	bios    = firmware{}
	uefi    = firmware{card: ",romfile=", args: []string{"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + ovmfCode, "-drive", "if=pflash,unit=1,format=raw,snapshot=on,file=" + ovmfVars}}
	uefiWeb = firmware{card: uefi.card, args: append([]string{"-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n", "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"}, uefi.args...)}
)

type firmware struct {
	card string
	args []string
}

// boot switches a machine without a disk on, and gives what switches it off.
func (l *lab) boot(last byte, fw firmware) (off func()) {
	l.t.Helper()
	card := l.wire()
	defer card.Close()
	cmd := exec.Command(need(l.t, "qemu-system-x86_64", "qemu-system-x86"), append([]string{
		"-accel", "tcg", "-machine", "q35,graphics=off", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-netdev", "dgram,id=net,local.type=fd,local.str=3", // the first of ExtraFiles
		"-device", fmt.Sprintf("virtio-net-pci,netdev=net,bootindex=1,mac=02:00:00:00:00:%02x%s", last, fw.card),
	}, fw.args...)...)
	cmd.ExtraFiles = []*os.File{card}
	out := &journal{}
	cmd.Stdout, cmd.Stderr = out, out
	must(l.t, l.peer.Start(cmd))
	return func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
		if l.t.Failed() {
			l.t.Logf("the machine says:\n%q", out)
		}
	}
}

// TestBootFirmware: each kind of firmware gets the address of its machine, and
// asks for what its kind is to load: the ROM of a BIOS, UEFI over TFTP and over
// HTTP, and iPXE, both as a ROM and as what UEFI loaded, which must not load
// itself again. qemu's ROM for a BIOS is an iPXE too: without an attribute for
// iPXE it gets what a BIOS gets.
func TestBootFirmware(t *testing.T) {
	t.Parallel()
	if testing.Short() || raceEnabled {
		t.Skip("*** NOT TESTED *** under -short and -race: the firmware is what is slow, and it is no Go program")
	}
	for file, pkg := range map[string]string{ovmfCode: "ovmf", ovmfVars: "ovmf", romBIOS: "ipxe-qemu", snponly: "ipxe"} {
		if _, err := os.Stat(file); err != nil {
			lack(t, file, pkg)
		}
	}
	l := newLab(t)
	l.apply(diskless)
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix("10.9.0.2/24")))
	loader, err := os.ReadFile(snponly)
	must(t, err)
	s := newShelf(t, l.net, "10.9.0.2", map[string][]byte{"/snponly.efi": loader})
	l.start()
	for _, tc := range []struct {
		name   string
		last   byte
		fw     firmware
		addr   string
		wishes []string
	}{
		{"BIOS", 0x31, bios, "10.9.0.91", []string{"tftp /bios"}},
		{"iPXE in a BIOS", 0x32, bios, "10.9.0.92", []string{"tftp /boot.ipxe"}},
		{"UEFI, then iPXE", 0x33, uefi, "10.9.0.93", []string{"tftp /snponly.efi", "tftp /boot.ipxe"}},
		{"UEFI over HTTP", 0x34, uefiWeb, "10.9.0.94", []string{"http /boot.efi"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.t = t
			off := l.boot(tc.last, tc.fw)
			defer off()
			l.within(bootPatience, "wishes of "+tc.addr, func() bool { return len(s.wishes(tc.addr)) >= len(tc.wishes) })
			if got := s.wishes(tc.addr); !slices.Equal(got, tc.wishes) {
				t.Errorf("it asks for %q, want %q", got, tc.wishes)
			}
		})
	}
	l.t = t
	if n := l.verdicts(engine.Nak); n != 0 {
		t.Errorf("%d NAKs", n)
	}
}
