package wire

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/origin"
	"github.com/ocitags/ocitags/internal/taglist"
)

// logRequest logs what became of a request.
func (c *Client) logRequest(ctx context.Context, asked *url.URL, status int, rep *Response, took time.Duration, err error) {
	log := c.Log
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	args := []any{"url", logURL(asked), "status", status, "tags", rep.Entries - rep.Skipped, "skipped", rep.Skipped, "duration", took}
	if rep.URL != nil && !origin.SamePlace(rep.URL, asked) {
		args = append(args, "answered", logURL(rep.URL))
	}
	_, refused := errors.AsType[Refused](err)
	_, ours := err.(sinkError)
	if err != nil && !refused && !ours {
		text := strings.TrimPrefix(err.Error(), "GET "+origin.WithoutSecrets(asked)+": ")
		if ctx.Err() != nil {
			text = bound.Ended(ctx).Error()
		}
		args = append(args, "error", text)
	}
	log.DebugContext(ctx, "request", args...)
}

// maxSkipsLogged is how many skipped entries a listing logs one by one, each once.
const maxSkipsLogged = 10

// skips are the entries that are not tags, as far as they were logged.
type skips struct {
	mu    sync.Mutex
	count map[slog.Level]int
	texts []string // the first of them
}

// add counts one, and reports whether it is known: an answer may come again.
func (s *skips) add(level slog.Level, text string) (n int, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != "" && slices.Contains(s.texts, text) {
		return 0, true
	}
	if s.count == nil {
		s.count = make(map[slog.Level]int)
	}
	s.count[level]++
	if n = s.count[level]; n <= maxSkipsLogged && text != "" {
		s.texts = append(s.texts, text)
	}
	return n, false
}

// skipped logs an entry that is not a tag. The number of all is in Page.Skipped.
func (c *Client) skipped(ctx context.Context, reason taglist.Reason, text string) {
	level := slog.LevelDebug // a null or a digest is a registry's habit
	if reason == taglist.Invalid {
		level = slog.LevelWarn
	}
	n, known := c.skips.add(level, text)
	if known {
		return
	}
	switch {
	case n <= maxSkipsLogged:
		args := []any{"because", reason.String()}
		if text != "" {
			args = append(args, "entry", taglist.Quote(text))
		}
		c.Log.Log(ctx, level, "skipped an entry that is not a tag", args...)
	case n == maxSkipsLogged+1:
		c.Log.Log(ctx, level, "skipping more entries that are not tags")
	}
}

// logURL returns u for a log: with n, with a last that is a tag, and with what the
// package itself asks quay's API for. Any other cursor may be a secret of its server.
func logURL(u *url.URL) string {
	told, mark := origin.WithoutSecrets(u), "?"
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		shown := taglist.Valid(value)
		switch name {
		case "n", "limit", "page":
			shown = strings.Trim(value, "0123456789") == ""
		case "last", "onlyActiveTags":
		default:
			shown = false
		}
		if !shown {
			value = "(opaque)"
		}
		if !taglist.Valid(name) {
			name = "(opaque)"
		}
		told += mark + name + "=" + value
		mark = "&"
	}
	return told
}
