package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// A story is a slog.Handler that writes for people: a line each, what happened,
// why, and what else is known of it.
type story struct {
	w       io.Writer
	verbose bool // else only what is missing is told
	colours
}

func (s story) Enabled(_ context.Context, level slog.Level) bool {
	return s.verbose || level >= slog.LevelWarn
}

// WithAttrs drops what every line would repeat: the repository.
func (s story) WithAttrs([]slog.Attr) slog.Handler { return s }

func (s story) WithGroup(string) slog.Handler { return s }

func (s story) Handle(_ context.Context, r slog.Record) error {
	known := map[string]string{}
	var rest []string
	r.Attrs(func(a slog.Attr) bool {
		text := a.Value.String()
		if d, ok := a.Value.Any().(time.Duration); ok {
			text = d.Round(100 * time.Microsecond).String()
		}
		known[a.Key] = text
		if a.Key != "because" {
			rest = append(rest, a.Key+" "+text)
		}
		return true
	})
	if !s.verbose && known["entry"] == "" {
		return nil // a repair
	}
	text := tell(r.Message, known, rest)
	if known["url"] != "" {
		text = s.faint(text)
	}
	_, err := fmt.Fprintln(s.w, "ocitags: "+text)
	return err
}

// tell puts a record into words, by the attributes that Client.Logger promises.
func tell(message string, known map[string]string, rest []string) string {
	switch {
	case known["url"] != "":
		return cmp.Or(known["method"], http.MethodGet) + " " + known["url"] + ": " + answer(known)
	case known["dialect"] != "":
		return "dialect: " + known["dialect"] + ": " + known["because"]
	}
	if because := known["because"]; because != "" {
		message += ": " + because
	}
	if len(rest) > 0 {
		message += " (" + strings.Join(rest, ", ") + ")"
	}
	return message
}

// answer describes what a request brought.
func answer(known map[string]string) string {
	var parts []string
	if known["status"] != "0" {
		parts = append(parts, known["status"])
	}
	if tags := known["tags"]; tags != "" && known["status"] == "200" {
		unit := " tags"
		if tags == "1" {
			unit = " tag"
		}
		parts = append(parts, tags+unit)
	}
	if skipped := known["skipped"]; skipped != "" && skipped != "0" {
		parts = append(parts, skipped+" skipped")
	}
	if known["answered"] != "" {
		parts = append(parts, "redirected to "+known["answered"])
	}
	if known["error"] != "" {
		parts = append(parts, known["error"])
	}
	return strings.Join(append(parts, known["duration"]), ", ")
}
