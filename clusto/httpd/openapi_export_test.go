package httpd

// Patterns gives what is registered, as http.ServeMux spells it.
func Patterns() []string {
	return (&server{Config: Config{}.withDefaults()}).routes().patterns
}
