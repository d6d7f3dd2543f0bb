package rack

import (
	"errors"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestAnswersThatAreRefused: none of them reaches the inventory.
func TestAnswersThatAreRefused(t *testing.T) {
	l := blades(t, "5s", sh)
	server := func(ru, connections string) string {
		return `{"driver": "penguinserver", "ru": ` + ru + `, "connections": [` + connections + `]}`
	}
	const nic1 = `{"port": "nic-eth", "num": 1, "to": "r1-sw1", "to_num": 25}`
	also := func(connection string) string { return server("[1]", nic1+", "+connection) }
	if p, err := l.answer([]byte(server("[1]", nic1)), event, "r1"); err != nil || p.NIC != 1 {
		t.Fatalf("%v, %v", p, err)
	}
	for _, test := range []struct{ name, in, want string }{
		{"nothing", "", "it is empty"},
		{"no JSON", "RU 5\n", "it is no placement in JSON: invalid character 'R' looking for beginning of value; it says \"RU 5\\n\""},
		{"half an answer", `{"driver": `, "unexpected EOF"},
		{"two answers", server("[1]", nic1) + "{}", "there is more after it"},
		{"another key", `{"rus": [1]}`, `unknown field "rus"`},
		{"no driver", `{"ru": [1]}`, `driver "" is none of a server; did you mean basicserver?`},
		{"a switch", `{"driver": "cisco4948"}`, `driver "cisco4948" is none of a server`},
		{"no units", server("[]", nic1), "ru []: penguinserver takes 1, next to each other"},
		{"two units for 1U", server("[1, 2]", nic1), "ru [1 2]: penguinserver takes 1, next to each other"},
		{"2U in pieces", `{"driver": "penguinserver2u", "ru": [1, 3]}`, "ru [1 3]: penguinserver2u takes 2, next to each other"},
		{"one unit twice", `{"driver": "penguinserver2u", "ru": [3, 3]}`, "ru [3 3]: penguinserver2u takes 2, next to each other"},
		{"a unit that is not there", server("[46]", nic1), "there is no unit 46; the rack has 1 to 45"},
		{"the switch's unit", server("[36]", nic1), "unit 36 is taken by the switch on line 2; give one of them another"},
		{"not on the port of the event", server("[1]", `{"port": "nic-eth", "num": 1, "to": "r1-sw1", "to_num": 24}`), "no nic-eth leads to port 25 of r1-sw1, where the server is"},
		{"on another switch", server("[1]", `{"port": "nic-eth", "num": 1, "to": "r1-sw2", "to_num": 25}`), "no nic-eth leads to port 25 of r1-sw1, where the server is"},
		{"a port twice", also(`{"port": "nic-eth", "num": "1", "to": "r1-sw1", "to_num": 26}`), "nic-eth 1 is connected twice"},
		{"two on a port", also(`{"port": "nic-eth", "num": 2, "to": "r1-sw1", "to_num": 25}`), "switch port 25 is taken by the server itself; give one of them another"},
		{"two on a port of another device", also(`{"port": "nic-eth", "num": 2, "to": "r1-sw2", "to_num": 1}, {"port": "nic-eth", "num": 3, "to": "r1-sw2", "to_num": 1}`), "switch port 1: penguinserver has no nic-eth 3 to plug into it; it has 1 to 2"},
		{"the power strip's port", also(`{"port": "nic-eth", "num": 2, "to": "r1-sw1", "to_num": 44}`), "switch port 44 is taken by the power strip on line 4"},
		{"an outlet that is not there", also(`{"port": "pwr-nema-5", "num": 1, "to": "r1-pwr1", "to_num": "aa9"}`), "there is no outlet aa9; powertowerxm has aa1 to bb8"},
		{"an outlet of the switch", also(`{"port": "pwr-nema-5", "num": 1, "to": "r1-sw1", "to_num": 2}`), "there is no outlet 2; cisco4948 has 1 alone"},
		{"a second supply", also(`{"port": "pwr-nema-5", "num": 2, "to": "r1-pwr1", "to_num": "aa1"}`), "outlet aa1: penguinserver has no pwr-nema-5 2 to plug into it; it has 1 alone"},
		{"another type of port", also(`{"port": "usb", "num": 1, "to": "r1-sw1", "to_num": 1}`), "has no usb 1 to plug into it; it has none"},
		{"no name", also(`{"port": "nic-eth", "num": 2, "to": "a/b", "to_num": 1}`), `to "a/b", "1": want the name of a device, and of its port`},
		{"no number", also(`{"port": "nic-eth", "num": 2, "to": "r1-sw2", "to_num": {}}`), "want the name of a device, and of its port"},
		{"a port of two lines", also(`{"port": "nic\neth", "num": 2, "to": "r1-sw2", "to_num": 1}`), `connection of "nic\neth", "2": want a type of ports`},
		{"a number of two lines", also(`{"port": "nic-eth", "num": [
2], "to": "r1-sw2", "to_num": 1}`), `connection of "nic-eth", "[\n2]": want a type of ports`},
		{"no number either", also(`{"port": "nic-eth", "num": null, "to": "r1-sw2", "to_num": 1}`), "has no nic-eth"},
	} {
		p, err := l.answer([]byte(test.in), event, "r1")
		if !errors.Is(err, clusto.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v\nwant %s", test.name, p, err, test.want)
		}
	}
}

// TestAnswerIsRead runs a program whose answer is wrong: the error says whose.
func TestAnswerIsRead(t *testing.T) {
	l := blades(t, "1m", sh+"echo '['")
	_, err := l.PlaceEvent(t.Context(), event, inRack)
	want := "place port 25 of r1-sw1 in rack r1: layout x: answer of " + l.exec + ": it is no placement in JSON: "
	if !errors.Is(err, clusto.ErrInvalid) || errors.Is(err, clusto.ErrUnavailable) || !strings.HasPrefix(err.Error(), want) {
		t.Error(err)
	}
	l = blades(t, "1m", sh+`echo '{"unmapped": "port 25 is a spare"}'`)
	_, err = l.PlaceEvent(t.Context(), event, inRack)
	if !errors.Is(err, ErrUnmapped) || !strings.Contains(err.Error(), `"port 25 is a spare"`) {
		t.Error(err)
	}
}
