package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzYAML: a file by hand, YAML or CSV, imported into an inventory that is empty, or that
// holds something already. One that is refused changes nothing, and is told why with its line.
// One that is taken leaves an inventory that is consistent and gives each MAC of its servers to
// them; taken once more it changes nothing; and an export makes an equal inventory of an empty
// one (see exported).
func FuzzYAML(f *testing.F) {
	seeds := map[bool][]corpus.Input{false: corpus.Texts(f, "yaml"), true: corpus.Texts(f, "csv")}
	seeds[false] = append(seeds[false], corpus.Input{Bytes: inventory.Sample(2)})
	for csv, all := range seeds {
		corpus.Add(f, all, csv, false)
		corpus.Add(f, all, csv, true)
	}
	full := open(f)
	bare := begin(f, "")
	bare.objects, bare.empty = objects(f, bare.store), full.empty
	f.Fuzz(func(t *testing.T, data []byte, csv, over bool) {
		s, parse, file := bare, inventory.Parse, "f.yaml"
		if over {
			s = full
		}
		if csv {
			parse, file = inventory.ParseCSV, "f.csv"
		}
		if len(data) > 4096 {
			return
		}
		if site, err := parse(file, data); err == nil && len(site.Ops()) <= 200 { // FuzzParse and FuzzCSV hold the others
			s.imported(t, site)
		}
	})
}

// imported holds one file.
func (s *site) imported(tb testing.TB, site *inventory.Site) {
	tb.Helper()
	_, err := s.store.Change(tb.Context(), site.Ops())
	if err != nil {
		refusal(tb, site, err)
		if s.written(tb) {
			defer s.reset(tb)
			tb.Errorf("%v: refused, and the inventory is another one", err)
		}
		return
	}
	if !s.written(tb) {
		return
	}
	defer s.reset(tb)
	all := objects(tb, s.store)
	did := written{}
	did.ops(site.Ops(), nil)
	s.rooted(tb)
	consistent(tb, all, did)
	counted(tb, s.objects, all, did)
	s.served(tb, site, did)
	if version := s.now(tb); s.again(tb, site.Ops()) != version {
		tb.Errorf("once more it changes what there was: %+v", site.Ops())
	}
	if !s.exported(tb, all) {
		tb.Error("what came out of a file has no file that it goes into")
	}
}

// refusal: an import fails at one operation only, for what the file says there.
func refusal(tb testing.TB, site *inventory.Site, err error) {
	tb.Helper()
	var op *clusto.OpError
	told := site.Explain(err).Error()
	if !errors.As(err, &op) || op.Index < 0 || op.Index >= len(site.Ops()) || !strings.HasPrefix(told, site.Where(op.Index)+": ") || strings.Contains(told, "\n") {
		tb.Errorf("refused with %q (%v)", told, err)
	}
}

// again imports once more, and gives the version then.
func (s *site) again(tb testing.TB, ops []clusto.Op) (version int64) {
	tb.Helper()
	if _, err := s.store.Change(tb.Context(), ops); err != nil {
		tb.Errorf("once more: %v of %+v", err, ops)
	}
	return s.now(tb)
}

// served: what asks with the MAC of a server in the file is that server.
func (s *site) served(tb testing.TB, site *inventory.Site, did written) {
	tb.Helper()
	for _, info := range site.Servers() {
		for _, mac := range []clusto.MAC{info.MAC, info.IPMI} {
			if mac == (clusto.MAC{}) || len(did.macs) > 0 { // another may have it too
				continue
			}
			if h, err := s.store.Host(tb.Context(), mac); err != nil || h.Name != info.Name || h.Number != 1 || h.BMC != (mac == info.IPMI) {
				tb.Errorf("the host of %s is %+v (%v), not %s", mac, h, err, info.Name)
			}
		}
	}
}
