package httpd

// Params gives the parameters that each call of /v2 takes in its query.
func Params() map[string][]string {
	return (&server{Config: Config{}.withDefaults()}).routes().params
}

// Patterns gives what is registered, as http.ServeMux spells it.
func Patterns() []string {
	return (&server{Config: Config{}.withDefaults()}).routes().patterns
}
