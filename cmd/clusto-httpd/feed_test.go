package main

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// feed reads a change feed up to a line that begins with want, and gives the last
// id before it.
func (d *running) feed(t *testing.T, since, want string) (id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // nothing that works comes near it
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.addr+"/v2/changes?since="+since, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if at, ok := strings.CutPrefix(in.Text(), "id: "); ok {
			id = at
		}
		if strings.HasPrefix(in.Text(), want) {
			return id
		}
		if strings.Contains(in.Text(), "reset") {
			t.Fatalf("a reset, instead of %s", want)
		}
	}
	t.Fatalf("the feed from %q ends (%v) before %s", since, ctx.Err(), want)
	return ""
}

// TestFeedOutlivesAKill: what was changed while nobody served is told to who
// goes on where he was; and a feed does not hold up the end.
func TestFeedOutlivesAKill(t *testing.T) {
	file := originalFile(t)
	d := start(t, nil, "--db", file)
	id := d.feed(t, "", "data: {\"seq\":")
	d.end(t, syscall.SIGKILL)
	db := openFile(t, file)
	if _, err := db.ExecContext(t.Context(), `UPDATE entity_attrs SET string_value = 'x' WHERE subkey = 'osportname'
		AND entity_id = (SELECT entity_id FROM entities WHERE name = 's0001')`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	d = start(t, nil, "--db", file)
	id = d.feed(t, id, `data: {"entities":["/server/s0001"],"macs":["00:1e:c9:00:00:01"]}`)
	hears := make(chan struct{})
	go func() {
		defer close(hears)
		resp, err := http.Get("http://" + d.addr + "/v2/changes?since=" + id)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		in.Scan()
		hears <- struct{}{}
		for in.Scan() {
		}
	}()
	<-hears
	if code := d.end(t, syscall.SIGTERM); code != 0 || strings.Contains(d.log.String(), "cut off") {
		t.Errorf("SIGTERM ends it with %d\n%s", code, d.log.String())
	}
	<-hears
}
