package split

import (
	"cmp"
	"encoding/base32"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ocitags/ocitags/internal/regtest"
)

// A shape makes n tags, in no order and without duplicates.
type shape struct {
	name string
	make func(rnd *rand.Rand, n int) []string
}

var shapes = []shape{
	{"spack", spack},
	{"sha256", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string {
			return fmt.Sprintf("sha256-%016x%016x%016x%016x.sig", rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64())
		})
	}},
	{"semver", semver},
	{"date", func(rnd *rand.Rand, n int) []string { // builds of ten years, more and more of them
		from, years := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC), 10*365*24*time.Hour
		return distinct(n, func(int) string {
			at := from.Add(time.Duration(math.Sqrt(rnd.Float64()) * float64(years)))
			return at.Format("nightly-20060102-150405")
		})
	}},
	{"sequence", func(_ *rand.Rand, n int) []string {
		return distinct(n, func(i int) string { return fmt.Sprintf("build-%07d", i+1) })
	}},
	{"one package", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string { return "zlib-1.3.1-" + base32hash(rnd) + ".spack" })
	}},
	{"mix", nil},
}

// mixed is the shape that needs the others.
const mixed = 6

func init() { shapes[mixed].make = mix }

func mix(rnd *rand.Rand, n int) []string {
	var tags []string
	for i, s := range shapes[:mixed] {
		tags = append(tags, s.make(rnd, n*(i+1)/6-n*i/6)...)
	}
	return tags
}

func distinct(n int, next func(i int) string) []string {
	seen := make(map[string]bool, n)
	tags := make([]string, 0, n)
	for i := 0; len(tags) < n; i++ {
		if tag := next(i); !seen[tag] {
			seen[tag] = true
			tags = append(tags, tag)
		}
	}
	return tags
}

func base32hash(rnd *rand.Rand) string {
	var b [20]byte
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return lowerBase32.EncodeToString(b[:])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// spack is a build cache: packages with a few versions and many hashes, a third
// of them named after a language.
func spack(rnd *rand.Rand, n int) []string {
	syllables := strings.Fields("ar bin bo cal cmake com con core cu data de en fast fft flow geo git gl go graph gtk hdf hyp in io kit lib lin lua mag mat mesh mpi na net num open p4 par pe pro py qt ra re ro s2 sci sh sim sol spec sp sql sy tk tool tra uni ut vis x11 xml yaml z")
	var names []string
	for range max(8, n/150) {
		name := ""
		for range 1 + rnd.IntN(3) {
			name += syllables[rnd.IntN(len(syllables))]
		}
		name = []string{"", "", "", "", "", "", "py-", "py-", "r-", "perl-"}[rnd.IntN(10)] + name
		for range 1 + rnd.IntN(4) {
			names = append(names, fmt.Sprintf("%s-%d.%d.%d", name, rnd.IntN(12), rnd.IntN(20), rnd.IntN(9)))
		}
	}
	zipf := rand.NewZipf(rnd, 1.2, 20, uint64(len(names)-1))
	rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return distinct(n, func(int) string { return names[zipf.Uint64()] + "-" + base32hash(rnd) + ".spack" })
}

// semver is a product with releases, release candidates and flavours.
func semver(rnd *rand.Rand, n int) []string {
	flavours := strings.Fields("alpine bookworm slim windowsservercore debug arm64 amd64 rc1 rc2 beta.1 nonroot")
	return distinct(n, func(int) string {
		tag := fmt.Sprintf("%d.%d.%d", int(rnd.ExpFloat64()*4), rnd.IntN(30), int(rnd.ExpFloat64()*float64(3+n/3000)))
		if rnd.IntN(3) == 0 {
			tag = "v" + tag
		}
		for rnd.IntN(2) == 0 {
			tag += "-" + flavours[rnd.IntN(len(flavours))]
		}
		return tag
	})
}

// A model is a server's way to page: which list it has, and what it answers.
type model struct {
	name string
	list func(tags []string) []string

	// after is the list after a cursor; false: it is refused.
	after func(list []string, last string) (rest []string, ok bool)

	// cursor is what the next page's link has; nil: its last tag.
	cursor func(list []string, from int) string

	// lossy says that a page by page listing loses tags, sooner or later.
	lossy bool
	caps  bool // the size of a page is its own, and changes
	whole bool // all comes in one page
}

var models = []model{
	{name: "by bytes", list: regtest.Bytewise, after: behind(strings.Compare)},
	{name: "folded", list: sortedBy(strings.ToLower, foldedCompare), after: behind(foldedCompare)},
	{name: "ICU", list: sortedBy(regtest.CollateKey, regtest.Collate), after: behind(regtest.Collate)},
	{name: "glibc", list: sortedBy(glibcKey, glibc), after: behind(glibc)},
	{name: "must exist", list: regtest.Bytewise, after: found(refuse)},
	{name: "token", list: scattered, after: token(refuse), cursor: tokenAt},
	{name: "sorted, token", list: regtest.Bytewise, after: token(refuse), cursor: tokenAt},
	{name: "token or the start", list: regtest.Bytewise, after: token(start), cursor: tokenAt},
	{name: "unknown gives the start", list: regtest.Bytewise, after: found(start)},
	{name: "unknown gives the end", list: regtest.Bytewise, after: found(end)},
	{name: "unknown drops one", list: regtest.Bytewise, after: dropsOne},
	{name: "insertion", list: asPushed, after: found(start)},
	{name: "insertion, unknown gives the end", list: asPushed, after: found(end)},
	{name: "insertion, compared", list: asPushed, after: greater(strings.Compare), lossy: true},
	{name: "offset", list: regtest.Bytewise, after: offset, cursor: func(_ []string, from int) string { return strconv.Itoa(from) }},
	{name: "wraps past the end", list: regtest.Bytewise, after: wraps},
	{name: "ignores n and last", list: regtest.Bytewise, after: func(list []string, _ string) ([]string, bool) { return list, true }, whole: true},
	{name: "keys of S3", list: sortedBy(func(tag string) string { return tag + "/" }, s3), after: greater(strings.Compare), lossy: true},
	{name: "case twins", list: sortedBy(strings.ToLower, foldedCompare), after: greater(strictFold), lossy: true},
	{name: "caps that change", list: regtest.Bytewise, after: behind(strings.Compare), caps: true},
	{name: "caps that change, ICU", list: sortedBy(regtest.CollateKey, regtest.Collate), after: behind(regtest.Collate), caps: true},
}

func sortedBy(key func(tag string) string, compare func(a, b string) int) func([]string) []string {
	return func(tags []string) []string { return regtest.Sorted(tags, key, compare) }
}

func asPushed(tags []string) []string { return slices.Clone(tags) }

func scattered(tags []string) []string {
	hash := func(s string) string { h := fnv.New64a(); _, _ = h.Write([]byte(s)); return string(h.Sum(nil)) }
	return regtest.Sorted(tags, hash, strings.Compare)
}

// greater filters by value.
func greater(compare func(a, b string) int) func([]string, string) ([]string, bool) {
	return func(list []string, last string) ([]string, bool) {
		var rest []string
		for _, tag := range list {
			if compare(tag, last) > 0 {
				rest = append(rest, tag)
			}
		}
		return rest, true
	}
}

// behind is greater for a list in the same order.
func behind(compare func(a, b string) int) func([]string, string) ([]string, bool) {
	return func(list []string, last string) ([]string, bool) {
		return list[sort.Search(len(list), func(i int) bool { return compare(list[i], last) > 0 }):], true
	}
}

func found(unknown func([]string, string) ([]string, bool)) func([]string, string) ([]string, bool) {
	return func(list []string, last string) ([]string, bool) {
		if i := slices.Index(list, last); i >= 0 {
			return list[i+1:], true
		}
		return unknown(list, last)
	}
}

func refuse([]string, string) ([]string, bool)       { return nil, false }
func start(list []string, _ string) ([]string, bool) { return list, true }
func end([]string, string) ([]string, bool)          { return nil, true }
func tokenAt(_ []string, from int) string            { return fmt.Sprintf("token %d", from) }
func strictFold(a, b string) int                     { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }
func s3(a, b string) int                             { return strings.Compare(a+"/", b+"/") }
func foldedCompare(a, b string) int                  { return cmp.Or(strictFold(a, b), strings.Compare(a, b)) }

func token(unknown func([]string, string) ([]string, bool)) func([]string, string) ([]string, bool) {
	return func(list []string, last string) ([]string, bool) {
		var from int
		if _, err := fmt.Sscanf(last, "token %d", &from); err != nil {
			return unknown(list, last)
		}
		return list[from:], true
	}
}

// offset is Artifactory up to 7.46: last is a number, and anything else is 0.
func offset(list []string, last string) ([]string, bool) {
	from, _ := strconv.Atoi(last)
	return list[min(max(from, 0), len(list)):], true
}

// dropsOne is distribution 3.0.0, which skips the first tag after a last that
// is not there.
func dropsOne(list []string, last string) ([]string, bool) {
	i, ok := slices.BinarySearch(list, last)
	if !ok || i < len(list) {
		i++
	}
	return list[min(i, len(list)):], true
}

// wraps is go-containerregistry's registry, which begins anew past the end.
func wraps(list []string, last string) ([]string, bool) {
	i := slices.IndexFunc(list, func(tag string) bool { return tag > last })
	return list[max(i, 0):], true
}

var unpunctuated = strings.NewReplacer("_", "", "-", "", ".", "")

// glibc compares as its locales did before 2.28: punctuation only where all
// else is the same.
func glibc(a, b string) int {
	return cmp.Or(strings.Compare(glibcKey(a), glibcKey(b)), -strings.Compare(unpunctuated.Replace(a), unpunctuated.Replace(b)), strings.Compare(a, b))
}

func glibcKey(tag string) string { return strings.ToLower(unpunctuated.Replace(tag)) }
