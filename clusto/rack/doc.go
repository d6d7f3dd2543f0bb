// Package rack knows how racks are built: which switch port leads to which rack
// unit, outlet and console port. A layout is data, one JSON file for each; three
// are built in: 201001, 5555 and 4444. Example is one that uses everything.
//
//	{
//	  "name": "5555",
//	  "driver": "penguinserver",
//	  "devices": {
//	    "switch":  {"suffix": "sw1",  "driver": "cisco4948",      "ru": 31, "outlet": "aa8", "console": 48},
//	    "console": {"suffix": "ts1",  "driver": "opengearcm4148", "ru": 30, "outlet": "ab8", "port": 43},
//	    "power":   {"suffix": "pwr1", "driver": "powertowerxm",   "ru": 29, "port": 44, "console": 44}
//	  },
//	  "servers": [
//	    {"ports": ["1-5", "21-25"], "ru": "1-5", "outlets": "bb1-bb5"}
//	  ]
//	}
//
// The name is what the attribute racklayout of a rack says. A device is called
// like its rack, a dash and its suffix ("sv2-r01-sw1"). There is always a
// switch; console server and power strip may be missing. Of a device, port is
// the switch port, console the console port and outlet the outlet that it is
// plugged into, each with its own port 1.
//
// A row of servers is read in step: its first port belongs to its first unit,
// outlet and console port, and so on. Ports and units are numbers and ranges of
// numbers ("1-5, 9, 12-10"), outlets names and ranges of names ("bb1-bb8, aa7").
//
//	ports    switch ports; a list of two gives those of nic-eth 1 and of nic-eth 2
//	ru       all units of the servers: a 2U server takes two, next to each other
//	outlets  of the power strip; a list of two gives those of both supplies
//	console  console ports; the ports of nic-eth 1 if it is not there
//	driver   of the servers of this row; that of the layout, penguinserver by default
//
// A layout may have minu and maxu, the units of its rack (1 and 45 by default).
// The layout, its devices and its rows may have about, text for the reader.
//
// # Programs
//
// What no table can express is the matter of a program: "exec" instead of
// "servers" names an executable, from the directory of the layout's file on,
// and "timeout" what time it may take ("5s" by default). It is run for each new
// server, without a shell, in its own directory, with PATH, HOME, LANG, TZ and
// TMPDIR of the environment and nothing else. On its standard input it finds
//
//	{"event":   {"switch": "sv2-r01-sw1", "port": 25, "mac": "00:1e:c9:00:0a:01", "vlan": 42},
//	 "layout":  "blades",
//	 "devices": {"switch": "sv2-r01-sw1", "console": "sv2-r01-ts1", "power": "sv2-r01-pwr1"},
//	 "rack":    {"name": "sv2-r01", "type": "rack", "driver": "apcrack", "attrs": [...], "parents": [...]}}
//
// and it answers on its standard output, 64 KiB at most, with the placement
//
//	{"driver": "penguinserver", "ru": [26],
//	 "connections": [
//	   {"port": "nic-eth",        "num": 1, "to": "sv2-r01-sw1",  "to_num": 25},
//	   {"port": "pwr-nema-5",     "num": 1, "to": "sv2-r01-pwr1", "to_num": "aa2"},
//	   {"port": "console-serial", "num": 1, "to": "sv2-r01-ts1",  "to_num": 25}]}
//
// or with {"unmapped": "why"} for a port that gets no server. One connection has
// to lead from a nic-eth to the port of the event: without it the next trap
// would make another server.
package rack
