package httpd

import (
	"net/http"
	"slices"
)

// What of the original's API only reads. All else of it may write, and by GET
// too; a call that is added is a write until it is named here.
var (
	readQueries = []string{"get_entities", "get_by_name", "get", "get_from_pools", "get_ip_manager"}
	readActions = []string{"show", "attrs", "ports", "get_port_attr", "port_free", "units", "hostname"}
)

// isWrite reports whether a request may change the inventory. What is not known
// to only read counts as a write:
//
//	/v2/...              all but GET and HEAD
//	/query/QUERY         all but readQueries; a query may be POSTed
//	/search              all but GET, HEAD and POST
//	/  /TYPE  /TYPE/NAME all but GET and HEAD: POST creates, DELETE deletes
//	/TYPE/NAME/ACTION    all but readActions, whatever the method
//	longer paths         always
func isWrite(r *http.Request) bool {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	asks := get || r.Method == http.MethodPost
	parts, err := pathParts(r.URL) // as the calls see it
	switch {
	case err != nil:
		return true
	case len(parts) == 0:
		return !get
	case parts[0] == "v2":
		return !get
	case parts[0] == "query" && len(parts) == 2:
		return !asks || !slices.Contains(readQueries, parts[1])
	case parts[0] == "search" && len(parts) == 1:
		return !asks
	case len(parts) == 3 && parts[0] != "query":
		return !asks || !slices.Contains(readActions, parts[2])
	case len(parts) > 2:
		return true
	}
	return !get
}
