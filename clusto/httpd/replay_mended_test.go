package httpd_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// mend is an answer that differs from the recorded one.
type mend struct {
	why      string // the bug of the original, or the rule, that asks for it
	status   int    // 0: as recorded
	kind     string // content type; by default that of an error, or JSON
	location string
	like     int    // the answer is that recorded for another request
	answer   string // the answer in JSON
	edits    []edit // of the answer: what follows from earlier mends

	unordered string // as of a record
}

// edit changes a decoded answer.
type edit func(v any) any

// The original's bugs, as the list of them numbers them.
const (
	bug1 = "1: a merged read through a cycle hung the server"
	bug2 = "2: an error of the client's was a 500 with a traceback"
	bug3 = "3: parts of the request were ignored"
	bug4 = "4: rack insert and allocate did not work"
	bug5 = "5: POST is accepted for all actions"
	bug6 = "6: a manager without baseip held every address"
	bug8 = "8: MACs were compared as text"
)

// Rules that the data and the requests have.
const (
	wrongType = "a parameter of the wrong type is refused: a number is an integer, which is all that PostgreSQL can hold"
	noSubkey  = "subkeys match ^[A-Za-z_]+[0-9A-Za-z_-]*$, so an empty one is none"
	metaStays = "clustometa holds the counter of addresses and the schema's version"
	noScript  = "a callback is a name, or a link could run a script of its own"
)

var mended = mends()

func mends() map[int]*mend {
	all := map[int]*mend{
		57: {why: bug3, status: 200, like: 170, edits: []edit{actionsOfPath}}, // names with a dot were cut
		70: {why: bug2, status: 200, answer: `{"attrs":[
			{"key":"port-nic-eth","subkey":"connection","number":1,"datatype":"relation","value":"/networkswitch/sv2-r01-sw1"},
			{"key":"port-nic-eth","subkey":"otherportnum","number":1,"datatype":"int","value":1},
			{"key":"port-nic-eth","subkey":"mac","number":1,"datatype":"string","value":"00:1e:c9:00:00:01"},
			{"key":"port-nic-eth","subkey":"osportname","number":1,"datatype":"string","value":"eth0"}]}`},
		75:  {why: bug2, status: 200, kind: jsType, like: 64},
		114: {why: bug2, status: 200, answer: `"/networkswitch/sv2-r01-sw1"`},
		132: {why: bug8, answer: `["/server/s0016"]`},
		182: {why: bug8, like: 176},
		183: {why: bug8, like: 176},
		226: {why: bug2 + "; a slash at the end is ignored, as elsewhere", status: 200, answer: `["/pool/empty-pool"]`},
		244: {why: bug2, status: 200, like: 243},
		252: {why: bug2, status: 200, kind: jsType, like: 248},
		253: {why: bug5, status: 200, like: 248},
		257: {why: bug3, answer: `["/pool/empty-pool"]`}, // values were decoded twice
		282: {why: bug3, answer: `{"attrs":[{"key":"dhcp","subkey":"lease_time","number":null,"datatype":"int","value":7200}]}`},
		311: {why: bug4, status: 200, like: 301, edits: []edit{adds("contents", "/server/db.example.org")}, unordered: "response.contents"},
		327: {why: bug4, status: 201, kind: jsonType, answer: `"/server/s0029"`},
		328: {why: bug3, location: "/resourcemanager/servernames/allocate?driver=penguinserver"},
		353: {why: bug6, status: 200, answer: `"/resourcemanager/net-private0"`},
		354: {why: bug6, status: 404},
		355: {why: bug6, status: 200, like: 177, edits: []edit{adds("parents", "/pool/unique-pool")}},
		362: {why: bug3, status: 404}, // DELETE ignored the type
		363: {why: "the entity of 362 is there still", status: 200, like: 347},
		379: {why: noScript, status: 400},
		421: {why: metaStays, status: 409},
	}
	for why, byStatus := range map[string]map[int][]int{
		bug2: {
			400: {
				121, 145, 146, 149, 150, 155, 156, 158, 164, 165, 175, 197, 199, 200, 216, 217, 232, 234, 245, 246, 247, 249, 250, 251,
				263, 267, 274, 275, 276, 279, 284, 288, 289, 290, 299, 300, 303, 304, 305, 306, 307, 308, 309, 310, 313, 323, 332, 346,
				402, 403, 406,
			},
			404: {58, 59, 122, 123, 172, 198, 201, 287, 295, 322},
		},
		wrongType: {400: {240, 396, 397, 399}},
	} {
		for status, ns := range byStatus {
			for _, n := range ns {
				all[n] = &mend{why: why, status: status}
			}
		}
	}
	for _, f := range follows {
		for _, n := range f.in {
			if all[n] == nil {
				all[n] = &mend{why: f.why}
			}
			all[n].edits = append(all[n].edits, f.edit)
		}
	}
	return all
}

// emptyPool are the answers that show /pool/empty-pool, in order; shows takes
// those from one record on.
var emptyPool = []int{
	241, 242, 243, 244, 248, 252, 253, 254, 260, 261, 262, 264, 265, 266, 268, 269, 270, 272, 273, 277, 278, 280, 281, 283, 285, 286,
	293, 294, 296, 368,
}

// webservers are the answers that show /pool/webservers, likewise.
var webservers = []int{394, 398, 400, 401, 404, 407, 408, 410, 412, 414}

func from(n int, of []int) []int {
	return of[slices.IndexFunc(of, func(m int) bool { return m >= n }):]
}

// follows are the differences that follow from what an earlier request did not
// do, or did.
var follows = []struct {
	why  string
	in   []int
	edit edit
}{
	{"240 was refused", emptyPool, drop("disk", "abc")},
	{"244 was done", from(244, emptyPool), attr("text", nil, nil, "string", "Köln")},
	{"252 was done", from(252, emptyPool), attr("k", nil, nil, "string", "v")},
	{"253 was done", from(253, emptyPool), attr("k", nil, nil, "string", "v")},
	{"281 deleted less", from(281, emptyPool), attr("dhcp", "lease_time", nil, "int", 7200.0)},
	{"327 was done", []int{349}, before("/server/s9001", "/server/s0029")},
	{"327 was done", []int{391, 393}, before("/pool/newpool", "/server/s0029")},
	{"327 was done", []int{374, 422}, adds("", "/server/s0029")},
	{"362 was refused", []int{391, 393}, before("/pool/newpool", "/server/s9001")},
	{"362 was refused", []int{374, 422}, adds("", "/server/s9001")},
	{noSubkey, webservers, dropSub("sub", "")},
	{noSubkey, webservers, attr("sub", nil, nil, "string", "x")},
	{"396 was refused", from(396, webservers), drop("num", "")},
	{"397 was refused", from(397, webservers), drop("num", "true")},
	{"399 was refused", from(399, webservers), drop("num", 2.5)},
}

// apply gives the answer that is wanted instead.
func (m *mend) apply(t *testing.T, was reply, answers map[int]any) reply {
	t.Helper()
	want := was
	if m.location != "" {
		want.location = m.location
	}
	if m.status != 0 {
		want.status, want.kind, want.value = m.status, textType, nil
		if m.status < 300 {
			want.kind = jsonType
		}
	}
	if m.kind != "" {
		want.kind = m.kind
	}
	if m.like != 0 {
		want.value = answers[m.like]
	}
	if m.answer != "" {
		want.value = nil
		decode(t, []byte(m.answer), &want.value)
	}
	for i, change := range m.edits {
		before, err := json.Marshal(want.value)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		decode(t, before, &v)
		want.value = change(v)
		if after, _ := json.Marshal(want.value); string(after) == string(before) {
			t.Errorf("edit %d of mended changes nothing", i)
		}
	}
	return want
}

// drop takes the attributes with that key and number out of an entity shown.
func drop(key string, number any) edit {
	return func(v any) any {
		return editAttrs(v, func(a map[string]any) bool { return a["key"] == key && a["number"] == number })
	}
}

func dropSub(key, subkey string) edit {
	return func(v any) any {
		return editAttrs(v, func(a map[string]any) bool { return a["key"] == key && a["subkey"] == subkey })
	}
}

// attr adds an attribute behind the others of its key.
func attr(key string, subkey, number any, datatype string, value any) edit {
	return func(v any) any {
		return editAttrs(v, nil, map[string]any{"key": key, "subkey": subkey, "number": number, "datatype": datatype, "value": value})
	}
}

func editAttrs(v any, drop func(map[string]any) bool, add ...any) any {
	shown := v.(map[string]any)
	attrs := shown["attrs"].([]any)
	if drop != nil {
		attrs = slices.DeleteFunc(attrs, func(a any) bool { return drop(a.(map[string]any)) })
	}
	attrs = append(attrs, add...)
	slices.SortStableFunc(attrs, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["key"].(string), b.(map[string]any)["key"].(string))
	})
	shown["attrs"] = attrs
	return shown
}

// adds puts a text at the end of a list: the answer, or a field of the entity
// shown, which may be in a list of its own.
func adds(field, text string) edit {
	return func(v any) any {
		list, isList := v.([]any)
		if field == "" {
			return append(list, text)
		}
		shown := v
		if isList {
			shown = list[0]
		}
		m := shown.(map[string]any)
		m[field] = append(m[field].([]any), text)
		return v
	}
}

// before puts a text into a list before another.
func before(next, text string) edit {
	return func(v any) any {
		list := v.([]any)
		return slices.Insert(list, slices.Index(list, any(next)), any(text))
	}
}

// actionsOfPath gives an entity shown the actions of one that was asked for by
// its path.
func actionsOfPath(v any) any {
	v.(map[string]any)["actions"] = []any{"addattr", "attrs", "delattr", "get_port_attr", "insert", "ports", "remove", "set_port_attr", "setattr", "show"}
	return v
}
