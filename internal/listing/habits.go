package listing

import "sync"

// Habits are what a Client remembers of registries and of repositories. The zero value
// knows nothing, and is safe for concurrent use.
//
// They choose what is asked first. They are no evidence, and switch off no check.
type Habits struct {
	mu sync.Mutex
	of map[string]habits // by host, or by host/name
}

// habits are those of one registry, or of one repository.
type habits struct {
	pageSize int  // the n that it accepted after it refused another; 0: nothing known, < 0: none
	sized    bool // a larger n than at first was tried
	largest  int  // and honoured
	without  wholeness
	slow     bool       // it took too long for a page of that size
	linear   bool       // its list can be read in one way only, from the start
	crowded  bool       // it refused pages when more than the usual number were asked for at once
	proof    *partProof // of a repository: what shows how it compares; nil: nothing known
	beside   pageManner // of a repository whose list without n is a page: how its pages came then
}

// A pageManner is how pages come. If they come in another way, the registry may have been
// replaced, and what was seen of it is out of date.
type pageManner struct {
	links bool // they have Links
	most  int  // tags in one page
}

// isPage reports whether the list without n is known to be a page of a repository, whose pages
// still come as they did then.
func (h habits) isPage(now pageManner) bool {
	return h.without == pagesOnly && h.beside.links == now.links && h.beside.most <= now.most
}

// A wholeness is what a registry sends where n is absent.
type wholeness int

const (
	unknown wholeness = iota
	everything
	pagesOnly
)

func (h *Habits) at(place string) habits {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[place]
}

func (h *Habits) learn(place string, change func(*habits)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = make(map[string]habits)
	}
	known := h.of[place]
	change(&known)
	h.of[place] = known
}

// ofRegistry returns the habits of the registry.
func (l *Listing) ofRegistry() habits { return l.Habits.at(l.Home.Host) }

// ofRepository returns the habits of the repository.
func (l *Listing) ofRepository() habits { return l.Habits.at(l.Repository.String()) }

// learn takes note of a habit of the registry.
func (l *Listing) learn(change func(*habits)) { l.Habits.learn(l.Home.Host, change) }

// learnHere takes note of a habit of the repository.
func (l *Listing) learnHere(change func(*habits)) { l.Habits.learn(l.Repository.String(), change) }
