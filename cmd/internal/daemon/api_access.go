package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/clusto/clusto-engine/clusto/client"
)

// APIAccess are the settings of whoever asks a clusto-httpd that wants tokens
// or speaks TLS. The token is in a file: a command line is for all to see.
type APIAccess struct {
	APITokenFile string `name:"api-token-file" env:"CLUSTO_TOKEN_FILE" placeholder:"FILE" help:"Send the token in FILE to clusto-httpd."`
	APICAFile    string `name:"api-ca-file" env:"CLUSTO_CA_FILE" placeholder:"FILE" help:"Trust the certificates in FILE (PEM), and no others, to vouch for clusto-httpd."`

	own *access // of the clusto-httpd in this process; nil: it is in another one
}

// AddTo adds the settings to a client's. The token is read anew when its file
// changes. The error names the setting and the file.
func (a *APIAccess) AddTo(cfg *client.Config, log *slog.Logger) error {
	if a.own != nil {
		a.own.addTo(cfg)
		return nil
	}
	if _, err := client.Trust(a.APICAFile); err != nil {
		return fmt.Errorf("api_ca_file: %w", err)
	}
	cfg.CAFile = a.APICAFile
	if a.APITokenFile == "" {
		return nil
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	file := a.APITokenFile
	token, err := keep(log, "api_token_file", func() (string, error) { return readToken(file) }, file)
	if err != nil {
		return err
	}
	cfg.Token = token.get
	if u, err := url.Parse(cfg.URL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		log.Warn("the token crosses the network in clear text, where others may read and use it: have clusto-httpd speak TLS, and set api_url to https://...", "api_url", cfg.URL)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// oneToken is what may be sent as a bearer token (RFC 6750 section 2.1).
var oneToken = regexp.MustCompile(`^[0-9A-Za-z._~+/-]+=*$`)

// readToken reads a file with one token; empty lines and # comments may be
// beside it. The error never shows it.
func readToken(file string) (string, error) {
	text, err := readSecret(file)
	if err != nil {
		return "", err
	}
	token, n := "", 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case token != "":
			return "", fmt.Errorf("%s:%d: there is more than one token; leave one", file, n)
		case !oneToken.MatchString(line):
			return "", fmt.Errorf("%s:%d: this is no token; write it alone, without \"read\", \"write\" or a name", file, n)
		default:
			token = line
		}
	}
	if token == "" {
		return "", fmt.Errorf("%s: there is no token in it; write the one that clusto-httpd's token_file has for this program", file)
	}
	return token, nil
}
