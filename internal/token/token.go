// Package token keeps what registries' token servers gave: by origin, repository
// and credential, so that nothing is used for anybody else.
package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/challenge"
)

const (
	// Max is how many authorizations a Store keeps before it drops those that
	// have ended.
	Max = 1024

	// Margin is how long before its end a token is no longer used: it covers the
	// way of a request to a busy registry.
	Margin = 10 * time.Second
)

// A Place is where a repository's tags are asked for.
type Place struct{ Origin, Repository string }

// A Holder stands for a credential. It is a hash, so that nothing that is printed
// with it holds a secret.
type Holder [sha256.Size]byte

// salt makes the hashes worthless outside this process.
var salt = rand.Text()

// HolderOf returns the Holder for the parts of a credential.
func HolderOf(parts ...string) Holder { return sha256.Sum256(fmt.Appendf(nil, "%q %q", salt, parts)) }

// A secret holds a text that no fmt verb shows: a Client has a Store in it, and fmt
// looks into unexported fields, and with a wrong verb behind pointers. Of a func it
// prints the address.
type secret func() string

func hide(text string) secret { return func() string { return text } }

func (s secret) text() string {
	if s == nil {
		return ""
	}
	return s()
}

// A Store holds authorizations. The zero value is empty. It is safe for concurrent
// use.
type Store struct {
	mu      sync.Mutex
	known   map[Place]map[Holder]*Authorization
	n       int
	rotated map[Holder]secret // the newest refresh token of a credential

	asked map[string]challenge.Challenge // by each origin, the last time
}

// Asked remembers how an origin has asked for authorization. It is likely to ask so
// for its other repositories, too.
func (s *Store) Asked(origin string, asked challenge.Challenge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil || len(s.asked) >= Max {
		s.asked = make(map[string]challenge.Challenge)
	}
	s.asked[origin] = asked
}

// Asking returns how an origin has asked for authorization; ok is false where it has
// not, or where that did not help.
func (s *Store) Asking(origin string) (asked challenge.Challenge, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, ok = s.asked[origin]
	return asked, ok
}

// Forget records that a place does not want what its origin has asked for.
func (s *Store) Forget(at Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, at.Origin)
	s.n -= len(s.known[at])
	delete(s.known, at)
}

// Asks reports whether the registry has asked for authorization before.
func (s *Store) Asks(at Place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[at] != nil
}

// At returns the Authorization for a place and a credential. It makes one where
// there is none.
func (s *Store) At(at Place, by Holder) *Authorization {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.known[at][by]; a != nil {
		return a
	}
	if s.n >= Max {
		s.clean()
	}
	if s.known == nil {
		s.known = make(map[Place]map[Holder]*Authorization)
	}
	if s.known[at] == nil {
		s.known[at] = make(map[Holder]*Authorization)
	}
	a := new(Authorization)
	s.known[at][by] = a
	s.n++
	return a
}

// Len returns the number of places that the Store knows.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

// clean drops the authorizations that have ended.
func (s *Store) clean() {
	s.n = 0
	for at, all := range s.known {
		maps.DeleteFunc(all, func(_ Holder, a *Authorization) bool { return a.idle() })
		if s.n += len(all); len(all) == 0 {
			delete(s.known, at)
		}
	}
}

// RefreshToken returns the refresh token to use for a credential: the newest that
// a token server gave in its place, or else its own.
func (s *Store) RefreshToken(by Holder, own string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.rotated[by].text(), own)
}

// Rotate keeps the refresh token that replaces a credential's own; "" goes back to
// that.
func (s *Store) Rotate(by Holder, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rotated == nil || len(s.rotated) >= Max {
		s.rotated = make(map[Holder]secret)
	}
	s.rotated[by] = hide(token)
}

// An Authorization is the header that requests for one repository carry, once its
// registry has asked for it. It is safe for concurrent use.
type Authorization struct {
	mu     sync.Mutex
	asked  challenge.Challenge // the last one
	header secret              // the Authorization header; nil: none yet
	until  time.Time           // when the header ends; zero: never
	flight *flight             // the fetch in progress
}

// A flight is one fetch that several requests wait for.
type flight struct {
	done   chan struct{}
	header secret
	err    error
}

// A Fetch answers a challenge with an Authorization header and the time when it
// ends; zero: never. The header is "" where there is none to be had.
type Fetch func(ctx context.Context, asked challenge.Challenge) (header string, until time.Time, err error)

// Current returns the header to send. stale reports that a challenge is known but
// its token has ended, and Renew should be given that challenge.
func (a *Authorization) Current() (header string, asked challenge.Challenge, stale bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.header.text() != "" && !a.lasts() {
		return "", a.asked, true
	}
	return a.header.text(), a.asked, false
}

// lasts reports whether the header can be used for a while. a.mu is held.
func (a *Authorization) lasts() bool { return a.until.IsZero() || time.Until(a.until) >= Margin }

// idle reports whether nobody waits for a, and its header has ended or can be made
// again without asking.
func (a *Authorization) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.flight == nil && (a.until.IsZero() || !a.lasts())
}

// Renew fetches a header in answer to the challenge asked, unless another request
// has replaced refused, the header that was turned down, or is about to. Where a
// fetch ends with the context of the request that began it, one of those that wait
// for it begins another, so that none fails because another was cancelled.
func (a *Authorization) Renew(ctx context.Context, refused string, asked challenge.Challenge, fetch Fetch) (string, error) {
	for {
		a.mu.Lock()
		if header := a.header.text(); header != "" && header != refused && a.lasts() {
			a.mu.Unlock()
			return header, nil
		}
		f := a.flight
		if f == nil {
			break
		}
		a.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for the token server: %w", bound.Ended(ctx))
		}
		if f.err == nil && f.header.text() != refused {
			return f.header.text(), nil
		}
		if f.err != nil && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return "", f.err
		}
	}
	f := &flight{done: make(chan struct{}), err: context.Canceled} // if fetch panics
	a.flight = f
	a.mu.Unlock()

	var until time.Time
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.flight = nil; f.err == nil {
			a.header, a.until, a.asked = f.header, until, asked
		}
		close(f.done)
	}()
	var header string
	header, until, f.err = fetch(ctx, asked)
	f.header = hide(header)
	return header, f.err
}
