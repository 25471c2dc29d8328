package dedup

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// admitted are those of tags that f lets through; it must not forget.
func admitted(t *testing.T, f *Filter, tags ...string) (fresh []string) {
	t.Helper()
	for batch := range slices.Chunk(tags, 5) {
		n := f.Ascend(batch)
		fresh = append(fresh, batch[:n]...)
		for _, tag := range batch[n:] {
			isNew, ok := f.Admit(tag)
			require.True(t, ok, "%q", tag)
			if isNew {
				fresh = append(fresh, tag)
			}
		}
	}
	return fresh
}

// numbers are tags in the order of their numbers.
func numbers(from, to int) (tags []string) {
	for i := from; i < to; i++ {
		tags = append(tags, fmt.Sprintf("%09d", i))
	}
	return tags
}

func TestAscending(t *testing.T) {
	var f Filter
	assert.Equal(t, []string{"a", "b", "c"}, admitted(t, &f, "a", "b", "b", "c", "c"))
	assert.Nil(t, f.seen, "no set while the tags ascend")
}

func TestOutOfOrder(t *testing.T) {
	var f Filter
	assert.Equal(t, []string{"b", "d", "a", "c"}, admitted(t, &f, "b", "d", "a", "b", "c", "d", "a"))
}

// A try that was cut short may be followed by one with other members, in another
// order: only what was admitted is known.
func TestAnotherTry(t *testing.T) {
	var f Filter
	f.Page(1)
	admitted(t, &f, "a", "b")
	f.Page(1)
	admitted(t, &f, "c", "e")
	f.Page(2)
	assert.Equal(t, []string{"d", "f"}, admitted(t, &f, "c", "d", "e", "f"))
	f.Page(3)
	assert.Equal(t, []string{"bb"}, admitted(t, &f, "f", "bb", "a"))
}

func TestForgetting(t *testing.T) {
	all := numbers(0, 5*Keep)
	old := all[2*Keep]
	var f Filter
	f.Page(1)
	admitted(t, &f, all...)
	assert.LessOrEqual(t, len(f.recent), 2*Keep)
	assert.Equal(t, []string{all[len(all)-1] + "a"}, admitted(t, &f, all[len(all)-1], all[len(all)-1]+"a"), "what is remembered")
	assert.Equal(t, []string{all[len(all)-9] + "a"}, admitted(t, &f, all[len(all)-9]+"a"), "a new one among it")
	_, ok := f.Admit(old)
	require.False(t, ok, "it cannot tell")
	assert.True(t, f.Knows(old))

	known := append(slices.Clone(all[:len(all)-8]), all[len(all)-9]+"a")
	known = append(append(known, all[len(all)-8:]...), all[len(all)-1]+"a")
	slices.Sort(known)
	assert.False(t, f.Restore(known[2:]), "two are gone")
	assert.False(t, f.Restore(append(slices.Clone(known[2:]), "x")), "and another one is there")
	for name, test := range map[string]struct{ now, fresh []string }{
		"one is gone":                  {known[1:], nil},
		"and another is there instead": {append(slices.Clone(known[1:]), "x"), []string{"x"}},
	} {
		g := f
		require.True(t, g.Restore(test.now), name)
		assert.Equal(t, test.fresh, admitted(t, &g, test.now...), name)
	}
	for _, added := range [][]string{nil, {"x"}, {"x", "y"}} {
		g := f
		require.True(t, g.Restore(append(slices.Clone(known), added...)))
		assert.Equal(t, append(slices.Clone(added), "z"), admitted(t, &g, append(append([]string{old}, added...), "z", all[9])...), "what was not there before is new")
	}
	assert.False(t, f.Restore(append(slices.Clone(known), "x", "y", "z")), "too many to tell")
}

// A long page that is read again is the same, or shows that it is not.
func TestLongPageAgain(t *testing.T) {
	before, page := numbers(0, 10), numbers(10, 4*Keep)
	for name, change := range map[string]func([]string) []string{
		"the same":          func(tags []string) []string { return tags },
		"with its cursor":   func(tags []string) []string { return append([]string{before[9]}, tags...) },
		"one less":          func(tags []string) []string { return slices.Delete(tags, 5, 6) },
		"one more":          func(tags []string) []string { return slices.Insert(tags, 5, tags[4]+"a") },
		"one in its place":  func(tags []string) []string { tags[5] += "a"; return tags },
		"in another order":  func(tags []string) []string { tags[5], tags[6] = tags[6], tags[5]; return tags },
		"another beginning": func(tags []string) []string { return tags[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			var f Filter
			f.Page(1)
			admitted(t, &f, before...)
			f.Page(1)
			admitted(t, &f, page...)
			f.Page(2)
			told := true
			for _, tag := range change(slices.Clone(page)) {
				fresh, ok := f.Admit(tag)
				told = told && ok
				if !ok {
					break
				}
				assert.False(t, fresh, tag)
			}
			assert.Equal(t, name == "the same" || name == "with its cursor", told)
		})
	}
}

// The start of a long list is remembered: a list that is begun once more is not.
func TestStartOfALongList(t *testing.T) {
	var f Filter
	f.Page(1)
	all := numbers(0, 5*Keep)
	admitted(t, &f, all...)
	f.Page(1)
	assert.Empty(t, admitted(t, &f, all[:1000]...))
	assert.True(t, f.Forgets(), "and the rest is not")
	_, ok := f.Admit("0000000001") // between two of them
	assert.False(t, ok, "whether it is new takes all tags")
	_, ok = f.Admit(all[2*Keep])
	assert.False(t, ok)
}

// Of tags that are cut from one string, those that are remembered do not keep the others in
// memory.
func TestFewOfMany(t *testing.T) {
	const batches, bytes = 1000, 16 << 10
	var f Filter
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range batches {
		text := strings.Repeat(fmt.Sprintf("%08d", i), bytes/8)
		var tags []string
		for ; len(text) > 0; text = text[8:] { // the same one again and again
			tags = append(tags, text[:8])
		}
		if i%2 == 0 {
			require.Equal(t, 1, f.Ascend(tags))
			continue
		}
		fresh, ok := f.Admit(tags[0])
		require.True(t, fresh && ok)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(batches*bytes/16))
	assert.True(t, f.Knows("00000007"))
}

// A registry that sends its tags backwards, after a long part that ascends, costs no more for
// each of them: none is moved into its place.
func TestManyOutOfOrder(t *testing.T) {
	all := numbers(0, 4*Keep)
	var f Filter
	f.Page(1)
	admitted(t, &f, all...)
	backwards := numbers(0, 2*Keep)
	for i := range backwards {
		backwards[i] = all[len(all)-2] + "-" + backwards[i]
	}
	slices.Reverse(backwards)
	assert.Len(t, admitted(t, &f, backwards...), len(backwards))
	assert.LessOrEqual(t, len(f.recent), 2*Keep)
	assert.Empty(t, admitted(t, &f, backwards...))

	more := numbers(4*Keep, 8*Keep) // those out of order come before recent then
	assert.Len(t, admitted(t, &f, more...), len(more))
	assert.Empty(t, admitted(t, &f, backwards...))
	assert.True(t, f.Knows(backwards[7]))
	_, ok := f.Admit(backwards[7] + "-")
	assert.False(t, ok, "it may be one that was forgotten")

	slices.Sort(backwards)
	known := slices.Concat(all[:len(all)-1], backwards, all[len(all)-1:], more)
	require.True(t, f.Restore(known))
	assert.Empty(t, admitted(t, &f, known...))
}

// A long page with tags out of order is the same when it is read again, or shows that it is
// not.
func TestLongPageOutOfOrderAgain(t *testing.T) {
	page := numbers(0, 4*Keep)
	late := page[len(page)-3] + "-"
	for name, change := range map[string]func([]string) []string{
		"the same":        func(tags []string) []string { return tags },
		"one less":        func(tags []string) []string { return slices.Delete(tags, 5, 6) },
		"without the odd": func(tags []string) []string { return tags[:len(tags)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			var f Filter
			f.Page(1)
			admitted(t, &f, append(slices.Clone(page), late)...)
			f.Page(2)
			told := true
			for _, tag := range change(append(slices.Clone(page), late)) {
				fresh, ok := f.Admit(tag)
				assert.False(t, fresh, tag)
				if told = ok; !ok {
					break
				}
			}
			assert.Equal(t, name != "one less", told)
		})
	}
}

// Where a page that is read again has a tag which was not there before, among those that are
// forgotten, the tags that are remembered tell, and so does one that comes after all of them.
func TestLongPageWithAnother(t *testing.T) {
	before := Keep / 2
	all := numbers(0, before+Keep) // so that the page begins where the tags are remembered
	another := all[before-1] + "-"
	var f Filter
	f.Page(1)
	admitted(t, &f, all[:before]...)
	f.Page(1)
	admitted(t, &f, all[before:]...)
	require.Equal(t, before, f.old.n)
	f.Page(2)
	_, ok := f.Admit(another)
	if ok {
		_, ok = f.Admit(all[before])
	}
	assert.False(t, ok)

	long := numbers(0, 4*Keep)
	f = Filter{}
	f.Page(1)
	admitted(t, &f, long...)
	f.Page(2)
	assert.Zero(t, f.Ascend([]string{long[5] + "-", "z"}))
	_, ok = f.Admit(long[5] + "-")
	require.True(t, ok)
	_, ok = f.Admit("z")
	assert.False(t, ok)
}

// A tag that came, and is gone when the list is read again, is still known if it is pushed
// once more.
func TestRestoreWithoutOne(t *testing.T) {
	all := numbers(0, 3*Keep)
	gone := all[Keep]
	less := slices.DeleteFunc(slices.Clone(all), func(tag string) bool { return tag == gone })
	for name, other := range map[string][]string{"gone": nil, "replaced": {gone + "-"}} {
		t.Run(name, func(t *testing.T) {
			var f Filter
			f.Page(1)
			admitted(t, &f, all...)
			_, ok := f.Admit(gone)
			require.False(t, ok)
			require.True(t, f.Restore(slices.Concat(less, other)))
			assert.Equal(t, other, admitted(t, &f, slices.Concat(less, other, all)...))
		})
	}
}

// A reading hands out what a Filter admits, as a listing does.
type reading struct {
	Filter
	seed   uint64
	rnd    *rand.Rand
	handed map[string]bool
	gone   string // what the list lacked when it was read again
}

// take takes some tags of a try, and reports whether it was told of each whether it is new.
func (r *reading) take(t *testing.T, tags []string) (told bool) {
	n := r.Ascend(tags)
	for i, tag := range tags {
		fresh, ok := i < n, true
		if !fresh {
			if fresh, ok = r.Admit(tag); !ok {
				return false
			}
		}
		if fresh {
			if r.handed[tag] {
				require.Fail(t, "a tag comes twice", "seed %d: %s", r.seed, tag)
			}
			r.handed[tag] = true
		}
	}
	return true
}

// recall reads the list again, of which a tag may be gone.
func (r *reading) recall(t *testing.T) {
	tags := slices.Collect(maps.Keys(r.handed))
	if r.rnd.IntN(3) == 0 {
		r.gone = tags[0]
		tags = tags[1:]
	}
	require.True(t, r.Restore(tags), "seed %d", r.seed)
}

// page takes tries of a page: all of them but the last are cut short.
func (r *reading) page(t *testing.T, tries [][]string) {
	try := 0
	for i, tags := range tries {
		for whole := false; !whole; {
			try++
			r.Page(try)
			whole = true
			for batch := range slices.Chunk(tags, 3) {
				if whole = whole && r.take(t, batch); !whole {
					break
				}
			}
			if whole = whole && !(i == len(tries)-1 && r.IsOther()); !whole {
				r.recall(t)
			}
		}
	}
	for _, tag := range tries[len(tries)-1] {
		if !r.handed[tag] {
			require.Fail(t, "a tag does not come", "seed %d: %s", r.seed, tag)
		}
	}
}

// Whatever the pages are, and their tries, and however little is remembered, each tag comes
// once, and each that the last try of a page has.
func TestRandomPages(t *testing.T) {
	keep := Keep
	t.Cleanup(func() { Keep = keep })
	for seed := range uint64(20_000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		Keep = 2 + rnd.IntN(20)
		r := &reading{seed: seed, rnd: rnd, handed: map[string]bool{}}
		if rnd.IntN(4) == 0 {
			r.Kept = new(Kept)
		}
		at := 0
		for range 1 + rnd.IntN(8) {
			tags := numbers(at, at+rnd.IntN(40))
			if at += len(tags); rnd.IntN(10) == 0 {
				at = rnd.IntN(at + 1) // the list is begun once more, or goes back
			}
			tries := make([][]string, 1+rnd.IntN(3))
			for i := range tries {
				try := slices.DeleteFunc(slices.Clone(tags), func(string) bool { return rnd.IntN(50) == 0 })
				for range rnd.IntN(3) {
					try = slices.Insert(try, rnd.IntN(len(try)+1), fmt.Sprintf("%09d", rnd.IntN(at+9))+[]string{"", "-"}[rnd.IntN(2)])
				}
				if rnd.IntN(9) == 0 {
					rnd.Shuffle(len(try), func(i, j int) { try[i], try[j] = try[j], try[i] })
				}
				if i < len(tries)-1 || rnd.IntN(3) == 0 { // the last one from a replica that has less
					try = try[:rnd.IntN(len(try)+1)]
				}
				tries[i] = try
			}
			r.page(t, tries)
		}
		if r.Kept != nil {
			require.Len(t, r.Kept.All(), len(r.handed))
		}
		if r.gone != "" {
			fresh, _ := r.Admit(r.gone)
			require.False(t, fresh, "seed %d", seed)
		}
	}
}

// A set has what a map of the same tags has.
func TestSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	var s *set
	assert.False(t, s.has("a"))
	s = new(set)
	known := map[string]bool{}
	for range 100_000 {
		tag := fmt.Sprint(rnd.IntN(50_000))
		require.Equal(t, known[tag], s.has(tag))
		require.Equal(t, !known[tag], s.add(tag))
		known[tag] = true
	}
	assert.Len(t, known, s.len)
}

// BenchmarkSet compares a set with a map, for a million tags.
func BenchmarkSet(b *testing.B) {
	tags := numbers(0, 1_000_000)
	b.Run("set", func(b *testing.B) {
		for b.Loop() {
			s := new(set)
			for _, tag := range tags {
				s.add(tag)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		for b.Loop() {
			m := make(map[string]struct{})
			for _, tag := range tags {
				m[tag] = struct{}{}
			}
		}
	})
}
