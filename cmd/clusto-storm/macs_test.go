package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadMACs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "macs")
	text := "# a rack\n00:1e:c9:00:0a:01\n\n001E.C900.0A02  # the second\n00-1e-c9-00-0a-03\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := [][6]byte{{0, 0x1e, 0xc9, 0, 10, 1}, {0, 0x1e, 0xc9, 0, 10, 2}, {0, 0x1e, 0xc9, 0, 10, 3}}
	for _, text := range []string{file, "00:1e:c9:00:0a:01+3", "00:1e:c9:00:0a:01..00:1e:c9:00:0a:03"} {
		got, err := readMACs(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
	if got, err := readMACs("00:00:00:ff:ff:ff+2"); err != nil || got[1] != [6]byte{0, 0, 1} {
		t.Errorf("a carry: %x, %v", got, err)
	}
}

func TestReadMACsSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for text, want := range map[string]string{
		"02:00:00:00:00:00+0":                                     "from 1 on",
		"02:00:00:00:00:00+x":                                     "from 1 on",
		"ff:ff:ff:ff:ff:ff+2":                                     "beyond",
		"02:00:00:00:00:00+5000000":                               "more than",
		"02:00:00:00:00:02..02:00:00:00:00:01":                    "not below the first",
		"02:00:00:00:00:02..x":                                    "not below the first",
		"no such file":                                            "FIRST+N",
		file("empty", "# nothing\n"):                              "holds no MAC",
		file("twice", "02:00:00:00:00:01\n\n02:00:00:00:00:01\n"): "twice:3: 02:00:00:00:00:01 is there already, on line 1",
		file("bad", "02:00:00:00:00:01\n02:00\n"):                 "bad:2: ",
	} {
		_, err := readMACs(text)
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %q", text, err, want)
		}
	}
}

func TestAgents(t *testing.T) {
	mac := [6]byte{2}
	got, err := agents("10.0.0.254+4", mac)
	if err != nil || len(got) != 4 || got[0].Addr != [4]byte{10, 0, 0, 254} || got[3].Addr != [4]byte{10, 0, 1, 1} || got[3].MAC != mac {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "x", "10.0.0.1+0", "10.0.0.1+x", "10.0.0.1+10001", "fe80::1", "223.255.255.254+9", "224.0.0.1"} {
		if got, err := agents(text, mac); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
