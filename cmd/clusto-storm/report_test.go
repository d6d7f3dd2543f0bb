package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/storm"
)

func TestReport(t *testing.T) {
	m := newMeter([]string{"offer", "ack"})
	for i := range 1000 {
		m.reply(1, time.Duration(i+1)*time.Microsecond)
	}
	m.reply(2, time.Hour) // more than it measures
	r := loadReport("dora", &wire{Interface: "eth7"}, storm.LoadResult{
		Begun: 2000, Done: 1500, Refused: 1, Lost: 490, Unfinished: 9, Asking: time.Second, Answered: 2 * time.Second, Elapsed: 3 * time.Second,
	}, m, afpacket.Stats{Dropped: 12})
	if r.Rate != 750 || r.Asked != 2000 || r.Loss < 0.246 || r.Loss > 0.2462 {
		t.Errorf("%+v", r)
	}
	offer := r.Latencies[0]
	if offer.Count != 1000 || offer.P50 < 499 || offer.P50 > 501 || offer.P999 < 998 || offer.Max < 999 || offer.Max > 1001 {
		t.Errorf("%+v", offer)
	}
	if max := r.Latencies[1].Max; max < 599e6 || max > 601e6 {
		t.Errorf("an hour counts as %v us", max)
	}
	var text bytes.Buffer
	if err := r.print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2,000/s", "refused", "unfinished", "24.6107 %", "12 dropped by this machine's kernel", "500.2us", "600.22s"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing from\n%s", want, &text)
		}
	}
	if err := r.unanswered(); err == nil || !strings.Contains(err.Error(), "500 of 2,000") {
		t.Error(err)
	}
	if err := (&result{Begun: 3, Done: 3}).unanswered(); err != nil {
		t.Error(err)
	}
}

// The rate is that of the time in which servers answered, or were asked: not of the
// wait for what is lost.
func TestRateLeavesOutTheWaitForTheLost(t *testing.T) {
	m := newMeter([]string{"offer"})
	for _, c := range []struct {
		asking, answered time.Duration
		want             float64
	}{
		{time.Second, 1250 * time.Millisecond, 800},
		{2 * time.Second, time.Second, 500}, // a server that died half-way is not the faster for it
		{time.Second, 0, 1000},
	} {
		r := loadReport("dora", &wire{}, storm.LoadResult{Begun: 1500, Done: 1000, Lost: 500, Asking: c.asking, Answered: c.answered, Elapsed: 4 * time.Second}, m, afpacket.Stats{})
		if r.Rate != c.want || r.Seconds != 4 {
			t.Errorf("%+v: %v/s in %v s", c, r.Rate, r.Seconds)
		}
	}
	r := hallReport(&wire{}, storm.Result{Done: 1000, Failed: 1, Answered: time.Second, Elapsed: 60 * time.Second}, afpacket.Stats{}, 1001)
	if r.Rate != 1000 || r.Seconds != 60 {
		t.Errorf("a hall: %v/s in %v s", r.Rate, r.Seconds)
	}
}

// A load that ends by a time that nobody gave has not done what it was told.
func TestCountThatIsNotReached(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		p     pace
		begun int
		count int
		d     time.Duration
		want  string
	}{
		{pace{}, 5, usualCount, usualTime, ""},
		{pace{Count: 10}, 10, 10, usualTime, ""},
		{pace{Count: 10000}, 9000, 10000, usualTime, "9,000 of --count 10,000 had begun after 10s"},
		{pace{Count: 10000, Time: &second}, 9000, 10000, second, ""},
		{pace{Time: &second}, 9000, 0, second, ""},
	} {
		if count, d := c.p.bounds(); count != c.count || d != c.d {
			t.Errorf("%+v is bounded by %d and %v", c.p, count, d)
		}
		if err := c.p.short(&result{Begun: c.begun}); (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.p, err)
		}
	}
}

// What was due and had no room is loss.
func TestNotBegunIsLoss(t *testing.T) {
	r := loadReport("dora", &wire{}, storm.LoadResult{Begun: 60, Done: 50, Lost: 10, NotBegun: 40}, newMeter(nil), afpacket.Stats{})
	var text bytes.Buffer
	if err := r.print(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.unsent(); r.Loss != 0.5 || !strings.Contains(text.String(), "not begun  40") || err == nil || !strings.Contains(err.Error(), "40 exchanges were due") {
		t.Errorf("%v, %v:\n%s", r.Loss, err, &text)
	}
}

// Programs that read the JSON get a list, also of nothing.
func TestNoLatenciesAreAnEmptyList(t *testing.T) {
	b, err := json.Marshal(loadReport("dora", &wire{}, storm.LoadResult{}, newMeter([]string{"offer"}), afpacket.Stats{}))
	if err != nil || !bytes.Contains(b, []byte(`"latencies":[]`)) {
		t.Errorf("%v: %s", err, b)
	}
}

func TestNumber3(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		if got := number3(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// A chart is XML, has few ticks, and ends where the storm did.
func TestChart(t *testing.T) {
	for _, c := range []struct {
		total int
		took  time.Duration
	}{{1, 0}, {3, 7 * time.Millisecond}, {10_000, 714 * time.Millisecond}, {123_456, 3 * time.Minute}} {
		curve := &curve{total: c.total, points: []point{{}, {c.took / 2, c.total / 2}, {c.took, c.total}}}
		var svg bytes.Buffer
		if err := curve.draw(&svg); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for d := xml.NewDecoder(bytes.NewReader(svg.Bytes())); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, &svg)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "line" {
				lines++
			}
		}
		if lines < 4 || lines > 2*(chartTicks+1) {
			t.Errorf("%+v: %d lines", c, lines)
		}
		if !strings.Contains(svg.String(), "776.0,40.0 \"") && c.took > 0 {
			t.Errorf("%+v does not end in the corner:\n%s", c, &svg)
		}
	}
}
