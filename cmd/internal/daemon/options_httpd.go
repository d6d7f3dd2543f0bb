package daemon

import (
	"math"
	"time"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// Validate checks the settings. The error is a *FieldError.
func (h *HTTPD) Validate() error {
	if h.DB == "" && !h.CheckConfig {
		return bad("db", "no database; give --db, as in --db sqlite:////var/lib/clusto/clusto.db, or write [clusto] dsn into %s", clustoConf)
	}
	for _, check := range []func() error{
		func() error { return checkListen("listen", h.Listen) }, h.HTTPAccess.Check, h.checkLimits, h.validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if h.CheckConfig {
		return h.CheckFiles()
	}
	return nil
}

// Check judges the settings. The error is a *FieldError.
func (h *HTTPAccess) Check() error {
	switch {
	case h.TLSCert != "" && h.TLSKey == "":
		return bad("tls_key", "it is missing; name the file with the key of tls_cert")
	case h.TLSCert == "" && h.TLSKey != "":
		return bad("tls_cert", "it is missing; name the file with the certificate of tls_key")
	}
	return nil
}

func (h *HTTPD) checkLimits() error {
	for _, l := range []struct {
		key      string
		val, top int
	}{
		{"max_connections", h.MaxConnections, math.MaxInt32},
		{"max_requests", h.MaxRequests, math.MaxInt32},
		{"max_streams", h.MaxStreams, math.MaxInt32},
		{"max_feeds", h.MaxFeeds, math.MaxInt32},
		{"max_batches", h.MaxBatches, math.MaxInt32},
		{"max_body", h.MaxBody, 1 << 20},
	} {
		if l.val < 1 || l.val > l.top {
			return bad(l.key, "want 1 to %d, got %d", l.top, l.val)
		}
	}
	if h.RequestTimeout < time.Second {
		return bad("request_timeout", "want 1s or more, got %v", h.RequestTimeout)
	}
	return nil
}

// limits are those of httpd; zero fields are its defaults.
func (h *HTTPD) limits() httpd.Limits {
	return httpd.Limits{
		Requests: h.MaxRequests, Streams: h.MaxStreams, Feeds: h.MaxFeeds, Batches: h.MaxBatches, Time: h.RequestTimeout,
	}
}
