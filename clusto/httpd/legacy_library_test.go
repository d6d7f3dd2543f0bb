package httpd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// TestPorts connects and disconnects, on both ends.
func TestPorts(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		at := func(entity string) string { return base + entity + "/port_free?porttype=pwr-nema-5&portnum=" }
		free := func(path, want string) {
			t.Helper()
			sameJSON(t, try(t, "GET", path, 200, ""), []byte(want), false)
		}
		server, strip := "/server/s0021", "/powerstrip/sv2-r02-pwr1"
		free(at(server)+"2", "true")
		free(at(strip)+"ba5", "true")
		connect := base + server + "/connect_ports?porttype=pwr-nema-5&portnum=2&object=" + strip + "&otherportnum="
		try(t, "POST", connect+"ba5", 200, `"othernum":"ba5"`)
		try(t, "POST", connect+"ba5", 200, `"othernum":"ba5"`) // it is so already
		free(at(server)+"2", "false")
		free(at(strip)+"ba5", "false")
		free(at(strip)+"21", "false") // its number
		free(base+strip+"/get_port_attr?porttype=pwr-nema-5&portnum=21&key=connection", `"/server/s0021"`)
		try(t, "GET", connect+"bb1", 409, "bb1 of /powerstrip/sv2-r02-pwr1")
		try(t, "GET", connect+"cc1", 400, "1 to 32, or aa1 to bb8")
		try(t, "GET", base+server+"/connect_ports?porttype=nic-fiber10g&portnum=1&object="+strip+"&otherportnum=1", 400, "nic-fiber10g")
		try(t, "GET", base+server+"/connect_ports?porttype=pwr-nema-5&portnum=1&object=/powerstrip/nosuch&otherportnum=1", 404, `"nosuch"`)
		try(t, "POST", base+strip+"/disconnect_port?porttype=pwr-nema-5&portnum=ba5", 200, "")
		free(at(server)+"2", "true")
		try(t, "GET", at(server)+"3", 404, "port pwr-nema-5 3 of /server/s0021: driver penguinserver2u has none")
		try(t, "GET", at(server)+"x", 400, "numbered from 1 on")
		// The original showed no ports of an appliance. It has them all the same.
		free(base+"/appliance/sv2-lb1/port_free?porttype=nic-eth&portnum=1", "true")
		try(t, "GET", base+"/pool/webservers/port_free?porttype=nic-eth&portnum=1", 404, "/pool/webservers: driver pool has none")
		try(t, "GET", base+server+"/set_port_attr?porttype=pwr-nema-5&portnum=2&key=connection&value=x", 400, "use connect_ports")
	})
}

// TestBindIP binds an address to an interface, and names its port.
func TestBindIP(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		bind := base + "/server/s0010/bind_ip_to_osport?"
		try(t, "GET", bind+"ip=10.42.0.77&osportname=eth7&porttype=nic-eth&portnum=2", 200, `"10.42.0.77/24"`)
		got := try(t, "GET", base+"/server/s0010/attrs?subkey=osportname&value=eth7", 200, "")
		sameJSON(t, values(t, got), []byte(`["eth7","eth7"]`), false)
		got = try(t, "GET", base+"/query/get?name=10.42.0.77", 200, "")
		if !strings.Contains(string(got), `"/server/s0010"`) {
			t.Errorf("got %s", got)
		}
		before := state(t, s)
		try(t, "GET", bind+"ip=10.42.0.11&osportname=eth8", 409, "/server/s0001")
		try(t, "GET", bind+"ip=192.0.2.9&osportname=eth8", 404, "bind 192.0.2.9 to /server/s0010")
		try(t, "GET", bind+"ip=10.42.0&osportname=eth8", 400, `"10.42.0"`)
		try(t, "GET", bind+"ip=10.42.0.78&osportname=eth8&porttype=nic-eth&portnum=3", 404, "port nic-eth 3")
		try(t, "GET", bind+"ip=10.42.0.78", 400, `"osportname"`)
		if state(t, s) != before {
			t.Error("something was written")
		}
		try(t, "GET", base+"/server/s0010/unbind_ip_from_osport?ip=10.42.0.77", 200, "")
		got = try(t, "GET", base+"/query/get?name=10.42.0.77", 200, "")
		sameJSON(t, got, []byte(`[]`), false)
	})
}

// TestAllocate takes addresses, names and entities from their managers.
func TestAllocate(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		got := try(t, "POST", base+"/resourcemanager/net-private1/allocate?object=/server/s0010&osportname=eth5", 201, "")
		sameJSON(t, try(t, "GET", base+"/server/s0010/attrs?key=ip&subkey=ipstring&value="+strings.Trim(string(got), `"`), 200, "10.43.0."),
			[]byte(`{"attrs":[{"key":"ip","subkey":"ipstring","number":37,"datatype":"string","value":`+string(got)+`}]}`), false)
		try(t, "GET", base+"/server/s0010/attrs?key=ip&subkey=osportname&value=eth5", 200, "eth5")

		for _, want := range []string{`"/server/s0029"`, `"/server/s0030"`} {
			got = try(t, "GET", base+"/resourcemanager/servernames/allocate?driver=basicserver", 201, "")
			sameJSON(t, got, []byte(want), false)
		}
		try(t, "POST", base+"/simplenamemanager/names", 201, "")
		try(t, "GET", base+"/resourcemanager/names/setattr?key=basename&subkey=property&value=web", 200, "")
		got = try(t, "GET", base+"/resourcemanager/names/allocate?object=/server/s0010", 201, "")
		sameJSON(t, got, []byte(`"web01"`), false)
		try(t, "GET", base+"/resourcemanager/names/setattr?key=digits&subkey=property&value=1&datatype=int", 200, "")
		for range 8 {
			try(t, "GET", base+"/resourcemanager/names/allocate?object=/server/s0010", 201, "web")
		}

		before := state(t, s)
		try(t, "POST", base+"/resourcemanager/names/allocate?object=/server/s0010", 409, "/resourcemanager/names")
		try(t, "GET", base+"/resourcemanager/servernames/allocate", 400, `"driver"`)
		try(t, "GET", base+"/resourcemanager/servernames/allocate?driver=nosuch", 400, `"nosuch"`)
		try(t, "GET", base+"/resourcemanager/net-private0/allocate", 400, `"object"`)
		try(t, "GET", base+"/resourcemanager/net-private0/allocate?object=/server/nosuch", 404, `"nosuch"`)
		try(t, "GET", base+"/server/s0001/allocate?driver=basicserver", 404, "Invalid action")
		if state(t, s) != before {
			t.Error("something was written")
		}
		try(t, "POST", base+"/resourcemanager/plain", 201, "")
		try(t, "POST", base+"/resourcemanager/plain/allocate", 400, "its driver is resourcemanager")
	})
}

// TestUnits shows a rack by unit, and where a thing is.
func TestUnits(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	got := try(t, "GET", base+"/rack/sv2-r02/units", 200, `{"object":"/rack/sv2-r02","units":[{"ru":1,"object":"/server/s0019"},`)
	if !strings.Contains(string(got), `{"ru":41,"object":"/powerstrip/sv2-r02-pwr1"}`) {
		t.Errorf("got %s", got)
	}
	for path, want := range map[string]string{
		"/server/s0001":    `{"object":"/server/s0001","rack":"/rack/sv2-r01","units":[1]}`,
		"/pool/webservers": `{"object":"/pool/webservers","rack":null,"units":[]}`,
	} {
		sameJSON(t, try(t, "GET", base+path+"/units", 200, ""), []byte(want), false)
	}
}

// TestHostnames are the attribute, else the name, and the fully qualified ones.
func TestHostnames(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for path, want := range map[string]string{
		"/server/s0001": `{"object":"/server/s0001","hostname":"s0001","fqdns":[]}`,
		"/server/s0027": `{"object":"/server/s0027","hostname":"s0027","fqdns":["s0027.example.org","www.example.org"]}`,
	} {
		sameJSON(t, try(t, "GET", base+path+"/hostname", 200, ""), []byte(want), false)
	}
	got := try(t, "POST", base+"/server/s0001/set_hostname?hostname=www-1.example.org", 200, "")
	sameJSON(t, got, []byte(`{"object":"/server/s0001","hostname":"www-1.example.org","fqdns":[]}`), false)
	for _, name := range []string{"", "-a", "a_b", "a..b", "a.", "K%C3%B6ln", strings.Repeat("a", 64), strings.Repeat("a.", 126) + "aa"} {
		try(t, http.MethodPost, base+"/server/s0001/set_hostname?hostname="+name, 400, "/server/s0001")
	}
	try(t, "GET", base+"/server/s0001/hostname", 200, `"www-1.example.org"`)
}

// TestPortNumberThatIsNone was said to be 0, whatever it was.
func TestPortNumberThatIsNone(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, num := range []string{"x", "0", "-1", "bb1", "99999999999"} {
		try(t, "GET", base+"/server/s0001/port_free?porttype=nic-eth&portnum="+num, 400, `parameter portnum "`+num+`" is no number of a port`)
	}
	try(t, "GET", base+"/server/s0001/get_port_attr?porttype=nic-eth&portnum=x&key=mac", 400, `parameter portnum "x" is no integer`)
}
