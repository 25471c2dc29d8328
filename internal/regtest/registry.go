// Package regtest is a registry that lists tags the way one of the servers of
// the wild does, faults included, and remembers what it was asked.
package regtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Registry serves GET /v2/<name>/tags/list in the manner of its Profile, for
// any host. It is safe for concurrent use.
type Registry struct {
	Profile Profile

	// Auth, if set, is asked of every request but those to the token server,
	// which is the Registry itself, at /token.
	Auth *Auth

	// Fault, if set, is asked before the k-th request (1, 2, …) is answered
	// and says what goes wrong with it.
	Fault func(k int, req *http.Request) Fault

	mu     sync.Mutex
	repos  map[string][]string // in the order of pushing
	sorted map[string][]string // in the order of listing; made on demand
	log    []Request
}

// A Request is what was asked, and the status that it was answered with, or 0
// if the connection was dropped.
type Request struct {
	Method string
	Host   string
	URL    string // path and query, as they were sent
	Header http.Header
	Body   string
	Status int
}

// A Fault is something that goes wrong with one answer. The zero value is none.
type Fault struct {
	Handler http.Handler  // answers instead
	Delay   time.Duration // before anything is sent
	Drop    bool          // the connection, before anything is sent
	Cut     int           // the connection, after so many bytes of the body
	CutEnd  int           // the connection, so many bytes before the end of the body
	Status  int           // an answer of this status without a body
	Header  http.Header   // added to the answer
}

// New returns a Registry without repositories.
func New(p Profile) *Registry {
	return &Registry{Profile: p, repos: map[string][]string{}, sorted: map[string][]string{}}
}

// Push tags something in the repository name, which is made if need be. A tag
// that exists moves to the end of those that list by age.
func (r *Registry) Push(name string, tags ...string) *Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sorted, name)
	have := make(map[string]bool, len(r.repos[name])+len(tags))
	for _, tag := range r.repos[name] {
		have[tag] = true
	}
	list := slices.Grow(r.repos[name], len(tags))
	for _, tag := range tags {
		if r.Profile.Fold {
			tag = strings.ToLower(tag)
		}
		if have[tag] {
			list = slices.DeleteFunc(list, func(t string) bool { return t == tag })
		}
		have[tag] = true
		list = append(list, tag)
	}
	if list == nil {
		list = []string{}
	}
	r.repos[name] = list
	return r
}

// Delete removes tags.
func (r *Registry) Delete(name string, tags ...string) {
	gone := make(map[string]bool, len(tags))
	for _, tag := range tags {
		gone[tag] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sorted, name)
	r.repos[name] = slices.DeleteFunc(r.repos[name], func(t string) bool { return gone[t] })
}

// Tags returns the tags of a repository in the order of the list.
func (r *Registry) Tags(name string) []string {
	list, _ := r.list(name)
	return slices.Clone(list)
}

func (r *Registry) list(name string) ([]string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tags, ok := r.repos[name]
	if !ok {
		return nil, false
	}
	if r.sorted[name] == nil {
		r.sorted[name] = r.Profile.Order(tags)
	}
	return r.sorted[name], true
}

// Requests returns the requests that were answered, in the order in which they came.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// URLs returns the paths and queries of the Requests.
func (r *Registry) URLs() []string {
	var urls []string
	for _, req := range r.Requests() {
		urls = append(urls, req.URL)
	}
	return urls
}

// Forget empties the log.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	k := r.enter(req)
	rec := &recorder{ResponseWriter: w, left: -1, tell: func(status int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if k <= len(r.log) { // not forgotten meanwhile
			r.log[k-1].Status = status
		}
	}}
	if r.Fault != nil {
		fault := r.Fault(k, req)
		if fault.Delay > 0 && !sleep(req, fault.Delay) {
			return
		}
		for name, values := range fault.Header {
			for _, value := range values {
				w.Header().Add(name, value)
			}
		}
		switch {
		case fault.Drop:
			panic(http.ErrAbortHandler)
		case fault.Handler != nil:
			fault.Handler.ServeHTTP(rec, req)
			return
		case fault.Status != 0:
			rec.WriteHeader(fault.Status)
			return
		case fault.Cut > 0:
			rec.left = fault.Cut
		}
		rec.end = fault.CutEnd
	}
	r.answer(rec, req)
}

func (r *Registry) enter(req *http.Request) int {
	entry := Request{Method: req.Method, Host: req.Host, URL: req.URL.RequestURI(), Header: req.Header.Clone()}
	if req.Method == http.MethodPost && req.ParseForm() == nil {
		entry.Body = req.PostForm.Encode()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, entry)
	return len(r.log)
}

// sleep waits unless the client goes away.
func sleep(req *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-req.Context().Done():
		return false
	}
}

// A recorder tells the status before the client can know it, and cuts the body
// short.
type recorder struct {
	http.ResponseWriter
	tell func(status int)
	told bool
	left int // bytes until the cut; < 0: none
	end  int // bytes to keep back of the body, which the registry writes at once
}

func (w *recorder) WriteHeader(status int) {
	if !w.told {
		w.told = true
		w.tell(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if !w.told {
		w.WriteHeader(http.StatusOK)
	}
	if w.end > 0 {
		w.left = max(0, len(p)-w.end)
	}
	if w.left >= 0 && len(p) >= w.left {
		_, _ = w.ResponseWriter.Write(p[:w.left])
		if f, ok := w.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	if w.left >= 0 {
		w.left -= len(p)
	}
	return w.ResponseWriter.Write(p)
}

// answer answers a request, without faults.
func (r *Registry) answer(w http.ResponseWriter, req *http.Request) {
	if r.Auth != nil && req.URL.Path == "/token" {
		r.serveToken(w, req)
		return
	}
	if name, ok := strings.CutPrefix(req.URL.Path, "/api/v1/repository/"); ok && r.Profile.JSONPages {
		if name, ok := strings.CutSuffix(name, "/tag/"); ok {
			r.jsonPage(w, req, name)
			return
		}
	}
	name, ok := strings.CutSuffix(strings.TrimPrefix(req.URL.Path, "/v2/"), "/tags/list")
	if !ok || !strings.HasPrefix(req.URL.Path, "/v2/") {
		http.NotFound(w, req)
		return
	}
	if r.Auth != nil && !r.allowed(w, req, name) {
		return
	}
	if r.Profile.Redirect != nil {
		if status, to := r.Profile.Redirect(req); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(status)
			return
		}
	}
	if req.Method != http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	r.page(w, req, name)
}

// page answers GET /v2/<name>/tags/list.
func (r *Registry) page(w http.ResponseWriter, req *http.Request, name string) {
	p := r.Profile
	for key, value := range p.Header {
		w.Header().Set(key, value)
	}
	query, _ := url.ParseQuery(req.URL.RawQuery) // servers drop what they cannot read
	list, known := r.list(name)

	if !known && p.EmptyFirst {
		p.write(w, name, nil, list)
		return
	}
	n, refusal := p.size(query)
	if refusal != nil {
		refusal.write(w, name)
		return
	}
	if !known && !(p.EmptyByZero && n == 0) && !(p.EmptyByLast && query.Get("last") != "") {
		if p.Unknown.Status != 0 {
			p.Unknown.write(w, name)
			return
		}
	}
	cursor := query.Get(p.Cursor.Param)
	rest := list
	if cursor != "" {
		if rest, refusal = p.Cursor.Rest(list, cursor); refusal != nil {
			refusal.write(w, name)
			return
		}
	}
	if p.OneMore && n > 0 {
		n++
	}
	page := rest
	if n >= 0 && n < len(rest) {
		page = rest[:n]
	}
	more := len(page) < len(rest)
	switch p.Links {
	case LinkFull:
		more = n > 0 && len(page) == n
	case LinkAlways:
		more = len(page) > 0
	case LinkNever:
		more = false
	}
	if more && p.Link != nil && n != 0 {
		last := ""
		if len(page) > 0 {
			last = p.Cursor.Name(list, len(list)-len(rest)+len(page), page[len(page)-1])
		}
		w.Header().Set("Link", p.Link(Next{Host: req.Host, Path: req.URL.Path, N: n, Sent: query, Last: last}))
	}
	p.write(w, name, page, list)
}

// write sends a page of a list in the shape of the profile.
func (p Profile) write(w http.ResponseWriter, name string, page, list []string) {
	w.Header().Set("Content-Type", p.contentType())
	if p.Extra == nil {
		_ = json.NewEncoder(w).Encode(struct {
			Name string `json:"name"`
			Tags any    `json:"tags"`
		}{name, p.entries(page, list)})
		return
	}
	body := map[string]any{"name": name, "tags": p.entries(page, list)}
	p.Extra(body, page)
	_ = json.NewEncoder(w).Encode(body)
}

// entries returns what stands in a page.
func (p Profile) entries(page, list []string) any {
	if p.Elements == nil && len(page) > 0 {
		return page
	}
	tags := make([]any, 0, len(page))
	for _, tag := range page {
		tags = append(tags, tag)
	}
	if p.Elements != nil {
		tags = p.Elements(tags)
	}
	if len(tags) == 0 && (p.Null == NullPage || p.Null == NullList && len(list) == 0) {
		return nil
	}
	return tags
}

func (p Profile) contentType() string {
	if p.ContentType == "" {
		return "application/json"
	}
	return p.ContentType
}

// size returns how many tags are asked for; -1: all.
func (p Profile) size(query url.Values) (int, *Refusal) {
	text := query.Get("n")
	if p.IgnoreN {
		return -1, nil
	}
	if text == "" {
		return p.dflt(), nil
	}
	n, err := strconv.Atoi(text)
	var rule Rule
	switch {
	case err != nil:
		rule = p.Junk
	case n < 0:
		rule = p.Negative
	case n == 0:
		rule = p.Zero
	case p.Max > 0 && n > p.Max:
		rule = p.Over
	default:
		return n, nil
	}
	switch rule.What {
	case Clamp:
		return p.Max, nil
	case None:
		return 0, nil
	case All:
		return -1, nil
	case Default:
		return p.dflt(), nil
	case Drop:
		panic(http.ErrAbortHandler)
	}
	refusal := rule.Refusal
	refusal.Body = strings.NewReplacer("$n", strconv.Itoa(n)).Replace(refusal.Body)
	return 0, &refusal
}

func (p Profile) dflt() int {
	if p.DefaultN == 0 {
		return -1
	}
	return p.DefaultN
}

// A Refusal is an answer that is not a tag list. In its body $name stands for the
// repository.
type Refusal struct {
	Status      int
	ContentType string // "": application/json, or none without a body
	Body        string
}

func (f Refusal) write(w http.ResponseWriter, name string) {
	switch {
	case f.ContentType != "":
		w.Header().Set("Content-Type", f.ContentType)
	case f.Body != "":
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(f.Status)
	_, _ = fmt.Fprint(w, strings.ReplaceAll(f.Body, "$name", name))
}

// jsonPage answers a page of quay's own API: newest tag first, by offset.
func (r *Registry) jsonPage(w http.ResponseWriter, req *http.Request, name string) {
	r.mu.Lock()
	tags, known := r.repos[name]
	tags = slices.Clone(tags)
	r.mu.Unlock()
	query := req.URL.Query()
	if !known {
		Refusal{Status: 401, ContentType: "application/problem+json", Body: `{"status":401,"error_message":"Requires authentication","title":"insufficient_scope"}`}.write(w, name)
		return
	}
	slices.Reverse(tags)
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		limit = 50
	}
	limit = min(max(limit, 1), 100)
	number, err := strconv.Atoi(query.Get("page"))
	if err != nil {
		number = 1
	}
	from := min((max(number, 1)-1)*limit, len(tags))
	to := min(from+limit, len(tags))
	entries := make([]quayTag, 0, to-from)
	for i, tag := range tags[from:to] {
		entries = append(entries, quayTag{Digest: noDigest, Modified: "Mon, 23 Nov 2026 10:00:00 -0000", Name: tag, Size: 1234, Start: 1_700_000_000 - from - i})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"tags": entries, "page": number, "has_additional": to < len(tags)})
}

// A quayTag is an entry of a page of quay's own API.
type quayTag struct {
	IsList    bool   `json:"is_manifest_list"`
	Modified  string `json:"last_modified"`
	Digest    string `json:"manifest_digest"`
	Name      string `json:"name"`
	Reversion bool   `json:"reversion"`
	Size      int    `json:"size"`
	Start     int    `json:"start_ts"`
}

var noDigest = "sha256:" + strings.Repeat("0", 64)
