package daemon

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
)

// TestReadmeHasEveryKeyAndVerdict: a user finds there what he sees in a file, in
// --help and in the metrics.
func TestReadmeHasEveryKeyAndVerdict(t *testing.T) {
	data, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	for name, into := range map[string]any{"dhcp": &DHCP{}, "http": &HTTPD{}, "snmp": &SNMP{}} {
		k, err := kong.New(into, kong.Vars{"version": ""})
		if err != nil {
			t.Fatal(err)
		}
		_, keys := flagsOf(k.Model)
		for _, key := range keys {
			if !strings.Contains(readme, "`"+key+"`") {
				t.Errorf("README.md does not mention key %s of section %s", key, name)
			}
		}
	}
	for v := engine.None + 1; v < engine.Verdicts; v++ {
		if v != engine.Reply && v != engine.Parked && !strings.Contains(readme, "`"+v.String()+"`") {
			t.Errorf("README.md does not explain the verdict %s", v)
		}
	}
	for o := range discovery.Outcomes {
		if !strings.Contains(readme, "`"+o.String()+"`") {
			t.Errorf("README.md does not explain the outcome %s", o)
		}
	}
}
