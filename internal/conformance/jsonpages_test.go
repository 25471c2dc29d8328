package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// A jsonServer has an API like quay's, of generated habits, and a list that changes
// between requests.
type jsonServer struct {
	*regtest.Registry // the ordinary way

	limit   int  // the most entries of a page
	rigid   bool // the limit of a request is not looked at
	byName  bool // not newest first
	history int  // one tag of so many has an expired entry in front of it; 0: none
	noPage  bool // the answers do not tell their page
	moves   int  // one request of so many is preceded by a change; 0: none
	most    int  // the most tags of a change

	mu      sync.Mutex
	rnd     *rand.Rand
	tags    []string // newest first
	stable  map[string]bool
	ever    map[string]bool
	changes int
	at      int // the request that has a fault; 0: none
	fault   regtest.Fault
}

func (s *jsonServer) String() string {
	return fmt.Sprintf("%d tags, limit %d, rigid %v, by name %v, history %d, no page %v, moves %d of %d", len(s.tags), s.limit, s.rigid, s.byName, s.history, s.noPage, s.moves, s.most)
}

func newJSONServer(rnd *rand.Rand) *jsonServer {
	s := &jsonServer{
		Registry: regtest.New(regtest.ByName("quayjson")),
		limit:    []int{100, 100, 100, 50, 30, 25, 24, 10, 2}[rnd.IntN(9)],
		rigid:    rnd.IntN(5) == 0,
		byName:   rnd.IntN(4) == 0,
		history:  []int{0, 0, 0, 3, 40}[rnd.IntN(5)],
		noPage:   rnd.IntN(5) == 0,
		moves:    []int{0, 0, 1, 2, 3, 8}[rnd.IntN(6)],
		most:     []int{1, 1, 3, 120}[rnd.IntN(4)],
		rnd:      rnd, stable: map[string]bool{}, ever: map[string]bool{},
	}
	n := []int{0, 1, 2, s.limit - 1, s.limit, s.limit + 1, 2 * s.limit, 2*s.limit - 1, 350, 720}[rnd.IntN(10)]
	s.Fault = s.enter
	s.tags = makeTags(n)
	s.Push("a/b", s.tags...)
	for _, tag := range s.tags {
		s.stable[tag], s.ever[tag] = true, true
	}
	slices.Reverse(s.tags)
	return s
}

// push tags something, or tags it once more.
func (s *jsonServer) push(tag string) {
	s.tags = append([]string{tag}, slices.DeleteFunc(s.tags, func(t string) bool { return t == tag })...)
	s.ever[tag] = true
	s.Push("a/b", tag)
}

func (s *jsonServer) drop(tag string) {
	s.tags = slices.DeleteFunc(s.tags, func(t string) bool { return t == tag })
	delete(s.stable, tag)
	s.Delete("a/b", tag)
}

// move changes the list.
func (s *jsonServer) move() {
	for range 1 + s.rnd.IntN(s.most) {
		s.changes++
		switch {
		case s.rnd.IntN(3) == 0 || len(s.tags) == 0:
			s.push(fmt.Sprintf("new-%d", s.changes))
		case s.rnd.IntN(2) == 0:
			s.push(s.tags[s.rnd.IntN(len(s.tags))])
		default:
			s.drop(s.tags[s.rnd.IntN(len(s.tags))])
		}
	}
}

type jsonEntry struct {
	Name  string `json:"name"`
	Start int    `json:"start_ts,omitempty"`
	End   int    `json:"end_ts,omitempty"` // the tag is no more
}

// page answers a page of the API.
func (s *jsonServer) page(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tags := s.tags
	if s.byName {
		tags = slices.Sorted(slices.Values(tags))
	}
	all := make([]jsonEntry, 0, 2*len(tags))
	for i, tag := range tags {
		if s.history > 0 && i%s.history == 0 {
			all = append(all, jsonEntry{Name: tag, End: 1_600_000_000})
		}
		all = append(all, jsonEntry{Name: tag, Start: 1_700_000_000 - i})
	}
	limit, _ := strconv.Atoi(req.URL.Query().Get("limit"))
	if limit = min(limit, s.limit); s.rigid {
		limit = s.limit
	}
	number, _ := strconv.Atoi(req.URL.Query().Get("page"))
	from := min((number-1)*limit, len(all))
	to := min(from+limit, len(all))
	body := map[string]any{"tags": all[from:to], "has_additional": to < len(all)}
	if !s.noPage {
		body["page"] = number
	}
	w.Header().Set("Date", "Mon, 23 Nov 2026 10:00:00 GMT")
	_ = json.NewEncoder(w).Encode(body)
}

// enter changes the list before a request, and has the API answer it.
func (s *jsonServer) enter(k int, req *http.Request) (fault regtest.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moves > 0 && s.rnd.IntN(s.moves) == 0 && s.changes < 400 {
		s.move()
	}
	if k == s.at {
		fault = s.fault
	}
	if isJSON(req.URL.Path) && (fault.Delay > 0 || fault.Status == 0) && fault.Handler == nil && !fault.Drop && fault.Cut == 0 && fault.CutEnd == 0 {
		fault.Handler = http.HandlerFunc(s.page)
	}
	return fault
}

// Whatever such an API does, and however its list moves, tags that are there all the
// time come. With -servers it is a soak; -seed runs one again.
func TestGeneratedJSONPages(t *testing.T) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = 1
	}
	failed, listed := 0, 0
	for i := range uint64(*servers+7) / 8 {
		rnd := rand.New(rand.NewPCG(first+i, 1))
		s := newJSONServer(rnd)
		synctest.Test(t, func(t *testing.T) {
			host, still := "quay.io", s.moves == 0
			if rnd.IntN(3) == 0 {
				host = "registry.example"
				s.Profile.Extra = func(body map[string]any, page []string) { body["has_additional"] = len(page) == 100 }
			}
			if rnd.IntN(4) == 0 {
				k, kinds := 1+rnd.IntN(8), passing(rnd.IntN)
				if rnd.IntN(2) == 0 {
					kinds, still = lasting(), false
				}
				s.at, s.fault = k, kinds[slices.Sorted(maps.Keys(kinds))[rnd.IntN(len(kinds))]]
			}
			c := &ocitags.Client{Transport: testNetwork(t).Handle(host, s), Credentials: ocitags.Anonymous, Concurrency: []int{0, 1, 4, 16}[rnd.IntN(4)]}
			var part ocitags.Range
			if rnd.IntN(3) == 0 {
				part = anyRange(rnd, makeTags(len(s.tags)))
			}
			tags, err := tagsIn(t, c, t.Context(), host+"/a/b", part)
			synctest.Wait() // for requests ahead that were given up
			if err != nil {
				failed++
				assert.False(t, still, "seed %d: %v: %v", first+i, s, err)
				return
			}
			listed++
			assertHas(t, tags, in(sortedKeys(s.stable), part), fmt.Sprintf("seed %d: %v, %+v", first+i, s, part))
			assertHas(t, in(sortedKeys(s.ever), part), tags)
		})
		if t.Failed() {
			t.Fatalf("run it again with -seed %d -servers 1", first+i)
		}
	}
	t.Logf("%d listings were complete, %d failed with an error; the first seed was %d", listed, failed, first)
	assert.Greater(t, listed, failed)
}
