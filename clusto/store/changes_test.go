package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// follower reads a feed one Change at a time.
type follower struct {
	t   testing.TB
	got chan *clusto.Change
	err chan error
	end context.CancelFunc
}

func follow(t testing.TB, s *Store, since string, beat time.Duration) *follower {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	f := &follower{t: t, got: make(chan *clusto.Change), err: make(chan error, 1), end: end}
	over := make(chan struct{})
	go func() {
		defer close(over)
		f.err <- s.Follow(ctx, since, beat, func(c *clusto.Change) error {
			select {
			case f.got <- c:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() { end(); <-over })
	return f
}

// patience bounds every wait; nothing that works comes near it.
const patience = 20 * time.Second

func (f *follower) next() *clusto.Change {
	f.t.Helper()
	select {
	case c := <-f.got:
		return c
	case err := <-f.err:
		f.t.Fatalf("the feed ends: %v", err)
	case <-time.After(patience):
		f.t.Fatal("nothing comes")
	}
	return nil
}

// until collects all that comes up to the position of the latest change.
func (f *follower) until(s *Store) *clusto.Change {
	f.t.Helper()
	head, err := s.readNext(context.Background(), now)
	if err != nil {
		f.t.Fatal(err)
	}
	sum := &clusto.Change{}
	for sum.Seq < head.Seq {
		c := f.next()
		sum.Seq, sum.ID, sum.Reset = c.Seq, c.ID, sum.Reset || c.Reset
		sum.Entities, sum.MACs = append(sum.Entities, c.Entities...), append(sum.MACs, c.MACs...)
	}
	return sum
}

// change reads what comes after a position, at once.
func change_(t testing.TB, s *Store, at string) *clusto.Change {
	t.Helper()
	p, err := parsePosition(at)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.readNext(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func named(c *clusto.Change) string {
	all := slices.Clone(c.Entities)
	for _, m := range c.MACs {
		all = append(all, m.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestFeedNames: who depends on a change is named, with all that they have and
// have lost, and nobody else.
func TestFeedNames(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, append(example(),
			entity_("all", "pool"), insert("pxeboot-servers", "all", 0), entity_("tftp", "basicserver"), bind("tftp", "192.168.1.9", ""),
			entity_("other", "basicserver"), attrAt("other", "port-nic-eth/mac/2", str("02:00:00:00:00:02")),
			entity_("old", "basicserver"), entity_("wan", "ipmanager"))...)
		execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", datatype, int_value, version)
			SELECT entity_id, 'ip', 'int', 5, 1 FROM entities WHERE name = 'old'`) // bound under no manager
		const ex, exMAC = "/server/ex0000", "00:11:22:33:44:55"
		for _, tt := range []struct {
			name string
			ops  []clusto.Op
			want []string
		}{
			{"an attribute that no host is made from", []clusto.Op{attrAt("ex0000", "location", str("here")), attrAt("ex0000", "port-nic-eth/cabletype/1", str("cat6"))}, nil},
			{"hostname", []clusto.Op{attrAt("ex0000", "hostname", str("x"))}, []string{ex, exMAC}},
			{"a new MAC", []clusto.Op{attrAt("ex0000", "port-nic-eth/mac/1", str("02:00:00:00:00:01"))}, []string{ex, exMAC, "02:00:00:00:00:01"}},
			{"the old MAC again", []clusto.Op{attrAt("ex0000", "port-nic-eth/mac/1", str(exMAC))}, []string{ex, exMAC, "02:00:00:00:00:01"}},
			{"a BMC", []clusto.Op{attrAt("ex0000", "port-nic-eth/ipmi-mac/1", str("02:00:00:00:00:0b"))}, []string{ex, exMAC, "02:00:00:00:00:0b"}},
			{"no BMC", []clusto.Op{{Op: "del", Name: "ex0000", Key: "port-nic-eth", Subkey: ptr("ipmi-mac")}}, []string{ex, exMAC, "02:00:00:00:00:0b"}},
			{"a pool's option", []clusto.Op{attrAt("pxeboot-servers", "dhcp/domain", str("x"))}, []string{"/pool/pxeboot-servers", ex, exMAC}},
			{"a pool's pool's option", []clusto.Op{attrAt("all", "dhcp/domain", str("x"))}, []string{"/pool/all", "/pool/pxeboot-servers", ex, exMAC}},
			{"the datacenter's", []clusto.Op{attrAt("dc", "dhcp/domain", str("x"))}, []string{"/datacenter/dc", "/rack/r1", ex, exMAC}},
			{"an address", []clusto.Op{bind("ex0000", "192.168.1.51", "")}, []string{ex, exMAC}},
			{"a host into a pool", []clusto.Op{insert("other", "all", 0)}, []string{"/server/other", "02:00:00:00:00:02"}},
			{"out of it", []clusto.Op{{Op: "remove", Name: "other", Into: "all"}}, []string{"/server/other", "02:00:00:00:00:02"}},
			{"a relation", []clusto.Op{attrAt("pxeboot-servers", "dhcp/tftp_server", rel("/server/tftp"))}, []string{"/pool/pxeboot-servers", ex, exMAC}},
			{"the related one's address", []clusto.Op{bind("tftp", "192.168.1.8", "")}, []string{"/server/tftp", "/pool/pxeboot-servers", ex, exMAC}},
			{"an IP manager", []clusto.Op{attrAt("lan", "gateway/property", str("192.168.1.1"))}, []string{"/resourcemanager/lan", "/server/tftp", "/server/old", ex, exMAC}},
			{"another IP manager", []clusto.Op{attrAt("wan", "baseip/property", str("10.0.0.0"))}, []string{"/resourcemanager/wan", "/server/old"}},
			{"an IP manager's end", []clusto.Op{{Op: "delete", Name: "wan"}}, []string{"/resourcemanager/wan", "/server/old"}},
			{"a pool's end", []clusto.Op{{Op: "delete", Name: "pxeboot-servers"}}, []string{"/pool/pxeboot-servers", ex, exMAC}},
			{"a host's end", []clusto.Op{{Op: "delete", Name: "ex0000"}}, []string{ex, exMAC}},
			{"a new host", []clusto.Op{entity_("new", "basicserver"), attrAt("new", "port-nic-eth/mac/1", str(exMAC))}, []string{"/server/new", exMAC}},
		} {
			at := change_(t, s, "").ID
			apply(t, s, tt.ops...)
			c := change_(t, s, at)
			slices.Sort(tt.want)
			if got := named(c); got != strings.Join(tt.want, " ") || c.Reset {
				t.Errorf("%s: got  %s\nwant %s", tt.name, got, strings.Join(tt.want, " "))
			}
		}
	})
}

// TestFeedGoesOn: whoever resumes where he was misses nothing, at another Store
// and after the database was closed too; and hears nothing twice.
func TestFeedGoesOn(t *testing.T) {
	for name, newDSN := range kinds {
		if name == "memory" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dsn := newDSN(t)
			one := openTest(t, dsn)
			apply(t, one, example()...)
			f := follow(t, one, "", time.Hour)
			hello := f.next()
			if hello.Seq == 0 || hello.Seq != hello.Head || hello.Reset || len(hello.Entities) != 0 {
				t.Errorf("it begins with %+v", hello)
			}
			apply(t, one, attrAt("ex0000", "hostname", str("a")))
			first := f.next()
			if named(first) != "/server/ex0000 00:11:22:33:44:55" {
				t.Errorf("got %+v", first)
			}
			f.end()
			one.Close()
			two := openTest(t, dsn)
			apply(t, two, attrAt("dc", "dhcp/domain", str("x")))
			again := follow(t, two, first.ID, time.Hour)
			if c := again.next(); c.ID != first.ID || c.Head <= c.Seq || c.Reset || len(c.Entities) != 0 {
				t.Errorf("it goes on with %+v, from %s", c, first.ID)
			}
			if c := again.until(two); named(c) != "/datacenter/dc /rack/r1 /server/ex0000 00:11:22:33:44:55" || c.Reset {
				t.Errorf("got %+v", c)
			}
		})
	}
}

// TestFeedHearsOthers: what another process writes comes too, and silence is
// told.
func TestFeedHearsOthers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		f := follow(t, s, "", time.Millisecond)
		hello := f.next()
		for range 3 {
			if c := f.next(); c.ID != hello.ID || c.Reset || len(c.MACs) != 0 {
				t.Errorf("silence is %+v", c)
			}
		}
		execute(t, s, `UPDATE entity_attrs SET string_value = '/other' WHERE subkey = 'tftp_filename'`)
		if c := f.until(s); named(c) != "/pool/pxeboot-servers /server/ex0000 00:11:22:33:44:55" {
			t.Errorf("got %+v", c)
		}
	})
}

// TestFeedResets: a position that is too old, of another database, of a copy
// that was put back or of nobody's tells to forget everything; and the feed goes
// on from there.
func TestFeedResets(t *testing.T) {
	for name, newDSN := range kinds {
		t.Run(name, func(t *testing.T) {
			s, other := openTest(t, newDSN(t)), openTest(t, newDSN(t))
			for _, db := range []*Store{s, other} {
				apply(t, db, example()...)
			}
			here, there := change_(t, s, ""), change_(t, other, "")
			if here.Seq != there.Seq || here.ID == there.ID {
				t.Fatalf("%s and %s: the test is about positions that only the lot tells apart", here.ID, there.ID)
			}
			for _, since := range []string{there.ID, "0", "999999999", fmt.Sprint(here.Seq+1, "-x"), fmt.Sprint(here.Seq, "-x")} {
				f := follow(t, s, since, time.Hour)
				if c := f.next(); !c.Reset || c.ID != here.ID {
					t.Errorf("since %s: %+v", since, c)
				}
				f.end()
			}
			if c := change_(t, s, fmt.Sprint(here.Seq)); c.Reset || c.Seq != here.Seq {
				t.Errorf("a plain number: %+v", c)
			}
			for _, bad := range []string{"x", "-1", "1.5", "-", "99999999999999999999", "1-", "1-!", "1-2-3", "1-" + strings.Repeat("x", 14)} {
				if err := s.Follow(t.Context(), bad, time.Hour, nil); !errors.Is(err, clusto.ErrInvalid) {
					t.Errorf("since %q: %v", bad, err)
				}
			}
			for _, name := range []string{"a", "b", "c", "d"} {
				apply(t, s, attrAt("ex0000", "hostname", str(name)))
			}
			s.prune(t.Context(), 3)
			if c := change_(t, s, here.ID); !c.Reset {
				t.Errorf("pruned: %+v", c)
			}
			var kept int
			if err := s.read.QueryRow(`SELECT count(*) FROM clusto_changes`).Scan(&kept); err != nil || kept != 3 {
				t.Errorf("%d rows are kept: %v", kept, err)
			}
			execute(t, s, `DELETE FROM clusto_changes`)
			s.feed.memo = memo{}
			if c := change_(t, s, here.ID); !c.Reset || c.Seq != 0 {
				t.Errorf("emptied: %+v", c)
			} else if c = change_(t, s, c.ID); c.Reset || c.Seq != 0 {
				t.Errorf("still empty: %+v", c)
			}
		})
	}
}

// TestFeedOfACopyPutBack: the copy goes its own way until its numbers reach
// those that a follower has seen before, and he is told.
func TestFeedOfACopyPutBack(t *testing.T) {
	file := t.TempDir() + "/clusto.db"
	s := openTest(t, file)
	apply(t, s, example()...)
	before := change_(t, s, "")
	execute(t, s, `VACUUM INTO ?`, file+".copy")
	apply(t, s, attrAt("ex0000", "hostname", str("lost")))
	lost := change_(t, s, "")
	s.Close()
	must(t, os.Remove(file))
	must(t, os.Rename(file+".copy", file))
	for _, name := range []string{"x", "y", "z"} { // before any server runs again
		runSQLite(t, file, `UPDATE entities SET name = '`+name+`' WHERE type = 'datacenter'`)
	}
	s = openTest(t, file)
	if c := change_(t, s, ""); c.Seq <= lost.Seq {
		t.Fatalf("%d: the test is about a number that comes again after %d", c.Seq, lost.Seq)
	}
	if c := change_(t, s, lost.ID); !c.Reset {
		t.Errorf("from a time that was lost: %+v", c)
	}
	if c := change_(t, s, before.ID); c.Reset || !strings.Contains(named(c), "ex0000") {
		t.Errorf("from before the copy: %+v", c)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// raceScale gives the smaller size under the race detector, which slows SQLite
// down 27 times.
func raceScale(size, small int) int {
	if raceDetector {
		return small
	}
	return size
}
