package listing

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/ocitags/ocitags/internal/order"
	"github.com/ocitags/ocitags/internal/wire"
)

// This file asks what comes after a tag where only the start of the answer counts.

// A question asks what comes after a tag, or another string.
type question struct {
	after   string
	at      *url.URL
	because string // for the log
}

// oneAfter returns the question that asks for one tag after another.
func (s *tagsList) oneAfter(tag, because string) question {
	return question{tag, WithParam(s.question(tag), "n", "1"), because}
}

// roomAfter returns the question with the n, up to the usual one, that has brought the longest
// page; without n, if that was longer still.
func (s *tagsList) roomAfter(tag, because string) question {
	n, longest := 1, 0
	for size, length := range s.longestOf {
		if 0 < size && size <= defaultPageSize && (length > longest || length == longest && size > n) {
			n, longest = size, length
		}
	}
	if s.longestOf[0] > longest {
		return question{tag, s.query(0, tag), because}
	}
	return question{tag, WithParam(s.question(tag), "n", strconv.Itoa(n)), because}
}

// startOf reads an answer until add has seen enough.
func (l *Listing) startOf(ctx context.Context, q question, add func(tag string) (more bool)) error {
	l.tell(ctx, "asking what comes after a tag", q.because)
	_, err := l.Read(ctx, wire.Request{URL: q.at}, each(func(tag string) error {
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

// answer returns the first tags of the answer to a question, as many as are needed: that is
// one, unless the registry is known to fold case and nothing shows yet whether its list does.
// Some registries begin with the tag that was asked about, which is left out.
func (l *Listing) answer(ctx context.Context, q question, seen order.Seen) (first []string, err error) {
	seen.Seek(q.after)
	err = l.startOf(ctx, q, func(tag string) bool {
		if tag == q.after {
			return true
		}
		first = append(first, tag)
		seen.Add(tag)
		return seen.MayLoseCase()
	})
	return first, err
}

// A foreseen is a question on which the end of the list will depend. At the end nothing else
// is left to be requested at the same time, so that it is asked before where there is a slot
// for it.
type foreseen struct {
	after string
	ask   func() (first []string, err error)
	asked atomic.Bool
	done  chan struct{} // closed when the answer has come
	first []string
	err   error
}

// foresee returns what asks such a question in the background; nil: there is none. It is the
// first that comes up: others may be settled by the answer.
func (s *tagsList) foresee(ctx context.Context) (begin func()) {
	q, open := s.openQuestion()
	if s.foreseen == nil && open {
		seen := s.seen
		s.foreseen = &foreseen{after: q.after, done: make(chan struct{}), ask: func() ([]string, error) {
			return s.answer(ctx, q, seen)
		}}
	}
	f := s.foreseen
	if f == nil || f.after != q.after {
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

// wasForeseen reports whether such a question was asked already.
func (s *tagsList) wasForeseen() bool { return s.foreseen != nil && s.foreseen.asked.Load() }

// firstOf returns what answer does. A question that was foreseen is asked again only if it had
// no answer.
func (s *tagsList) firstOf(ctx context.Context, q question) ([]string, error) {
	if f := s.foreseen; s.wasForeseen() && f.after == q.after {
		if <-f.done; f.err == nil {
			return f.first, nil
		}
	}
	return s.answer(ctx, q, s.seen)
}
