package api

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// written is what a client wrote so that rules do not hold for it: each kind has the names of
// the entities that it was written to. For all others they hold.
type written struct {
	attrs    names // attributes one by one: of one end of a connection, or a number
	macs     names // attributes that may have the MAC of another
	raw      names // attributes past all rules
	counters names // counters
	deleted  names // attributes, contents too
	gone     names // the entity, with its counters
	cycles   names // contents that may be around it
}

type names map[string]bool

func (n *names) add(name string) {
	if *n == nil {
		*n = names{}
	}
	(*n)[name] = true
}

// add takes in a request that was answered.
func (w *written) add(line, answer string) {
	method, _, text, u := parts(line)
	if u == nil {
		return
	}
	if strings.HasPrefix(u.Path, "/v2/") {
		var change struct{ Ops []clusto.Op }
		var got struct{ Results []clusto.Result }
		if json.Unmarshal([]byte(text), &change) == nil && json.Unmarshal([]byte(answer), &got) == nil {
			w.ops(change.Ops, got.Results)
		}
		return
	}
	path := strings.Split(strings.Trim(u.EscapedPath(), "/")+"//", "/")
	name, _ := url.PathUnescape(path[1])
	call, _ := url.PathUnescape(path[2])
	op := map[string]string{"addattr": "add", "setattr": "set", "delattr": "del", "set_port_attr": "set", "insert": "insert"}[call]
	if method == "DELETE" {
		op = "delete"
	}
	w.op(&clusto.Op{Op: op, Cycle: true}, name, name)
}

// ops takes in operations that were applied, and what they gave.
func (w *written) ops(ops []clusto.Op, results []clusto.Result) {
	labels := map[string]string{}
	name := func(of string) string {
		if to, ok := labels[of]; ok {
			return to
		}
		return of
	}
	for i := range ops {
		op := &ops[i]
		w.op(op, name(op.Name), name(op.Into))
		if op.As == "" {
			continue
		}
		of := name(op.Name)
		if op.Op == "entity" || op.Op == "create" {
			of = strings.Replace(op.Name, "$$", "$", 1)
		}
		for _, r := range results {
			if r.Index == i && r.Name != "" {
				of = r.Name
			}
		}
		labels["$"+op.As] = of
	}
}

func (w *written) op(op *clusto.Op, name, into string) {
	for _, kind := range []struct {
		names *names
		ops   string
	}{
		{&w.attrs, "attr add set del raw"},
		{&w.macs, "add set raw"},
		{&w.raw, "raw"},
		{&w.counters, "counter"},
		{&w.deleted, "del"},
		{&w.gone, "delete"},
		{&w.cycles, "raw"},
	} {
		if slices.Contains(strings.Fields(kind.ops), op.Op) {
			kind.names.add(name)
		}
	}
	if op.Op == "insert" && op.Cycle {
		w.cycles.add(into)
	}
}
