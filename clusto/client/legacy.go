package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// NewMemory makes a Memory of the function that reads what a key stands for.
type NewMemory func(read func(ctx context.Context, key string) (*Record, error)) (Memory, error)

// Memory keeps what many hosts share: containers, IP managers and whatever else
// attributes point to.
type Memory interface {
	// Get gives what is known of a key and not too old, or else has it read,
	// once however many ask. A read outlives the caller who began it, and has
	// Config.LongTimeout at least.
	Get(ctx context.Context, key string) (*Record, error)
	// Forget has everything read anew.
	Forget()
}

// forgetful is the Memory that keeps nothing.
type forgetful func(context.Context, string) (*Record, error)

func (f forgetful) Get(ctx context.Context, key string) (*Record, error) { return f(ctx, key) }
func (f forgetful) Forget()                                              {}

// longBodies is how many times longer than others the answers of the original
// may be: it lists all that a pool contains, and all hosts at once.
const longBodies = 16

// Legacy asks the original clusto-httpd, which knows nothing of /v2: HTTP/1.0,
// one request at a time, a connection for each. A host takes two calls:
//
//	POST /query/get_entities?attrs=[{key, subkey, number, value}]   who has the MAC
//	GET  /TYPE/NAME   its attributes, addresses and containers
//
// The merged list that the original's own daemon asked for does not say which
// entity an attribute comes from, and a read of it never ends where containers
// contain each other. So containers and IP managers are read one by one, by the
// second call, and kept in Config.Memory.
//
// All of its errors wrap clusto.ErrUnavailable, but for Host's: only a list of
// entities, well-formed and empty, says clusto.ErrNotFound.
type Legacy struct {
	c        *Client
	memory   Memory
	hosts    gate // hosts that are being read
	requests gate // requests on their way, for hosts or for what they share

	// newer is told of an answer that the original does not give: it speaks
	// HTTP/1.0 alone. A proxy before it may, so this proves nothing.
	newer func()
	left  leftovers
}

// NewLegacy makes a Legacy. It does not connect.
func NewLegacy(cfg Config) (*Legacy, error) {
	cfg.oneShot, cfg.MaxBody = true, longBodies*cmp.Or(cfg.MaxBody, maxBody)
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	l := &Legacy{c: c, hosts: gate{size: c.cfg.Loads}, requests: gate{size: c.cfg.Loads}}
	l.memory = forgetful(l.shared)
	if cfg.Memory != nil {
		if l.memory, err = cfg.Memory(l.shared); err != nil {
			return nil, fmt.Errorf("make a memory for what hosts share: %w", err)
		}
	}
	return l, nil
}

// Close closes nothing that is in use.
func (l *Legacy) Close() { l.c.Close() }

// Forget has everything read anew, also what hosts share.
func (l *Legacy) Forget() { l.memory.Forget() }

// Ready asks for the list of types, which every clusto has, and checks that it
// is one. It waits for no turn, since others may hang.
func (l *Legacy) Ready(ctx context.Context) error {
	var types []string
	if err := l.request(ctx, l.c.cfg.Timeout, http.MethodGet, "/", &types); err != nil {
		return err
	}
	bad := func(t string) bool { return len(t) < 2 || t[0] != '/' || strings.Contains(t[1:], "/") }
	if len(types) == 0 || !slices.IsSorted(types) || slices.ContainsFunc(types, bad) {
		return l.c.broken("/", errors.New("it is no sorted list of types"))
	}
	return nil
}

// Networks gives all IP managers' ranges, by name.
func (l *Legacy) Networks(ctx context.Context) ([]clusto.Network, error) {
	r, err := l.memory.Get(ctx, allManagers)
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.networks), nil
}

// allManagers is the key of the one Record that is about all IP managers.
const allManagers = "managers"

// shared reads one of the things that hosts share, for Memory.
func (l *Legacy) shared(ctx context.Context, key string) (*Record, error) {
	if key != allManagers {
		return l.record(ctx, l.c.cfg.LongTimeout, key)
	}
	paths, err := l.entities(ctx, l.c.cfg.LongTimeout, "/query/get_entities?clusto_drivers="+url.QueryEscape(`["ipmanager"]`))
	if err != nil {
		return nil, err
	}
	all := &Record{networks: []clusto.Network{}}
	for _, p := range paths {
		m, err := l.memory.Get(ctx, p)
		if err != nil {
			return nil, err
		}
		if m.network != nil {
			all.networks = append(all.networks, *m.network)
		}
	}
	slices.SortStableFunc(all.networks, func(a, b clusto.Network) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// entities gives the paths that a query answers with, each once.
func (l *Legacy) entities(ctx context.Context, timeout time.Duration, query string) ([]string, error) {
	var paths pathList
	if err := l.call(ctx, timeout, http.MethodPost, query, &paths); err != nil {
		return nil, err
	}
	if paths == nil {
		return nil, l.c.broken(query, errors.New("it is no list"))
	}
	seen := make(map[string]bool, len(paths))
	once := paths[:0]
	for _, p := range paths {
		if _, ok := splitPath(p); !ok {
			return nil, l.c.broken(query, fmt.Errorf("%.80q is no /type/name", p))
		}
		if !seen[p] {
			once, seen[p] = append(once, p), true
		}
	}
	return once, nil
}

// pathList is a list of texts. Reading ends at the first item that is none: the
// original can answer with megabytes of something else.
type pathList []string

// UnmarshalJSON implements json.Unmarshaler.
func (p *pathList) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t == nil {
		return err
	} else if t != json.Delim('[') {
		return fmt.Errorf("it begins with %.20q where a list is wanted", fmt.Sprint(t))
	}
	*p = pathList{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return fmt.Errorf("item %d is no text", len(*p))
		}
		*p = append(*p, s)
	}
	return nil
}

func (l *Legacy) get(ctx context.Context, timeout time.Duration, path string, into any) error {
	return l.call(ctx, timeout, http.MethodGet, path, into)
}

// call makes one request in its turn. The timeout begins when its turn has come.
func (l *Legacy) call(ctx context.Context, timeout time.Duration, method, path string, into any) error {
	if err := l.requests.enter(ctx, false); err != nil {
		return fmt.Errorf("ask %s%s: %d requests are on their way already: %w: %w", l.c.cfg.URL, path, l.requests.size, err, clusto.ErrUnavailable)
	}
	defer l.requests.leave()
	return l.request(ctx, timeout, method, path, into)
}

func (l *Legacy) request(ctx context.Context, timeout time.Duration, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := l.c.do(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoAtLeast(1, 1) && l.newer != nil {
		l.newer()
	}
	if resp.StatusCode != http.StatusOK {
		return l.refusal(path, resp)
	}
	answer, err := l.c.body(path, resp)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return l.c.broken(path, fmt.Errorf("%v in %s", err, excerpt(answer)))
	}
	return nil
}
