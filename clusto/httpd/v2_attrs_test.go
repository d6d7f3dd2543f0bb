package httpd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

func TestAttrsV2(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	_, got := do(t, http.MethodGet, base+"/v2/entities/s0002/attrs?key=dhcp&merge=true", "")
	if own, pool := strings.Index(string(got), "/server/s0002"), strings.Index(string(got), "/pool/pxeboot-servers"); own < 0 || pool < own {
		t.Errorf("merged: %s", got)
	}
	for _, tt := range []struct {
		path   string
		status int
		says   string
	}{
		{"nobody/attrs", http.StatusNotFound, `"nobody"`},
		{"s0001/attrs?kye=dhcp", http.StatusBadRequest, `there is no parameter "kye"; did you mean "key"? known are key, merge, hidden`},
		{"s0001/attrs?zz=1&b=1&d=1&c=1&e=1", http.StatusBadRequest, `there is no parameter "b"; known are key, merge, hidden`},
		{"s0001/attrs?key=%00", http.StatusBadRequest, "NUL"},
		{"a%ff/attrs", http.StatusBadRequest, "UTF-8"},
		{"s0001/attrs?merge=maybe", http.StatusBadRequest, `attributes of "s0001": parameter merge is "maybe", want 1 or 0`},
	} {
		if status, a := ask(t, http.MethodGet, base+"/v2/entities/"+tt.path, ""); status != tt.status || !strings.Contains(a.Error, tt.says) {
			t.Errorf("%s: %d %+v", tt.path, status, a)
		}
	}
}
