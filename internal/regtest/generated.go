package regtest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Generated is a server that nobody has thought of: each of its habits is drawn
// on its own. It answers GET /v2/<name>/tags/list from memory, as an
// http.RoundTripper without a wire, so that millions of them can be listed from.
type Generated struct {
	Default int    // tags in a page where n is absent; 0: all
	Max     int    // the largest n; 0: any
	Over    string // what is done with a larger one
	Links   string // when a page has a Link
	Form    string // of the Link
	Order   string // of the list
	Cursor  string // what a cursor is
	Last    string // with which requests last is looked at
	Null    bool   // an empty page is null
	Param   string // the parameter of a Link that has its cursor; "": last
	LinkN   string // the n of a Link; "": the page's own
	Beside  string // what else a Link has; "": nothing
	Within  string // the order of tags within a page; "": that of the list
	Overlap int    // how many tags of a page come after the cursor of its Link
	uneven

	Host string
	Name string // of the repository

	mu     sync.Mutex
	list   []string // in the order of the list
	asked  int
	most   int             // requests that are answered; 0: any
	wrong  int             // the request that goes wrong; 0: none
	how    string          // it does
	rnd    *rand.Rand      // of movement and faults
	moving map[string]bool // tags that are deleted and pushed again
	away   []string        // those that are deleted now
	bursts bool            // many of them at a time
	last   string          // the latest page's last tag: the next cursor
	serial map[string]int  // of each tag, in the order of pushing

	keys map[[2]string]string // by which tags are sorted in strange orders, by order and tag
}

// uneven is how pages are not what was asked for.
type uneven struct {
	hidden   map[string]bool // tags that the user may not see, and that take their place in a page all the same
	again    bool            // a page begins with the tag that last names
	junk     string          // an entry that is no tag, or twice, which comes with some tags
	varying  bool            // a page may have fewer tags than there is room for
	seenLast bool            // a Link names the last tag that may be seen, and not the last one
}

// The habits that are drawn, by field. Each list may grow: what a server does
// that is not here is not tested.
var (
	generatedDefaults = []int{0, 0, 50, 50, 64, 100, 100, 200, 1000}
	generatedMost     = []int{0, 0, 50, 100, 128, 500, 1000, 1002, 1500, 2000, 5000}
	generatedOver     = []string{"clamp", "clamp", "400", "405", "413", "all", "empty", "null", "default"}
	generatedLinks    = []string{"more", "more", "asked", "effective", "always", "never"}
	generatedForms    = []string{"path", "path", "absolute", "query", "n first", "unquoted", "no brackets", "two", "n=0", "prefix", "http", "orderby", "no rel", "odd rel"}
	generatedOrders   = []string{"bytes", "bytes", "folded", "punctuation first", "keys", "age", "random"}
	generatedCursors  = []string{"value", "value", "value", "bytes", "folded", "404", "start", "end", "token", "offset"}
	generatedLast     = []string{"any", "any", "any", "any", "with n", "without n", "never"}
)

func pick[T any](rnd *rand.Rand, of []T) T { return of[rnd.IntN(len(of))] }

// A Shape is from where a server is drawn.
type Shape struct {
	AnySize bool // pages of any size, not only of those that people choose
	Mixed   bool // tags of several kinds in one list
	Uneven  bool // pages that lack tags, or have more entries
	Strange bool // the list, its cursor or both have an order that no registry is known to use
	Pages   bool // the list is sorted, and the tags of a page are not
	Twice   bool // tags stand in the list more than once, and a page has fewer of them than entries
	Links   bool // a Link may have its cursor in another parameter than last, something beside it, or another n
	Overlap bool // and may name a tag before the last one
	Circles bool // pages have Links, though the server looks at last only with some n, or never
}

// Generate draws a server.
func Generate(rnd *rand.Rand, shape Shape) *Generated {
	anySize := shape.AnySize

	g := &Generated{
		Default: pick(rnd, generatedDefaults), Max: pick(rnd, generatedMost), Over: pick(rnd, generatedOver),
		Links: pick(rnd, generatedLinks), Form: pick(rnd, generatedForms),
		Order: pick(rnd, generatedOrders), Cursor: pick(rnd, generatedCursors), Last: pick(rnd, generatedLast),
		Null: rnd.IntN(2) == 0, Host: "registry.example", Name: "a/b", keys: map[[2]string]string{},
		rnd: rand.New(rand.NewPCG(rnd.Uint64(), 1)),
	}
	if anySize {
		g.Default, g.Max = min(1000, anyOf(rnd)), anyOf(rnd) // more than 1000 without n is the list
	}
	if shape.Strange {
		g.Order, g.Cursor = strange(rnd, g.Order, g.Cursor)
	}
	if (g.Order == "age" || g.Order == "random") && g.Cursor == "value" {
		g.Cursor = pick(rnd, []string{"404", "start", "end", "token", "bytes"}) // there is no value to compare
	}
	if (g.Order == "age" || g.Order == "random") && (g.Cursor == "bytes" || g.Cursor == "folded") && rnd.IntN(10) > 0 {
		g.Cursor = "end" // few would page so, as nearly all is lost
	}
	if g.Order == "keys" && g.Cursor == "value" {
		g.Cursor = "bytes" // as distribution on S3 does
	}
	if g.Order == "keys" && (rnd.IntN(10) > 0 || anySize) {
		g.Default = 0 // so does it
	}
	if g.Form == "n=0" && g.Last == "without n" {
		g.Last = "any" // the Link's own n=0 counts as one
	}
	g.drawLinks(rnd, shape)
	if shape.Pages {
		g.drawPages(rnd)
	}
	g.drawCircles(rnd, shape)
	n := g.size(rnd)
	for _, page := range []int{g.Default, g.Max} {
		if page > 0 && anySize {
			n = min(n, 40*page)
		}
	}
	g.fill(rnd, n, shape.Mixed)
	if shape.Uneven {
		g.draw(rnd, g.list)
		if g.Links != "more" && g.Links != "always" { // else the length of a page tells that there is no more
			g.varying, g.junk, g.hidden = false, "", map[string]bool{}
		}
		g.again = g.again && g.Links != "always" // or it would not end
		if len(g.hidden) > 0 {
			g.again = g.again && !g.seenLast // or it would never come past a page that is hidden
		}
	}
	if shape.Twice {
		g.double(rnd)
	}
	return g
}

// drawCircles draws Links that lead back to the start of the list, or leaves them out.
func (g *Generated) drawCircles(rnd *rand.Rand, shape Shape) {
	if shape.Circles {
		g.Last, g.Links = pick(rnd, []string{"with n", "without n", "never"}), pick(rnd, []string{"more", "asked", "effective", "always"})
	} else if g.Last == "never" && g.Cursor != "token" && g.Cursor != "offset" && g.Param == "" {
		g.Links = "never" // a Link that its own server does not look at leads nowhere
	}
}

// double lets tags stand in the list more than once.
func (g *Generated) double(rnd *rand.Rand) {
	share := 0.7 * rnd.Float64()
	var list []string
	for _, tag := range g.list {
		list = append(list, tag)
		for rnd.Float64() < share {
			list = append(list, tag)
		}
	}
	g.list = list
}

// drawLinks draws what else than last and n a Link has.
func (g *Generated) drawLinks(rnd *rand.Rand, shape Shape) {
	if !shape.Links {
		return
	}
	g.Param = pick(rnd, []string{"", "page", "next_page", "continuationToken"})
	g.LinkN = pick(rnd, []string{"", "left out", "as asked"})
	g.Beside = pick(rnd, []string{"", "constant", "changing", "last"})
	if g.Beside == "last" && (g.Param == "" || g.Cursor != "token") {
		g.Beside = "" // or it would be the cursor
	}
	if g.Param != "" && rnd.IntN(2) == 0 {
		g.Last = "never"
	}
	if shape.Overlap && g.compare(g.Order) != nil && g.Cursor != "offset" && g.Links != "always" { // or it would not end
		g.Overlap = 1 + rnd.IntN(20)
	}
}

// drawPages draws the order of tags within pages that a registry has sorted, of which only a
// Link tells the greatest.
func (g *Generated) drawPages(rnd *rand.Rand) {
	g.Within = pick(rnd, []string{"reversed", "age", "random"})
	if g.Cursor = "value"; g.Order == "age" || g.Order == "random" || g.Order == "keys" {
		g.Order = "bytes"
	}
	if g.Last = "any"; g.Links == "never" {
		g.Links = "more"
	}
}

// strange draws orders of the list and of the cursor, at least one of them strange.
func strange(rnd *rand.Rand, order, cursor string) (ofList, ofCursor string) {
	switch rnd.IntN(4) {
	case 0:
		return pick(rnd, strangeOrders), "value"
	case 1:
		return pick(rnd, strangeOrders), pick(rnd, strangeOrders)
	case 2:
		return pick(rnd, strangeOrders), cursor
	}
	if order == "age" || order == "random" {
		order = "bytes" // or nearly all would be lost
	}
	return order, pick(rnd, strangeOrders)
}

// strangeOrders are orders that no registry is known to use, and one of old locales, which
// generatedOrders lacks. strangeKeys are the strings by which each sorts its tags.
var (
	strangeOrders = []string{"natural", "descending", "shorter first", "letters first", "without punctuation"}
	strangeKeys   = map[string]func(tag string) string{
		"natural": func(tag string) string { // numbers by their value
			return numbers.ReplaceAllStringFunc(tag, func(digits string) string { return fmt.Sprintf("%c%s", '0'+len(digits)%10, digits) })
		},
		"descending": func(tag string) string {
			return mapBytes(tag, func(c byte) byte { return 0xfe - c }) + "\xff"
		},
		"shorter first": func(tag string) string { return fmt.Sprintf("%03d", len(tag)) + tag },
		"letters first": func(tag string) string { // as EBCDIC has it
			return mapBytes(tag, func(c byte) byte {
				if '0' <= c && c <= '9' {
					return c + 0x80
				}
				return c
			})
		},
		"without punctuation": func(tag string) string {
			return strings.Map(func(r rune) rune {
				if strings.ContainsRune("_-.", r) {
					return -1
				}
				return r
			}, strings.ToLower(tag)) + "\x00" + tag
		},
	}
	numbers = regexp.MustCompile(`[1-9][0-9]*`)
)

func mapBytes(tag string, to func(byte) byte) string {
	b := []byte(tag)
	for i, c := range b {
		b[i] = to(c)
	}
	return string(b)
}

// twice is the entry that is the tag before it once more.
const twice = "twice"

// draw draws how pages of a list are uneven.
func (u *uneven) draw(rnd *rand.Rand, list []string) {
	u.again, u.seenLast = rnd.IntN(4) == 0, rnd.IntN(2) == 0
	u.junk = pick(rnd, []string{"", "", "null", `"sha256:abc"`, `"../x"`})
	if len(list) > 0 && u.has(list[0], 1, 8) { // not drawn, so that the servers of known seeds stay as they are
		u.junk = twice
	}
	u.varying = rnd.IntN(3) == 0
	u.hidden = make(map[string]bool)
	switch rnd.IntN(4) {
	case 0:
		share := pick(rnd, []float64{0.01, 0.2, 0.9})
		for _, tag := range list {
			u.hidden[tag] = rnd.Float64() < share
		}
	case 1:
		from := rnd.IntN(len(list) + 1)
		for _, tag := range list[from:min(len(list), from+rnd.IntN(100))] { // three pages without a tag are an error
			u.hidden[tag] = true
		}
	}
}

// has reports whether something comes with a tag: always the same.
func (u *uneven) has(tag string, one, of int) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(tag))
	return int(h.Sum32()%uint32(of)) < one
}

// anyOf draws a page size from 2 to 3000, small ones as often as large ones, or none.
func anyOf(rnd *rand.Rand) int {
	if rnd.IntN(5) == 0 {
		return 0
	}
	n := int(2 * math.Pow(1500, rnd.Float64()))
	if n > 1000 {
		n -= n % 50
	}
	return n
}

// size draws the length of a list, mostly one near the ends of its pages.
func (g *Generated) size(rnd *rand.Rand) int {
	page := pick(rnd, []int{g.Default, g.Max, 50, 100, 1000})
	if page == 0 || page > 2000 {
		page = 100
	}
	switch rnd.IntN(8) {
	case 0:
		return rnd.IntN(3)
	case 1:
		return page - 1
	case 2:
		return page
	case 3:
		return page + 1
	case 4:
		return 2 * page
	case 5:
		return rnd.IntN(4 * page)
	default:
		return 200 + rnd.IntN(3000)
	}
}

// Fill gives the server a list of so many tags, all of one kind.
func (g *Generated) Fill(rnd *rand.Rand, n int) { g.fill(rnd, n, false) }

func (g *Generated) fill(rnd *rand.Rand, n int, mixed bool) {
	g.list, g.serial = generatedTags(rnd, n, mixed), make(map[string]int, n)
	for i, tag := range g.list {
		g.serial[tag] = i
	}
	key := generatedKeys[g.Order]
	if key == nil {
		key = strangeKeys[g.Order]
	}
	if key != nil {
		g.list = Sorted(g.list, key, g.compare(g.Order))
	}
}

// generatedKeys are what the tags are sorted by at first, by order.
var generatedKeys = map[string]func(tag string) string{
	"bytes":             func(tag string) string { return tag },
	"folded":            strings.ToLower,
	"punctuation first": CollateKey,
	"keys":              s3Key,
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	base32 = lower + "234567"
)

// A draw is of tags for one list.
type draw struct {
	*rand.Rand
	n     int      // tags are wanted
	tries int      // before this one
	tags  []string // so far
	names []string // of packages
}

// word has so many characters.
func (d *draw) word(alphabet string, length int) string {
	b := make([]byte, length)
	for i := range b {
		b[i] = alphabet[d.IntN(len(alphabet))]
	}
	return string(b)
}

func (d *draw) of(words ...string) string { return pick(d.Rand, words) }

// Kinds of tags.
var (
	generatedKinds = []func(d *draw) string{
		func(d *draw) string { // packages
			if d.tries%7 == 0 || len(d.names) == 0 {
				d.names = append(d.names, d.word(lower, 2+d.IntN(8)))
			}
			return fmt.Sprintf("%s-%d.%d-%s", d.of(d.names...), d.IntN(10), d.IntN(20), d.word(base32, 6))
		},
		func(d *draw) string { // anything
			return d.word("abcxyzABCXYZ0189_", 1) + d.word("abcxyzABCXYZ0189_-.", d.IntN(8))
		},
		func(d *draw) string { // versions, and what is made of them
			return fmt.Sprintf("%s%d.%d", d.of("", "v", "V", "release-"), d.IntN(40), d.IntN(30)) + d.of("", "", "-alpine", "-RC1", ".1", "_x")
		},
		func(d *draw) string { // numbers
			return strconv.Itoa(d.IntN(20 * (d.n + 1)))
		},
		func(d *draw) string { // mixed case
			return d.word(lower+strings.ToUpper(lower), 1+d.IntN(6))
		},
	}

	// What stands in a list beside others.
	moreGeneratedKinds = []func(d *draw) string{
		func(d *draw) string { // signatures, as cosign names them
			return "sha256-" + d.word("0123456789abcdef", 64) + d.of("", ".sig", ".sig", ".att", ".sbom")
		},
		func(d *draw) string { // builds of a day
			return fmt.Sprintf("%s20%02d%02d%02d", d.of("nightly-", "Nightly_", "build.", "dev-", ""), 15+d.IntN(12), 1+d.IntN(12), 1+d.IntN(28)) + d.of("", "", "-1", ".2", "_amd64")
		},
		func(d *draw) string { // branches
			return d.of("main", "develop", "feature-login", "Feature_Login", "fix", "renovate-x", "PR", "pr") + d.of("-", "_", ".", "") + strconv.Itoa(d.IntN(2000))
		},
		func(d *draw) string { // commits
			return d.word("0123456789abcdef", 7)
		},
		func(d *draw) string { // one long beginning
			return "linux-ubuntu22.04-x86_64_v3-gcc-12.3.0-" + d.word(lower, 3+d.IntN(5)) + "-" + d.word(base32, 8)
		},
		func(d *draw) string { // another one, and something behind it
			if len(d.tags) == 0 {
				return "latest"
			}
			tag := d.of(d.tags...)
			return tag[:min(len(tag), 100)] + d.of("-debug", "_rc", ".0", "-arm64", "a", "0", "-", ".", "_")
		},
	}
)

// generatedTags draws n tags of a kind, or of up to four.
func generatedTags(rnd *rand.Rand, n int, mixed bool) []string {
	kinds := []func(*draw) string{pick(rnd, generatedKinds)}
	if mixed {
		kinds[0] = pick(rnd, moreGeneratedKinds)
		for range rnd.IntN(4) {
			kinds = append(kinds, pick(rnd, slices.Concat(generatedKinds, moreGeneratedKinds)))
		}
	}
	seen := map[string]bool{}
	d := &draw{Rand: rnd, n: n, tags: make([]string, 0, n)}
	for ; len(d.tags) < n; d.tries++ {
		kind := kinds[0]
		if len(kinds) > 1 {
			kind = pick(rnd, kinds)
		}
		tag := kind(d)
		if d.tries > 20*n+100 {
			tag += fmt.Sprint("_", d.tries) // there are no more of them
		}
		if !seen[tag] {
			seen[tag] = true
			d.tags = append(d.tags, tag)
		}
	}
	return d.tags
}

func (g *Generated) compare(order string) func(a, b string) int {
	switch order {
	case "bytes":
		return strings.Compare
	case "folded":
		return func(a, b string) int {
			if c := fold(a, b); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		}
	case "punctuation first":
		return Collate
	case "keys":
		return s3Keys
	}
	newKey := strangeKeys[order]
	if newKey == nil {
		return nil
	}
	key := func(tag string) string {
		known, ok := g.keys[[2]string{order, tag}]
		if !ok {
			known = newKey(tag)
			g.keys[[2]string{order, tag}] = known
		}
		return known
	}
	return func(a, b string) int { return strings.Compare(key(a), key(b)) }
}

func (g *Generated) String() string {
	form := g.Form
	if g.Param != "" || g.LinkN != "" || g.Beside != "" {
		form += fmt.Sprintf(", cursor as %s, n %s, besides %s", cmp.Or(g.Param, "last"), cmp.Or(g.LinkN, "of the page"), cmp.Or(g.Beside, "nothing"))
	}
	text := fmt.Sprintf("default %d, max %d (%s), Link %s (%s), order %s, cursor %s, last %s, %d tags", g.Default, g.Max, g.Over, g.Links, form, g.Order, g.Cursor, g.Last, len(g.list))
	if g.Overlap > 0 {
		text += fmt.Sprintf(", pages overlap by %d", g.Overlap)
	}
	if g.Within != "" {
		text += ", within pages " + g.Within
	}
	if g.hidden != nil {
		hidden := 0
		for _, is := range g.hidden {
			if is {
				hidden++
			}
		}
		text += fmt.Sprintf(", %d hidden (Link names others: %t), again %t, junk %s, varying %t", hidden, g.seenLast, g.again, g.junk, g.varying)
	}
	return text
}

// Stable returns the tags that exist throughout, sorted.
func (g *Generated) Stable() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	tags := slices.DeleteFunc(slices.Clone(g.list), func(tag string) bool { return g.moving[tag] || g.hidden[tag] })
	slices.Sort(tags)
	return slices.Compact(tags)
}

// Tiny reports whether a page may have so few tags that all of them may have moved
// when the next one is asked for.
func (g *Generated) Tiny() bool {
	return g.Default > 0 && g.Default < 8 || g.Max > 0 && g.Max < 8
}

// Reset forgets what was asked.
func (g *Generated) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked, g.wrong, g.how, g.last = 0, 0, "", ""
}

// Asked returns how many requests there were.
func (g *Generated) Asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

// Most ends the server after so many requests.
func (g *Generated) Most(requests int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = requests
}

// Exhausted reports whether more were asked.
func (g *Generated) Exhausted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most > 0 && g.asked > g.most
}

// GeneratedFaults are the ways in which one request can go wrong.
var GeneratedFaults = []string{"408", "425", "429", "499", "500", "502", "503", "504", "522", "drop", "cut", "cut", "cut in another order", "cut from a replica that lags"}

// Fail lets the k-th request go wrong.
func (g *Generated) Fail(k int, how string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong, g.how = k, how
}

// Move lets tags be deleted and pushed again while the server is asked: a part of
// those that it has, and mostly the one that is the next cursor.
func (g *Generated) Move() {
	g.moving = map[string]bool{}
	for _, tag := range g.list {
		if g.rnd.IntN(3) == 0 {
			g.moving[tag] = true
		}
	}
}

// Burst is like Move, for many tags at a time, as jobs push and delete them.
func (g *Generated) Burst() {
	g.moving, g.bursts = map[string]bool{}, true
	for i := 0; i < len(g.list); {
		to := min(len(g.list), i+1+g.rnd.IntN(len(g.list)/4+1))
		for _, tag := range g.list[i:to] {
			g.moving[tag] = to%2 == 0
		}
		i = to
	}
	g.leave(func(_ int, tag string) bool { return g.moving[tag] && g.rnd.IntN(3) == 0 })
}

// leave deletes some tags for a while.
func (g *Generated) leave(which func(at int, tag string) bool) {
	stay := make([]string, 0, len(g.list))
	for i, tag := range g.list {
		if which(i, tag) {
			g.away = append(g.away, tag)
		} else {
			stay = append(stay, tag)
		}
	}
	g.list = stay
}

func (g *Generated) burst() {
	switch g.rnd.IntN(4) {
	case 0:
		g.rnd.Shuffle(len(g.away), func(i, j int) { g.away[i], g.away[j] = g.away[j], g.away[i] })
		for range g.rnd.IntN(len(g.away) + 1) {
			g.push(g.away[0])
			g.away = g.away[1:]
		}
	case 1:
		from := g.rnd.IntN(len(g.list) + 1)
		if at := slices.Index(g.list, g.last); at >= 0 && g.rnd.IntN(3) > 0 {
			from = at - g.rnd.IntN(20) // the next cursor, and those around it
		}
		to := from + 1 + g.rnd.IntN(300)
		g.leave(func(at int, tag string) bool { return from <= at && at < to && g.moving[tag] })
	}
}

// Settle ends what Move or Burst began, and brings back what is away.
func (g *Generated) Settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, tag := range g.away {
		g.push(tag)
	}
	g.away, g.moving = nil, nil
}

func (g *Generated) push(tag string) {
	compare := g.compare(g.Order)
	at := len(g.list)
	switch {
	case compare != nil:
		at, _ = slices.BinarySearchFunc(g.list, tag, compare)
	case g.Order == "random" && at > 0:
		at = g.rnd.IntN(at + 1)
	}
	g.list = slices.Insert(g.list, at, tag)
	g.serial[tag] = len(g.serial)
	g.serial[fmt.Sprint("push ", len(g.serial))] = 0 // the next one is greater
}

func (g *Generated) move() {
	if g.moving == nil {
		return
	}
	if g.bursts {
		g.burst()
		return
	}
	for range g.rnd.IntN(4) {
		if len(g.away) > 0 && g.rnd.IntN(2) == 0 {
			g.push(g.away[0])
			g.away = g.away[1:]
			continue
		}
		if len(g.list) == 0 {
			return
		}
		i := g.rnd.IntN(len(g.list))
		if at := slices.Index(g.list, g.last); at >= 0 && g.rnd.IntN(3) > 0 {
			i = max(0, at-g.rnd.IntN(2)*g.rnd.IntN(3)) // the next cursor, or one before it
		}
		if tag := g.list[i]; g.moving[tag] {
			g.list = slices.DeleteFunc(g.list, func(other string) bool { return other == tag })
			if g.rnd.IntN(2) == 0 {
				g.push(tag) // again, at once
			} else {
				g.away = append(g.away, tag)
			}
		}
	}
}

// RoundTrip implements http.RoundTripper.
func (g *Generated) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked++; g.most > 0 && g.asked > g.most {
		return &http.Response{StatusCode: 410, Header: http.Header{}, Request: req, Body: http.NoBody}, nil
	}
	g.move()
	resp := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req, Body: http.NoBody}
	if g.asked == g.wrong {
		if status, err := strconv.Atoi(g.how); err == nil {
			resp.StatusCode = status
			return resp, nil
		}
		if g.how == "drop" {
			return nil, errors.New("connection reset by peer")
		}
	}
	if req.URL.Host != g.Host || req.URL.Path != "/v2/"+g.Name+"/tags/list" {
		resp.StatusCode = 404
		return resp, nil
	}
	list := g.list
	cut := g.asked == g.wrong
	if cut {
		switch g.how {
		case "cut in another order":
			list = slices.Clone(list)
			g.rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		case "cut from a replica that lags":
			list = slices.Clone(list)
			for range min(len(list), 1+g.rnd.IntN(20)) {
				i := g.rnd.IntN(len(list))
				list = slices.Delete(list, i, i+1)
			}
		}
	}
	page, link, status := g.answer(list, req.URL.Query())
	if status != 200 {
		resp.StatusCode = status
		resp.Body = io.NopCloser(strings.NewReader(`{"errors":[{"code":"UNSUPPORTED","message":"no"}]}`))
		return resp, nil
	}
	if link != "" {
		resp.Header.Set("Link", link)
	}
	if len(page) > 0 {
		g.last = page[len(page)-1]
	}
	body := g.body(page)
	if cut {
		body = body[:g.rnd.IntN(len(body))]
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{}))
		return resp, nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (g *Generated) body(page []string) []byte {
	if len(page) == 0 && g.Null {
		return []byte(`{"name":"` + g.Name + `","tags":null}`)
	}
	b := append(make([]byte, 0, 64+32*len(page)), `{"name":"`+g.Name+`","tags":[`...)
	for i, tag := range page {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, tag...)
		b = append(b, '"')
		if g.junk != "" && g.has(tag, 1, 5) {
			b = append(b, ',')
			if g.junk == twice {
				b = fmt.Appendf(b, "%q", tag)
			} else {
				b = append(b, g.junk...)
			}
		}
	}
	return append(b, ']', '}')
}

// answer returns the page of list that a query asks for.
func (g *Generated) answer(list []string, query url.Values) (page []string, link string, status int) {
	size, asked := g.Default, 0
	if text := query.Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, "", 400
		}
		if asked = n; n > 0 { // 0 is the default, as at GitLab and ghcr.io
			size = n
		}
		if g.Max > 0 && n > g.Max {
			switch g.Over {
			case "clamp":
				size = g.Max
			case "all":
				size = 0
			case "default":
				size = g.Default
			case "empty", "null":
				return nil, "", 200
			default:
				status, _ = strconv.Atoi(g.Over)
				return nil, "", status
			}
		}
	}
	rest := list
	if cursor := g.given(query); cursor != "" {
		if rest, status = g.rest(list, cursor); status != 200 {
			return nil, "", status
		}
	}
	page = rest
	switch {
	case size > 3 && g.varying && len(rest) > 0 && g.has(rest[0], 1, 2):
		page = rest[:g.fit(rest, 2+size/2)]
	case size > 0:
		page = rest[:g.fit(rest, size)]
	}
	var has bool
	switch g.Links {
	case "more":
		has = len(page) < len(rest)
	case "asked":
		has = len(page) == asked
	case "effective":
		has = size > 0 && len(page) == size
	case "always":
		has = len(page) > 0
	}
	if has && len(page) > 0 {
		from := g.named(page)
		link = g.link(g.cursor(list, len(list)-len(rest)+len(page), from), from[len(from)-1], asked, size)
	}
	return g.within(g.visible(page)), link, 200
}

// within returns the tags of a page in the order in which they are sent.
func (g *Generated) within(page []string) []string {
	if g.Within == "" {
		return page
	}
	page = slices.Clone(page)
	switch g.Within {
	case "reversed":
		slices.Reverse(page)
	case "age":
		slices.SortFunc(page, func(a, b string) int { return g.serial[a] - g.serial[b] })
	default:
		g.rnd.Shuffle(len(page), func(i, j int) { page[i], page[j] = page[j], page[i] })
	}
	return page
}

// named returns a page up to the tag that its Link names.
func (g *Generated) named(page []string) []string {
	if seen := g.visible(page); g.seenLast && len(seen) > 0 {
		page = seen
	}
	if g.Overlap > 0 && len(page) > 2*g.Overlap {
		page = page[:len(page)-g.Overlap]
	}
	return page
}

// given returns the cursor of a query; "": none that is looked at.
func (g *Generated) given(query url.Values) string {
	if cursor := query.Get(g.Param); g.Param != "" && cursor != "" {
		return cursor
	}
	last := query.Get("last")
	if g.Last == "any" || g.Last == "with n" && query.Has("n") || g.Last == "without n" && !query.Has("n") || g.cursorOf(last) {
		return last
	}
	return ""
}

// fit returns how many tags make a page of so many entries.
func (g *Generated) fit(tags []string, size int) int {
	if g.junk == "" {
		return min(size, len(tags))
	}
	for i, tag := range tags {
		if size--; !g.hidden[tag] && g.has(tag, 1, 5) {
			size--
		}
		if size < 0 && i > 0 {
			return i
		}
	}
	return len(tags)
}

// visible returns the tags of a page that the user may see.
func (g *Generated) visible(page []string) []string {
	if g.hidden == nil {
		return page
	}
	return slices.DeleteFunc(slices.Clone(page), func(tag string) bool { return g.hidden[tag] })
}

const tokenStart = "an-opaque-token-that-nobody-takes-for-a-tag/"

// cursorOf reports whether a cursor is one that the server made: it is looked at
// in each request.
func (g *Generated) cursorOf(last string) bool {
	if g.Links == "never" {
		return false
	}
	_, offset := strconv.Atoi(last)
	return (g.Cursor == "token" && strings.Contains(last, "/") || g.Cursor == "offset" && offset == nil)
}

func (g *Generated) cursor(list []string, place int, page []string) string {
	switch g.Cursor {
	case "token":
		tag := page[len(page)-1]
		return tokenStart + base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%s/%d", tag, g.serial[tag])))
	case "offset":
		return strconv.Itoa(place)
	}
	return page[len(page)-1]
}

// lastIndex returns where a tag stands for the last time; -1: it does not.
func lastIndex(list []string, tag string) int {
	i := slices.Index(list, tag)
	for i >= 0 && i+1 < len(list) && list[i+1] == tag {
		i++
	}
	return i
}

// rest returns what comes after a cursor.
func (g *Generated) rest(list []string, last string) ([]string, int) {
	kind := g.Cursor
	switch kind {
	case "token":
		text, ok := strings.CutPrefix(last, tokenStart)
		if !ok {
			return nil, 405
		}
		raw, _ := base64.RawURLEncoding.DecodeString(text)
		last, age, _ := strings.Cut(string(raw), "/")
		if i := lastIndex(list, last); i >= 0 && g.Order == "random" {
			return list[i+1:], 200
		}
		serial, _ := strconv.Atoi(age)
		var rest []string
		for _, tag := range list {
			if compare := g.compare(g.Order); compare != nil && compare(tag, last) > 0 || g.Order == "age" && g.serial[tag] > serial {
				rest = append(rest, tag)
			}
		}
		return rest, 200
	case "offset":
		i, _ := strconv.Atoi(last) // what is not a number is 0
		return list[min(max(0, i), len(list)):], 200
	}
	if i := lastIndex(list, last); i >= 0 && (kind == "404" || kind == "start" || kind == "end" || kind == "value") {
		if g.again {
			return list[i:], 200
		}
		return list[i+1:], 200
	}
	switch kind {
	case "404":
		return nil, 404
	case "start":
		return list, 200
	case "end":
		return nil, 200
	case "value":
		kind = g.Order
	}
	compare := g.compare(kind)
	isBefore := func(tag string) bool { return compare(tag, last) <= 0 }
	from := 0
	for from < len(list) && isBefore(list[from]) {
		from++
	}
	rest := list[from:]
	if slices.ContainsFunc(rest, isBefore) {
		rest = slices.DeleteFunc(slices.Clone(rest), isBefore)
	}
	return rest, 200
}

// beside is what a Link has besides its cursor and its n.
func (g *Generated) beside(tag string) string {
	switch g.Beside {
	case "constant":
		return "&ns=" + g.Host
	case "changing":
		return "&key=" + base64.RawURLEncoding.EncodeToString([]byte(tag))
	case "last":
		return "&last=" + url.QueryEscape(tag)
	}
	return ""
}

func (g *Generated) link(cursor, tag string, asked, size int) string {
	path := "/v2/" + g.Name + "/tags/list"
	last, n := cmp.Or(g.Param, "last")+"="+url.QueryEscape(cursor), ""
	if g.LinkN == "left out" {
		asked = 0
	}
	if asked > 0 && g.Last != "without n" || g.Last == "with n" && size > 0 {
		if size == 0 {
			size = asked
		}
		if g.Max > 0 {
			size = min(size, g.Max)
		}
		if g.LinkN == "as asked" && asked > 0 {
			size = asked
		}
		n = "&n=" + strconv.Itoa(size)
	}
	last += g.beside(tag)
	target, rel := path+"?"+last+n, `>; rel="next"`
	switch g.Form {
	case "absolute":
		target = "https://" + g.Host + target
	case "http":
		target = "http://" + g.Host + target
	case "query":
		target = "?" + last + n
	case "n first":
		if n != "" {
			target = path + "?" + n[1:] + "&" + last
		}
	case "unquoted":
		rel = ">;rel=next"
	case "no brackets":
		return "https://" + g.Host + target + "; rel=next"
	case "two":
		return `<` + path + `>; rel="first", <` + target + rel
	case "n=0":
		if n == "" {
			target += "&n=0"
		}
	case "prefix":
		target = "/repository/docker" + target
	case "orderby":
		target += "&orderby="
	case "no rel":
		rel = ">"
	case "odd rel":
		rel = pick(g.rnd, []string{">; rel='next'", ">; rel=“next”", ">; rel:next", ">; rel=next>", `>; "rel"="next"`, ">; rel*=UTF-8''next", `>; rel="prev"; rel="next"`})
	}
	return "<" + target + rel
}
