package httpd

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/clusto/clusto-engine/clusto"
)

// formMax bounds the body of a legacy call, in bytes.
const formMax = 1 << 20

// form holds a call's parameters, from the query and from a form body; the last
// of a repeated one wins.
type form map[string]string

// readForm reads the parameters of a call. A body that is no form is refused:
// without what it says the call would do something else. One that does not say
// what it is is a form, as for the original; a body of GET is not looked at.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	p := form{}
	if err := p.add(r.URL.RawQuery); err != nil {
		return nil, err
	}
	if r.Method == http.MethodGet {
		return p, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, formMax))
	if err != nil {
		return nil, fmt.Errorf("read form: %w: %w", err, clusto.ErrInvalid)
	}
	said := r.Header.Get("Content-Type")
	kind, params, _ := mime.ParseMediaType(said)
	switch {
	case len(body) == 0:
		return p, nil
	case said == "", kind == "application/x-www-form-urlencoded":
		return p, p.add(string(body))
	case kind == "multipart/form-data":
		return p, p.addParts(body, params["boundary"])
	}
	return nil, &refusal{
		http.StatusUnsupportedMediaType,
		fmt.Sprintf("a body of Content-Type %.60q is not read here: send parameters in the URL, as application/x-www-form-urlencoded or as multipart/form-data", said),
	}
}

// add takes the parameters of a query, or of a body that is encoded as one.
func (p form) add(encoded string) error {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return fmt.Errorf("read parameters: %w: %w", err, clusto.ErrInvalid)
	}
	for k, v := range values {
		if err := p.put(k, v[len(v)-1]); err != nil {
			return err
		}
	}
	return nil
}

// addParts takes the parameters of a multipart/form-data body (RFC 7578), each
// of which is a value. No call takes a file.
func (p form) addParts(body []byte, boundary string) error {
	if boundary == "" {
		return invalid("read form: the Content-Type multipart/form-data has no boundary")
	}
	for parts := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := parts.NextPart()
		if err == io.EOF { // wrapped, it is a body that is cut off
			return nil
		}
		if err != nil {
			return fmt.Errorf("read form: %w: %w", err, clusto.ErrInvalid)
		}
		if err := p.addPart(part); err != nil {
			return err
		}
	}
}

func (p form) addPart(part *multipart.Part) error {
	name := part.FormName()
	_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if _, file := params["filename"]; file {
		return invalid("part %.40q of the form is a file: send its text as a value", name)
	}
	if name == "" {
		return invalid("a part of the form has no name")
	}
	value, err := io.ReadAll(part)
	if err != nil {
		return fmt.Errorf("read part %.40q of the form: %w: %w", name, err, clusto.ErrInvalid)
	}
	return p.put(name, string(value))
}

func (p form) put(name, value string) error {
	if !storable(name) || !storable(value) {
		return invalid("parameter %.40q is no UTF-8 text, or has a NUL character", name)
	}
	p[name] = value
	return nil
}
