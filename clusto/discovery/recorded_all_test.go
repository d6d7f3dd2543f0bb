package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
)

// recordedCase is what becomes of one notification that was sent to the
// original, and where that differs from what the original did, why.
type recordedCase struct {
	want map[string]uint64 // outcomes of its events
	why  string            // the effect is another one, on purpose
	made []string          // then, the servers that there are more
}

var (
	isOff   = map[string]uint64{"off": 1}
	isOn    = map[string]uint64{"created": 1}
	nothing = map[string]uint64{} // no event
)

// recordedCases are all that were recorded, in their order.
var recordedCases = []recordedCase{
	0:  {want: isOn},
	1:  {want: map[string]uint64{"known": 1}},
	2:  {want: map[string]uint64{"attached": 1}},
	3:  {want: map[string]uint64{"attached": 1}}, // clusto has the MAC on a port of s0001
	4:  {want: map[string]uint64{"gone": 1}},
	5:  {want: map[string]uint64{"not_understood": 1}},
	6:  {want: isOn, why: "a server's MAC need not begin with 00", made: []string{"s0030"}},
	7:  {want: isOn},
	8:  {want: map[string]uint64{"created": 2}, why: "every record of a message counts, not the first alone", made: []string{"s0031", "s0032"}},
	9:  {want: map[string]uint64{"gone": 1, "created": 1}, why: "every record of a message counts, not the first alone", made: []string{"s0032"}},
	10: {want: isOn, why: "the index of a history message counts up and is not always 1", made: []string{"s0032"}},
	11: {want: map[string]uint64{"created": 2}},
	12: {want: nothing, why: "the community is looked at"},
	13: {want: isOn},
	14: {want: map[string]uint64{"created": 1, "known": 1}}, // an inform, twice: the original did not answer
	15: {want: map[string]uint64{"unknown_switch": 1}},
	16: {want: map[string]uint64{"unknown_switch": 1}, why: "the source must be a networkswitch"},
	17: {want: isOff, why: "the most specific snmp/discovery decides: 0 on a switch switches it off"},
	18: {want: map[string]uint64{"unmapped": 1}, why: "a port that the layout does not map leaves no orphan"},
	19: {want: map[string]uint64{"unmapped": 1}, why: "a port that the layout does not map leaves no orphan"},
	20: {want: map[string]uint64{"not_server_port": 1}, why: "a port that leads to something other than a server attaches nothing"},
	21: {want: map[string]uint64{"unmapped": 1}},
	22: {want: map[string]uint64{"unmapped": 1}},
	23: {want: map[string]uint64{"attached": 1}},
	24: {want: isOff},
	25: {want: isOff},
	26: {want: isOn, why: "the text 1 switches discovery on as well", made: []string{"s0029"}},
	27: {want: isOn, why: "the text 1 switches discovery on as well", made: []string{"s0029"}},
	28: {want: map[string]uint64{"no_layout": 1}},
	29: {want: map[string]uint64{"no_layout": 1}},
	30: {want: isOff}, // it is in no datacenter any more either
	31: {want: isOff},
	32: {want: map[string]uint64{"refused": 1}},
	33: {want: map[string]uint64{"refused": 1}},
	34: {want: map[string]uint64{"refused": 1}, why: "a rack unit that is taken leaves no orphan"},
	35: {want: map[string]uint64{"refused": 1}, why: "a rack unit that is taken leaves no orphan"},
	36: {want: isOn, why: "a name that is taken is passed over", made: []string{"s0030"}},
	37: {want: isOn, why: "a name that is taken is passed over", made: []string{"s0030"}},
	38: {want: map[string]uint64{"unknown_switch": 1}},
	39: {want: isOn},
	40: {want: nothing}, // the original's daemon ended of it, as of 41, 42 and 47
	41: {want: nothing},
	42: {want: nothing},
	43: {want: nothing},
	44: {want: isOn},
	45: {want: nothing},
	46: {want: isOn},
	47: {want: nothing},
}

// recordedStarts are the cases before which the original had its first database
// back, and what was changed in it.
var recordedStarts = map[int][]clusto.Op{
	0:  nil,
	24: {{Op: "attr", Name: "sv2", Key: "snmp", Subkey: ptr("discovery"), Value: &clusto.Value{Type: clusto.Int}}},
	26: {{Op: "attr", Name: "sv2", Key: "snmp", Subkey: ptr("discovery"), Value: text("1")}},
	28: {{Op: "del", Name: "sv2-r01", Key: "racklayout"}},
	30: {{Op: "remove", Name: "sv2-r01-sw1", Into: "sv2-r01"}},
	32: {{Op: "delete", Name: "servernames"}},
	34: {{Op: "create", Name: "squatter", Driver: "basicserver"}, {Op: "insert", Name: "squatter", Into: "sv2-r01", RU: 26}},
	36: {{Op: "create", Name: "s0029", Driver: "basicserver"}},
	38: nil, 40: nil, 41: nil, 42: nil, 43: nil, 45: nil, 47: nil,
}

// onBoth are the cases for PostgreSQL too: one of each kind of change. A database
// for each of the others would take minutes.
var onBoth = []int{0, 2, 3, 8, 11, 14, 18, 34, 36}

// TestRecordedEffects: each recorded notification, read from its frame, does to
// the database what it did with the original, from the same state on, but for
// the differences named.
func TestRecordedEffects(t *testing.T) {
	t.Parallel()
	all, frames := effects(t), recordedFrames(t)
	if len(recordedCases) != len(all) || len(frames) != len(all) {
		t.Fatalf("%d cases and %d frames, %d are recorded", len(recordedCases), len(frames), len(all))
	}
	start := 0
	for n := range all {
		if _, ok := recordedStarts[n]; ok {
			start = n
		}
		c, before, changes := recordedCases[n], all[start:n], recordedStarts[start]
		t.Run(fmt.Sprint(n, " ", all[n].What), func(t *testing.T) {
			t.Parallel()
			file := func(t *testing.T) string {
				name := originalFile(t)
				for i := range before {
					before[i].redo(t, name)
				}
				return name
			}
			events := eventsOf(t, frames[n], all[n].Source)
			test := func(t *testing.T, s *store.Store) {
				apply(t, s, changes...)
				c.judge(t, s, events, all[n].rows())
			}
			if slices.Contains(onBoth, n) {
				eachSiteOf(t, fmt.Sprint("recorded ", n), file, test)
				return
			}
			test(t, openStore(t, file(t)))
		})
	}
}

// judge compares what events do with what they did.
func (c *recordedCase) judge(t *testing.T, s *store.Store, events []Event, recorded []string) {
	t.Helper()
	before, names := snapshot(t, s)
	l := newLab(t, s)
	l.send(events...)
	l.want(c.want)
	got := changed(t, s, before)
	same := slices.Equal(got, recorded)
	if c.why == "" {
		if !same {
			t.Errorf("changed\n%s\nrecorded\n%s", strings.Join(got, "\n"), strings.Join(recorded, "\n"))
		}
		return
	}
	if same {
		t.Errorf("there is no difference: %s", c.why)
	}
	_, after := snapshot(t, s)
	after = slices.DeleteFunc(after, func(n string) bool { return slices.Contains(names, n) })
	if slices.Sort(after); !slices.Equal(after, c.made) || len(c.made) == 0 && len(got) > 0 {
		t.Errorf("servers %v are made, want %v\n%s", after, c.made, strings.Join(got, "\n"))
	}
}

// recordedFrames are the frames of each case.
func recordedFrames(t *testing.T) (out [][][]byte) {
	t.Helper()
	f, err := os.Open("../../fuzz/corpus/recorded/traps.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	const again = 15 // the inform's second
	for n := 0; ; n++ {
		data, _, err := r.ReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatal(err)
		case n == again:
			out[n-1] = append(out[n-1], data)
		default:
			out = append(out, [][]byte{data})
		}
	}
}

// kept is a trap.Journal, and what is in it.
type kept []trap.Event

// Append implements trap.Journal.
func (k *kept) Append(events []trap.Event) (int, error) {
	*k = append(*k, events...)
	return len(events), nil
}

// unsent is a trap.Sender.
type unsent struct{}

// SendOn implements trap.Sender.
func (unsent) SendOn(*engine.Link, []byte) error { return nil }

// eventsOf reads frames as the daemon does, as they came from a source.
func eventsOf(t *testing.T, frames [][]byte, source string) (out []Event) {
	t.Helper()
	var all kept
	s := trap.NewServer(trap.Config{Journal: &all, Communities: []string{"public"}, Events: 100, Replies: 1 << 12})
	h := s.Handler()
	link := &engine.Link{Local: map[netip.Addr]struct{}{netip.MustParseAddr("10.42.0.5"): {}}}
	for _, f := range frames {
		if got := netip.AddrFrom4([4]byte(f[26:30])).String(); got != source {
			t.Fatalf("a frame comes from %s, want %s", got, source)
		}
		_, v := h.Handle(nil, &engine.Packet{Data: f, Link: link, CsumPartial: true})
		t.Log(v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx, unsent{}) // writes what is left
	for _, e := range all {
		out = append(out, Event{
			At: time.Unix(0, e.At), Switch: netip.AddrFrom4(e.Switch), MAC: e.MAC, VLAN: e.VLAN, Port: e.Port, From: e.From, Kind: Kind(e.Op),
		})
	}
	return out
}
