package main

import (
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestTokens imports and shows at a clusto-httpd that wants a token, over TLS.
func TestTokens(t *testing.T) {
	all, err := httpd.ParseTokens("tokens", []byte("read reader-reader-reader\nwrite writer-writer-writer\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, filepath.Join(t.TempDir(), "clusto.db"))
	srv := httptest.NewTLSServer(httpd.New(httpd.Config{Store: s, Tokens: func() *httpd.Tokens { return all }}))
	t.Cleanup(srv.Close)
	site := write(t, "site.yaml", seed)
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	reader, writer := write(t, "reader", "reader-reader-reader\n"), write(t, "writer", "writer-writer-writer\n")

	t.Setenv("CLUSTO_CA_FILE", ca)
	for _, tt := range []struct {
		env  string // CLUSTO_TOKEN_FILE
		args []string
		code int
		says string
	}{
		{"", []string{"import", site}, 1, "give --api-token-file, or set CLUSTO_TOKEN_FILE"},
		{"", []string{"import", site, "--api-token-file", reader}, 1, "this token only reads"},
		{"", []string{"import", site, "--api-token-file", writer}, 0, ""},
		{writer, []string{"import", site}, 0, ""},
		{"", []string{"show", "ex0000"}, 1, "a token is needed here"},
		{reader, []string{"show", "ex0000"}, 0, ""},
		{"", []string{"show", "ex0000", "--api-token-file", "/nowhere/token"}, 2, "api_token_file: stat /nowhere/token"},
		{reader, []string{"show", "ex0000", "--api-ca-file", reader}, 2, "api_ca_file: "},
		{reader, []string{"show", "ex0000", "--api-ca-file", ""}, 1, "certificate"},
	} {
		t.Setenv("CLUSTO_TOKEN_FILE", tt.env)
		r := runClusto(t, "", append(tt.args, "--api-url", srv.URL)...)
		if r.code != tt.code || !strings.Contains(r.err, tt.says) || strings.Contains(r.err, "reader-reader") || (tt.code == 0) != (r.err == "") {
			t.Errorf("%v: %+v, want %d %q", tt.args, r, tt.code, tt.says)
		}
	}
}
