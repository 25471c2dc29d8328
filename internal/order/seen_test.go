package order

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// read is what is seen of a list whose pages have n tags, where the registry goes
// on with what rest says.
func read(list []string, n int, rest func(last string) []string) *Seen {
	s := New()
	last := ""
	var before []string
	for rests := list; len(rests) > 0; rests = rest(last) {
		page := rests[:min(n, len(rests))]
		s.Page(last)
		for _, tag := range page {
			s.Add(tag)
		}
		if last != "" {
			s.Boundary(last, before, page)
		}
		before = append(before, page...)
		last = page[len(page)-1]
		if len(before) > 10*len(list) {
			break
		}
	}
	return &s
}

func greater(list []string, compare func(a, b string) int) func(last string) []string {
	return func(last string) (rest []string) {
		for _, tag := range list {
			if compare(tag, last) > 0 {
				rest = append(rest, tag)
			}
		}
		return rest
	}
}

func behind(list []string) func(last string) []string {
	return func(last string) []string { return list[slices.Index(list, last)+1:] }
}

func sorted(list []string, compare func(a, b string) int) []string {
	return slices.SortedStableFunc(slices.Values(list), compare)
}

func words(alphabet string, n int) (list []string) {
	rnd := rand.New(rand.NewPCG(1, 1))
	seen := map[string]bool{}
	for len(list) < n {
		b := make([]byte, 1+rnd.IntN(6))
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		if !seen[string(b)] {
			seen[string(b)] = true
			list = append(list, string(b))
		}
	}
	return list
}

const lowerCase = "abcdefghijklmnopqrstuvwxyz"

func TestSeen(t *testing.T) {
	mixed := words(lowerCase+strings.ToUpper(lowerCase), 1000)
	lowers := words(lowerCase, 1000)
	byBytes := Known[0].Compare
	byFold := func(a, b string) int {
		if c := Known[1].Compare(a, b); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	}
	pairs := []string{"u", "u-1", "v", "v.1", "w", "x-1", "x-2"}
	hidden := []string{"s", "t", "u-1", "v", "w"}
	for _, test := range []struct {
		name                                           string
		list                                           []string
		rest                                           func(list []string) func(last string) []string
		sorted, byKeys, looksUp, disagrees, isUnproven bool
	}{
		{"lower case, by bytes", sorted(lowers, byBytes), func(l []string) func(string) []string { return greater(l, byBytes) }, true, false, false, false, false},
		{"mixed case, by bytes", sorted(mixed, byBytes), func(l []string) func(string) []string { return greater(l, byBytes) }, true, false, false, false, false},
		{"mixed case, folded", sorted(mixed, byFold), func(l []string) func(string) []string { return greater(l, byFold) }, true, false, false, false, true}, // twins
		{"sorted folded, cut by bytes", sorted(mixed, byFold), func(l []string) func(string) []string { return greater(l, byBytes) }, false, false, false, true, false},
		{"sorted by bytes, cut folded", sorted(mixed, byBytes), func(l []string) func(string) []string { return greater(l, byFold) }, false, false, false, true, false},
		{"by age", mixed, behind, false, false, true, false, false},
		{"object keys, shown", sorted(append(slices.Clone(pairs), "v-2"), compareKeys), func(l []string) func(string) []string { return greater(l, byBytes) }, false, true, false, true, true},
		{"object keys, excluded", pairs, func(l []string) func(string) []string { return greater(l, byBytes) }, true, false, false, false, false},
		{"object keys, hidden", hidden, func(l []string) func(string) []string { return greater(l, byBytes) }, true, false, false, false, true},
	} {
		s := read(test.list, max(3, len(test.list)/7), test.rest(test.list))
		assert.Equal(t, test.sorted, s.Sorted(), "%s: sorted", test.name)
		assert.Equal(t, test.byKeys, s.ByKeys(), "%s: by keys", test.name)
		assert.Equal(t, test.looksUp, s.LooksUp(), "%s: looks up", test.name)
		assert.Equal(t, test.disagrees, s.Disagrees(), "%s: disagrees", test.name)
		assert.Equal(t, test.isUnproven, s.Unproven(), "%s: unproven", test.name)
	}
}

// What other pages show of a list counts as if it had been read in its place, but that they
// do not tell of a registry which looks for the place of last.
func TestJoin(t *testing.T) {
	list := []string{"F1", "N2", "P3", "p2", "r4"} // by bytes, and not folded
	read := func(tags ...string) *Seen {
		s := New()
		s.Page("")
		for _, tag := range tags {
			s.Add(tag)
		}
		return &s
	}
	other := New()
	other.Aside("o", list[2:]) // but by bytes, P3 comes before o
	s := read(list[:3]...)
	s.Join(other)
	assert.True(t, s.Sorted())
	assert.True(t, s.Disagrees(), "the list is sorted by bytes, and compared with case folded")
	doubt, ok := s.Doubt()
	assert.False(t, ok, "nothing is in doubt: %v", doubt)

	other.Aside("z", list[:1]) // by no order
	s = read(list[:3]...)
	s.Join(other)
	assert.False(t, s.LooksUp())
	assert.True(t, s.Disagrees())

	other = New()
	other.Aside("", []string{"c", "b"})
	s = read("a", "b")
	s.Join(other)
	assert.False(t, s.Sorted())
	assert.Equal(t, [2]string{"c", "b"}, s.Inversion)
}

// A cursor that no page shows tells how the registry compares, unless none of the orders has it
// before what comes after it.
func TestHidden(t *testing.T) {
	read := func() *Seen {
		s := New()
		s.Page("")
		for _, tag := range []string{"1", "B1", "B2"} {
			s.Add(tag)
		}
		return &s
	}
	s := read()
	assert.False(t, s.MayDisagree())
	s.Hidden("C", []string{"1", "B1", "B2"}, []string{"D", "c"})
	assert.True(t, s.MayDisagree())
	assert.False(t, s.Folds())
	s.Hidden("o", []string{"D", "c"}, []string{"P", "p"})
	assert.True(t, s.Folds())

	s = read()
	s.Hidden("C", []string{"1", "B1", "B2"}, []string{"A"})
	assert.False(t, s.MayDisagree(), "the cursor is something else")
	s.Hidden("C", []string{"1", "B1", "B2"}, nil)
	assert.True(t, s.MayDisagree(), "nothing comes after it")
}

func TestAscending(t *testing.T) {
	s := New()
	s.Page("b")
	assert.False(t, s.Add("b"))
	assert.True(t, s.Add("b-1"))
	assert.True(t, s.Add("b-10"))
	assert.False(t, s.Add("b-10"))
	assert.True(t, s.Add("c"))
	assert.True(t, s.Add("d"))
	assert.False(t, s.Add("D"))
	assert.True(t, s.Add("E"))
	assert.False(t, s.Add("C"), "in no order")
	assert.True(t, s.Add("F"), "whatever order the list is in")
}

func TestBetween(t *testing.T) {
	s := New()
	s.Page("")
	for _, tag := range []string{"a-1", "a", "b"} { // by object keys
		s.Add(tag)
	}
	assert.False(t, s.Sorted())
	assert.True(t, s.Between("b", "c-1", "c"))
	assert.True(t, s.Between("b", "c", ""))
	assert.True(t, s.Between("", "c", "d"))
	assert.False(t, s.Between("b", "c", "c-1"))
	assert.False(t, s.Between("b", "a", ""))
}

func TestInversion(t *testing.T) {
	s := New()
	s.Page("")
	for _, tag := range []string{"a", "c", "b", "a"} {
		s.Add(tag)
	}
	assert.Equal(t, [2]string{"c", "b"}, s.Inversion)
	assert.False(t, s.Sorted())
	assert.False(t, s.Disagrees(), "no page was asked for after a tag")
}

func TestFollows(t *testing.T) {
	s := New()
	s.Page("")
	for _, tag := range []string{"a", "B", "c"} { // not by bytes
		s.Add(tag)
	}
	assert.True(t, s.Follows("c", "c"))
	assert.True(t, s.Follows("c", "D"))
	assert.False(t, s.Follows("c", "B"))
	page := s
	page.Page("c")
	page.Add("A")
	s.Rejected(page)
	assert.True(t, s.LooksUp(), "no registry that compares says A")
}

// The quick comparison of allowing agrees with that of all orders.
func TestAllowing(t *testing.T) {
	all := words("abAB019_-.", 120)
	for _, a := range all {
		for _, b := range all {
			want := orders(0)
			for i, o := range Known {
				if o.Compare(a, b) <= 0 {
					want |= 1 << i
				}
			}
			got := anyOrder.allowing(a, b)
			assert.Equal(t, want, got&knownOrders, "%q, %q", a, b)
			if got&knownOrders != 0 && got&keyOrder == 0 {
				assert.Positive(t, compareKeys(a, b), "%q, %q", a, b)
			}
		}
	}
}

// "Zz" comes after "z" in a list that does not look at case, and is not what comes
// after it by bytes.
func TestUnprovenBetweenCases(t *testing.T) {
	s := New()
	list := []string{"aRc", "B", "brC", "z", "zeaT"}
	s.Page("")
	for _, tag := range list {
		s.Add(tag)
	}
	s.Page("z")
	s.Add("zeaT")
	s.Boundary("z", list, []string{"zeaT"})
	assert.True(t, s.Unproven())
}

// "0" comes after "_" in a list that has punctuation first, and before it by bytes.
func TestUnprovenBeforeDigits(t *testing.T) {
	s := New()
	s.Page("")
	list := []string{"_a0", "_a2", "_b1"}
	for _, tag := range list {
		s.Add(tag)
	}
	s.Page("_a2")
	s.Add("_b1")
	s.Add("a1")
	s.Boundary("_a2", list, []string{"_b1", "a1"})
	assert.True(t, s.Unproven())
}

// The pair is looked for as long as there is none, and not only where the last
// order is excluded.
func TestInversionComesLater(t *testing.T) {
	s := New()
	s.Page("")
	for _, tag := range []string{"a", "B", "b_1", "b0", "b_2", "x", "c"} {
		s.Add(tag)
	}
	assert.False(t, s.Sorted())
	assert.Equal(t, [2]string{"x", "c"}, s.Inversion)
}

func TestApart(t *testing.T) {
	for want, tags := range map[int]string{0: "a A", 1: "b a", 2: "b A a"} {
		assert.Equal(t, want, Apart(strings.Fields(tags)), tags)
	}
	assert.Zero(t, Apart(nil))
}

// What is left out of an answer narrows the orders by which the registry may
// compare, but never to none.
func TestOmitted(t *testing.T) {
	s := New()
	s.Page("")
	for _, tag := range []string{"a_1", "a-x"} { // punctuation first
		s.Add(tag)
	}
	s.Page("a_1")
	s.Add("b")
	s.Omitted("a_1", "a-x")
	assert.True(t, s.Disagrees())
	s.Omitted("a", "b")
	assert.False(t, s.LooksUp())
}

// It is the order of the keys themselves, without making them.
func TestCompareKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	tag := func() string {
		b := []byte{"aA0_"[rnd.IntN(4)]}
		for range rnd.IntN(4) {
			b = append(b, "aA0_-."[rnd.IntN(6)])
		}
		return string(b)
	}
	for range 100_000 {
		a, b := tag(), tag()
		assert.Equal(t, strings.Compare(a+"/", b+"/"), compareKeys(a, b), "%q, %q", a, b)
	}
	long := strings.Repeat("a", 100)
	longer := long + "-"
	assert.Zero(t, testing.AllocsPerRun(10, func() { compareKeys(long, longer) }))
}

// A list by bytes that is cut with case folded lacks what begins with lower case
// before a cursor in upper case, and shows nothing of it. One question tells, and whether its
// list is folded, too, if the answer is long enough.
func TestProbe(t *testing.T) {
	read := func() Seen {
		s := New()
		first, second := []string{"2024", "Nightly_1", "Nightly_2"}, []string{"Nightly_3", "sha256-0", "zlib"}
		s.Page("")
		for _, tag := range first {
			s.Add(tag)
		}
		s.Page("Nightly_2")
		for _, tag := range second {
			s.Add(tag)
		}
		s.Boundary("Nightly_2", first, second)
		return s
	}
	s := read()
	assert.False(t, s.Unproven())
	require.True(t, s.Probes())

	s.Probed([]string{"sha256-0"}) // the first in lower case
	assert.False(t, s.Probes())
	assert.False(t, s.Unproven(), "it compares by bytes")

	for _, first := range []string{"Nightly_1", "Nightly_0"} { // or another one, if that was deleted
		s = read()
		s.Probed([]string{first})
		assert.True(t, s.Unproven(), "it folds case")
		assert.True(t, s.MayLoseCase())
	}

	s = read()
	s.ComparesBy(Known[1:2])
	assert.True(t, s.Probes(), "it folds case, and the list may or may not")

	s = read()
	s.Probed([]string{"Nightly_1", "Nightly_2", "Nightly_3", "alpha"})
	assert.True(t, s.Disagrees(), "it folds case, and its list does not")
	assert.False(t, s.MayLoseCase())

	s = read()
	s.Probed([]string{"Nightly_1", "Nightly_2", "nightly_2a", "Nightly_3"})
	assert.False(t, s.Disagrees(), "so does its list")
	assert.False(t, s.MayLoseCase())

	for _, first := range [][]string{nil, {"2024"}} { // the start of the list, or whatever it sends
		s = read()
		s.Probed(first)
		assert.False(t, s.Unproven())
		assert.False(t, s.Probes(), "it was asked")
	}

	s = New()
	s.Page("")
	for _, tag := range []string{"2024", "alpha", "beta"} {
		s.Add(tag)
	}
	s.Boundary("alpha", []string{"2024", "alpha"}, []string{"beta"})
	assert.False(t, s.Probes(), "there is one case only")
}

func TestCommonPrefix(t *testing.T) {
	const long = "linux-ubuntu22.04-x86_64_v3"
	for n := range len(long) {
		assert.Equal(t, n, CommonPrefix(long[:n], long))
		assert.Equal(t, n, CommonPrefix(long, long[:n]))
		other := []byte(long)
		other[n] ^= 0x80
		assert.Equal(t, n, CommonPrefix(long, string(other)))
	}
	assert.Equal(t, len(long), CommonPrefix(long, long))
}

// An answer that excludes no order settles nothing, so that the question is not asked again.
func TestAnswerThatSettlesNothing(t *testing.T) {
	s := New()
	d := Doubt{After: "b", before: "a", orders: knownOrders}
	assert.False(t, s.Settle(d, "a"))
	assert.False(t, s.Settle(d, ""))
	d.orders = byBytes
	assert.True(t, s.Settle(d, "a"))
	assert.False(t, s.Settle(d, "a"))
}

// What MayHide rules out is nowhere among all short tags, whatever the two orders.
func TestMayHide(t *testing.T) {
	all := words("aBz09_-.", 200)
	for i := range 5 {
		for j, by := range Known {
			s := New()
			s.list, s.cut = 1<<i, 1<<j
			for _, last := range all[:40] {
				for _, after := range all[40:80] {
					if s.list.allowing(after, last) == 0 || by.Compare(after, last) >= 0 || s.MayHide(last, after) {
						continue
					}
					for _, tag := range all {
						hides := tag != last && s.list.allowing(last, tag) != 0 && by.Compare(tag, after) <= 0
						assert.False(t, hides, "%q behind %q, and not after %q; order %d, compared %s", tag, last, after, i, by.Name)
					}
				}
			}
		}
	}
	s := New()
	s.Page("")
	for _, tag := range []string{"0", "Zlib", "apt"} {
		s.Add(tag)
	}
	assert.False(t, s.MayHide("apt", "0"), "a letter comes after digits in all orders")
	assert.True(t, s.MayHide("apt", "Zlib"), "as does Bash, where case is folded only in the list")
	s.ComparesBy(Known[1:2])
	assert.True(t, s.MayHide("zlib-2", "zlib-1"))
}
