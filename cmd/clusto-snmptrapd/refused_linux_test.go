package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

// TestWrongCommunity: no answer, and nothing is read; several communities hold.
func TestWrongCommunity(t *testing.T) {
	l := newLab(t, 1)
	l.start("--community", "s3cret", "--community", "other")
	if out, code := l.snmp(0, "snmpinform", "2c", "public", learnt(testMAC(1), 1)); code == 0 {
		t.Errorf("answered: %s", out)
	}
	l.count(verdict(engine.WrongCommunity), 1)
	if f := l.figures(); f["sent_total"] != 0 || f["records_total{op=\"learnt\"}"] != 0 {
		t.Errorf("%v", f)
	}
	if out, code := l.snmp(0, "snmpinform", "2c", "other", learnt(testMAC(1), 1)); code != 0 {
		t.Errorf("the second community: %s", out)
	}
}

// TestStrangers are those that the setting sources does not name.
func TestStrangers(t *testing.T) {
	l := newLab(t, 2)
	l.start("--sources", "10.42.1.2", "--sources", "10.9.0.0/16")
	if out, code := l.snmp(0, "snmpinform", "2c", "public", learnt(testMAC(1), 1)); code == 0 {
		t.Errorf("answered: %s", out)
	}
	l.count(verdict(engine.UnknownSource), 1)
	l.says("not taken from this address", `"switch":"10.42.1.1"`)
	l.inform(1, learnt(testMAC(2), 1))
	l.count(outcome(discovery.Created), 1)
}

// TestBrokenDatagrams: the original ended at the first one.
func TestBrokenDatagrams(t *testing.T) {
	l := newLab(t, 1)
	l.start()
	c := l.socket(0)
	whole := notification(true, "public", 1, learnt(testMAC(1), 1))
	sent := uint64(0)
	send := func(b []byte) {
		_, err := c.Write(b)
		must(t, err)
		sent++
	}
	send([]byte{0})
	send(nil)
	send(bytes.Repeat([]byte{0x30}, 1400))
	send([]byte("\x30\x80garbage\x00\x00"))
	for n := range len(whole) {
		send(whole[:n])
	}
	l.count(verdict(engine.Malformed), sent)
	l.says(`"WARN"`, "the message is malformed", `"switch":"10.42.1.1"`)
	// What is cut short inside is no reason to lose what is whole.
	history := append(record(1, 42, testMAC(1), 1), 1, 0, 42, 0, 0x1e)
	l.inform(0, history)
	l.count("broken_records_total", 1)
	l.says("cut short", `"switch":"10.42.1.1"`)
	l.count(outcome(discovery.Created), 1)
	l.complete("s0001", 0, 1, testMAC(1))
}

// TestOtherNotifications are answered, and nothing more: a switch sends what it
// is told to.
func TestOtherNotifications(t *testing.T) {
	l := newLab(t, 1)
	l.start()
	linkDown := []string{"-m", "", "-v", "2c", "-c", "public", "-t", "2", "-r", "1", serverIP, "100", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.7", "i", "7"}
	if out, code := l.run("snmpinform", linkDown...); code != 0 {
		t.Errorf("%s", out)
	}
	l.says("not of CISCO-MAC-NOTIFICATION-MIB", "1.3.6.1.6.3.1.1.5.3")
	if f := l.figures(); f[verdict(engine.Reply)] != 1 || f["queued_total"] != 0 {
		t.Errorf("%v", f)
	}
}

// TestWhatMakesNoServer: each reason has a metric and a word with switch, port,
// VLAN and MAC, and those that can be mended are kept.
func TestWhatMakesNoServer(t *testing.T) {
	l := newLab(t, 3)
	l.apply(l, attr("r01", "snmp", "discovery", 0), // over the datacenter's
		clusto.Op{Op: "unbind", Name: "r02-sw1", IP: switchIP(2).String()})
	l.start()
	for i, c := range []struct {
		rack int
		port uint16
		mac  clusto.MAC
		is   discovery.Outcome
		says string
	}{
		{2, 3, testMAC(1), discovery.UnknownSwitch, "nothing in clusto has the address 10.42.1.3"},
		{1, 4, testMAC(2), discovery.Off, "snmp/discovery is off on /rack/r01"},
		{0, 39, testMAC(3), discovery.Unmapped, "servers of layout 201001 are on ports"},
		{0, 44, testMAC(4), discovery.NotServerPort, "/powerstrip/r00-pwr1"},
		{0, 5, clusto.MAC{1, 0, 0x5e, 0, 0, 1}, discovery.NotServerMAC, "multicast"},
	} {
		l.inform(c.rack, append(record(1, 7, c.mac, c.port), 0))
		l.count(outcome(c.is), 1)
		if c.is == discovery.NotServerPort || c.is == discovery.NotServerMAC {
			continue // nobody is to blame: no word
		}
		l.says(`"WARN"`, c.says, fmt.Sprintf(`"switch":%q`, switchIP(c.rack)), fmt.Sprintf(`"port":%d`, c.port), `"vlan":7`, c.mac.String(), fmt.Sprintf(`"outcome":%q`, c.is))
		if n := l.log.Lines("not discovered"); n != i+1 {
			t.Errorf("%d lines after %d events", n, i+1)
		}
	}
	l.idle(patience)
	if n := l.figures()["journal_dead_letters"]; n != 2 || len(l.letters()) != 2 {
		t.Errorf("%d dead letters, want 2: %+v", n, l.letters())
	}
	if got := l.servers(); len(got) > 0 {
		t.Errorf("made %v", got)
	}
}

// TestTaggedFrames: an inform that comes tagged is answered with the same tags.
func TestTaggedFrames(t *testing.T) {
	l := newLab(t, 1)
	l.start()
	c := l.handmade()
	p := storm.NewProbe(c.group.Conn(0))
	defer p.Close()
	for i, tags := range [][]frame.Tag{nil, {{TPID: 0x8100, TCI: 100}}, {{TPID: 0x88a8, TCI: 7}, {TPID: 0x8100, TCI: 0x2000 | 100}}} {
		c.head.NTags = copy(c.head.Tags[:], tags)
		f := c.frame(nil, notification(true, "public", int32(i+1), learnt(testMAC(i), uint16(i+1))))
		var got frame.UDP4
		pkt, err := p.Exchange(t.Context(), f, func(p *engine.Packet) bool {
			if got.Parse(p.Data, p.CsumPartial) != nil {
				return false
			}
			id, ok := responseTo(got.Payload)
			return ok && id == int32(i+1)
		}, 2*time.Second, 2*time.Second)
		if err != nil {
			t.Fatalf("%v: %v\n%v", tags, err, l.figures())
		}
		var back []frame.Tag
		if pkt.TPID != 0 {
			back = append(back, frame.Tag{TPID: pkt.TPID, TCI: pkt.TCI})
		}
		back = append(back, got.Tags[:got.NTags]...)
		if fmt.Sprint(back) != fmt.Sprint(tags) || got.Dst != switchIP(0).As4() || got.DstPort != 40000 || got.EthDst != c.head.EthSrc {
			t.Errorf("tags %v, want %v; to %v:%d at %x", back, tags, got.Dst, got.DstPort, got.EthDst)
		}
	}
	l.count(outcome(discovery.Created), 3)
}

// TestFragments are not put together: they are counted, and the switch is named.
func TestFragments(t *testing.T) {
	l := newLab(t, 1)
	l.start()
	var more []string
	for i := range 5 { // 2,000 bytes
		more = append(more, fmt.Sprintf("1.3.6.1.4.1.9.9.999.%d", i), "s", strings.Repeat("x", 400))
	}
	if out, code := l.snmp(0, "snmpinform", "2c", "public", learnt(testMAC(1), 1), more...); code == 0 {
		t.Errorf("answered: %s", out)
	}
	l.says(`"WARN"`, "in fragments", `"switch":"10.42.1.1"`)
	n := l.figures()[verdict(engine.Fragment)]
	if n == 0 {
		t.Errorf("%v", l.figures())
	}
	c := l.handmade()
	c.batch.Replies = [][]byte{part(c.frame(nil, notification(false, "public", 1, learnt(testMAC(1), 1))))}
	c.group.Conn(0).Send(&c.batch)
	l.count(verdict(engine.Fragment), n+1)
	l.inform(0, learnt(testMAC(1), 1))
	l.count(outcome(discovery.Created), 1)
}
