package httpd_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestReadOnlyDatabase was a server out of order to whoever changed something,
// and an error in the log for each.
func TestReadOnlyDatabase(t *testing.T) {
	var log syncBuffer
	base := serve(t, openStore(t, originalFile(t)+"?mode=ro"), httpd.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	const says = "the database is read-only: nothing can be changed"
	for range 3 {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{"op":"entity","name":"x","driver":"pool"}]}`)
		if status != http.StatusNotImplemented || a.Error != says {
			t.Errorf("%d %+v", status, a)
		}
		resp, got := do(t, http.MethodPost, base+"/server/s0001/addattr?key=k&value=v", "")
		if resp.StatusCode != http.StatusNotImplemented || !strings.Contains(string(got), says) {
			t.Errorf("%s %s", resp.Status, got)
		}
	}
	if n := strings.Count(log.String(), "changes are refused"); n != 1 || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("it is said %d times: %s", n, log.String())
	}
}
