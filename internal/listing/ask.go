package listing

import (
	"context"
	"errors"
	"net/url"
	"sync/atomic"

	"github.com/ocitags/ocitags/internal/wire"
)

// This file asks what comes after a tag where only the start of the answer counts.

// oneAfter returns the URL that asks for one tag after another.
func (s *tagsList) oneAfter(tag string) *url.URL { return WithParam(s.question(tag), "n", "1") }

// startOf reads an answer until add has seen enough. because is for the log.
func (l *Listing) startOf(ctx context.Context, at *url.URL, because string, add func(tag string) (more bool)) error {
	l.Log.DebugContext(ctx, "asking what comes after a tag", "because", because)
	_, err := l.Read(ctx, wire.Request{URL: at}, each(func(tag string) error {
		if !add(tag) {
			return ErrStopped
		}
		return nil
	}))
	if errors.Is(err, ErrStopped) {
		return nil
	}
	return err
}

// firstOf returns the first tag of the answer to what comes after a tag; "": it has none.
// Some registries begin with that one itself.
func (l *Listing) firstOf(ctx context.Context, at *url.URL, after, because string) (first string, err error) {
	err = l.startOf(ctx, at, because, func(tag string) bool {
		if tag == after {
			return true
		}
		first = tag
		return false
	})
	return first, err
}

// A foreseen is a question on which the end of the list will depend. At the end nothing else
// is left to be requested at the same time, so that it is asked before where there is a slot
// for it.
type foreseen struct {
	after string
	ask   func() (first string, err error)
	asked atomic.Bool
	done  chan struct{} // closed when the answer has come
	first string
	err   error
}

// foresee returns what asks such a question in the background; nil: there is none. It is the
// first that comes up: others may be settled by the answer.
func (s *tagsList) foresee(ctx context.Context) (begin func()) {
	after, because := s.openQuestion()
	if s.foreseen == nil && after != "" {
		at := s.oneAfter(after)
		s.foreseen = &foreseen{after: after, done: make(chan struct{}), ask: func() (string, error) {
			return s.firstOf(ctx, at, after, because)
		}}
	}
	f := s.foreseen
	if f == nil || f.after != after {
		return nil
	}
	return func() {
		if f.asked.Swap(true) {
			return
		}
		s.besides.Add(1)
		s.wg.Go(func() {
			defer s.besides.Add(-1)
			defer close(f.done)
			f.first, f.err = f.ask()
		})
	}
}

// first returns the first tag after another one; "": there is none. A question that was
// foreseen is asked again only if it had no answer.
func (s *tagsList) first(ctx context.Context, after, because string) (string, error) {
	if f := s.foreseen; f != nil && f.after == after && f.asked.Load() {
		if <-f.done; f.err == nil {
			return f.first, nil
		}
	}
	return s.firstOf(ctx, s.oneAfter(after), after, because)
}
