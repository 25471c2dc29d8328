package regtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Hostile are servers that break a client which believes them, by name. Each
// has the repository of every name.
var Hostile = map[string]http.Handler{
	"self-link": list(func(w http.ResponseWriter, req *http.Request) string {
		w.Header().Set("Link", "<"+req.URL.RequestURI()+`>; rel="next"`)
		return `"a","b"`
	}),
	"circle": list(func(w http.ResponseWriter, req *http.Request) string {
		to := "b"
		if req.URL.Query().Get("last") == "b" {
			to = "a"
		}
		w.Header().Set("Link", "<"+req.URL.Path+"?n=2&last="+to+`>; rel="next"`)
		return `"` + to + `"`
	}),
	"other-host": list(func(w http.ResponseWriter, req *http.Request) string {
		w.Header().Set("Link", `<https://evil.example/steal?last=b>; rel="next"`)
		return `"a","b"`
	}),
	"moving-cursor": list(func(w http.ResponseWriter, req *http.Request) string {
		place, _ := strconv.Atoi(req.URL.Query().Get("place"))
		w.Header().Set("Link", fmt.Sprintf(`<%s?place=%d>; rel="next"`, req.URL.Path, place+1))
		return `"a","b"`
	}),
	"empty-pages": list(func(w http.ResponseWriter, req *http.Request) string {
		place, _ := strconv.Atoi(req.URL.Query().Get("place"))
		w.Header().Set("Link", fmt.Sprintf(`<%s?place=%d>; rel="next"`, req.URL.Path, place+1))
		return ""
	}),
	"endless": list(func(w http.ResponseWriter, req *http.Request) string {
		place, _ := strconv.Atoi(req.URL.Query().Get("place"))
		w.Header().Set("Link", fmt.Sprintf(`<%s?place=%d>; rel="next"`, req.URL.Path, place+1))
		return fmt.Sprintf(`"tag-%09d"`, place)
	}),
	"html":      raw("text/html", "<!DOCTYPE html><html><body>Sign in</body></html>"),
	"truncated": raw("application/json", `{"name":"a/b","tags":["one","tw`),
	"million": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"name":"a/b","tags":["tag-0000000"`)
		for i := 1; i < 1_000_000; i += 1000 {
			var b strings.Builder
			for j := i; j < min(i+1000, 1_000_000); j++ {
				fmt.Fprintf(&b, `,"tag-%07d"`, j)
			}
			if _, err := fmt.Fprint(w, b.String()); err != nil {
				return
			}
		}
		_, _ = fmt.Fprint(w, `]}`)
	}),
}

// list serves the elements of the array.
func list(tags func(http.ResponseWriter, *http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		elements := tags(w, req)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"name":"a/b","tags":[%s]}`, elements)
	})
}

func raw(contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = fmt.Fprint(w, body)
	})
}
