package split

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/readme"
)

var update = flag.Bool("update", false, "rewrite the part of docs/performance.md")

// bars are what a scan of 100,000 tags, 1000 a page, may cost: its time in round
// trips by pages/k, and its requests by pages. average is the bar for all shapes.
var (
	bars    = map[int]cost{2: {1.2, 1.15}, 4: {1.45, 1.25}, 8: {2.2, 1.3}, 16: {4.2, 1.32}}
	average = map[int]cost{2: {1.1, 1.08}, 4: {1.22, 1.13}, 8: {1.52, 1.24}, 16: {2.5, 1.28}}
)

// A cost is the mean over some repositories.
type cost struct{ time, requests float64 }

func costOf(m model, k int, lists [][]string) (c cost) {
	const size = 1000
	for _, list := range lists {
		s := &simulation{m: m, n: size, list: list}
		tags, off := s.scan(k)
		if off != None || len(tags) != len(list) {
			panic(fmt.Sprint(off, len(tags)))
		}
		// What an answer has shown to be empty stays so, although a later one shows less.
		if slices.Sort(s.cuts); len(slices.Compact(s.cuts)) != len(s.cuts) {
			panic("a cut was made twice")
		}
		pages := float64(len(list)) / size
		c.time += s.now / (pages / float64(k)) / float64(len(lists))
		c.requests += float64(s.requests) / pages / float64(len(lists))
	}
	return c
}

// repositories are some of a shape, as a registry lists them.
func repositories(m model, s shape, some, n int) (lists [][]string) {
	for seed := range uint64(some) {
		lists = append(lists, m.list(s.make(rand.New(rand.NewPCG(seed, 1)), n)))
	}
	return lists
}

// TestCost holds the costs to their bars, and to the table of them in docs/performance.md.
func TestCost(t *testing.T) {
	all := slices.Concat(shapes, moreShapes)
	costs := make([]map[int]cost, len(all))
	t.Run("shapes", func(t *testing.T) {
		for i, shape := range all {
			t.Run(shape.name, func(t *testing.T) {
				t.Parallel()
				costs[i] = map[int]cost{}
				lists := repositories(models[0], shape, 2, 100_000)
				for k, bar := range bars {
					c := costOf(models[0], k, lists)
					costs[i][k] = c
					assert.LessOrEqual(t, c.time, bar.time, "time, k=%d", k)
					assert.LessOrEqual(t, c.requests, bar.requests, "requests, k=%d", k)
				}
			})
		}
	})
	var table strings.Builder
	table.WriteString("| tags like | time, k=2 | k=4 | k=8 | k=16 | requests, k=2 | k=4 | k=8 | k=16 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	line := func(name string, c map[int]cost) {
		fmt.Fprintf(&table, "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", name,
			c[2].time, c[4].time, c[8].time, c[16].time, c[2].requests, c[4].requests, c[8].requests, c[16].requests)
	}
	mean := map[int]cost{}
	for i, shape := range all {
		name := shape.name
		if i >= len(shapes)+keptApart {
			name = "*" + name + "*"
		}
		line(name, costs[i])
		for k, c := range costs[i] {
			mean[k] = cost{mean[k].time + c.time/float64(len(all)), mean[k].requests + c.requests/float64(len(all))}
		}
	}
	line("all of these", mean)
	for k, bar := range average {
		assert.LessOrEqual(t, mean[k].time, bar.time, "time, k=%d", k)
		assert.LessOrEqual(t, mean[k].requests, bar.requests, "requests, k=%d", k)
	}
	const file = readme.File("../../docs/performance.md")
	if *update {
		require.NoError(t, file.Replace("scan", table.String()))
	}
	part, err := file.Part("scan")
	require.NoError(t, err)
	number := regexp.MustCompile(`\d+\.\d\d`)
	require.Equal(t, number.ReplaceAllString(part, "#"), number.ReplaceAllString(table.String(), "#"))
	got := number.FindAllString(table.String(), -1)
	for i, text := range number.FindAllString(part, -1) {
		want, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		is, err := strconv.ParseFloat(got[i], 64)
		require.NoError(t, err)
		// Where a cut is made depends on floating-point numbers, which other
		// processors round in other ways.
		assert.InDelta(t, want, is, 0.03, "run go test -update, and read the difference")
	}
}

// Lists that are sorted in another order are cut as well.
func TestCostInOtherOrders(t *testing.T) {
	for _, m := range models[1:4] {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for _, shape := range []shape{shapes[0], shapes[mixed], moreShapes[0], moreShapes[9]} {
				c := costOf(m, 8, repositories(m, shape, 2, 50_000))
				assert.LessOrEqual(t, c.time, 2.8, "%s: time", shape.name)
				assert.LessOrEqual(t, c.requests, 1.4, "%s: requests", shape.name)
			}
		})
	}
}

// Before anything in lower case has been seen, a list may be in each order. Whichever
// part is answered first, cuts that were made for another order neither end the cutting
// nor keep a part from being cut.
func TestCostWhateverIsAnsweredFirst(t *testing.T) {
	t.Parallel()
	cased := shape{make: func(rnd *rand.Rand, n int) []string {
		name := vocabulary(rnd, 100)
		return distinct(n, func(int) string {
			w := name()
			if len(w)%3 == 0 {
				w = strings.ToUpper(w[:1]) + w[1:]
			}
			return fmt.Sprintf("%s-%d.%d", w, rnd.IntN(5), rnd.IntN(10_000))
		})
	}}
	const ideal = 4000 / 50 / 8.0
	for _, m := range models[:4] {
		sum := 0.0
		for seed := range uint64(25) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			s := &simulation{m: m, n: 50, list: m.list(cased.make(rnd, 4000)), rnd: rnd}
			tags, off := s.scan(8)
			assert.Len(t, tags, len(s.list), "%s: %d", m.name, seed)
			assert.Equal(t, None, off, "%s: %d", m.name, seed)
			assert.Less(t, s.now, 4*ideal, "%s: %d", m.name, seed)
			sum += s.now
		}
		assert.Less(t, sum/25, 2*ideal, "%s: on average", m.name)
	}
}

// Where a date stands, no cut is made behind the last month, or the last day of one.
func TestDates(t *testing.T) {
	p, _ := New([]string{"a", "b"})
	for _, test := range []struct{ tag, latest string }{
		{"nightly-20261126-1", "        202.123.  "},
		{"2019.10.31.7", "202..12.31.."},
		{"2020-01-09", "202..1..3."},
		{"v20260230", " 202.1.31"},
		{"20261326", "........"},
		{"120261126", "........."},
		{"2026112", "......."},
	} {
		for place, want := range test.latest {
			got := p.latest(test.tag, place)
			if want == ' ' || want == '.' {
				want = 0
			}
			assert.Equal(t, string(byte(want)), string(got), "%s, %d", test.tag, place)
		}
	}
}

// What a part was not told of shows that the list is in another order, or that it has
// changed. Either way cuts are made up to the first tag of that part.
func TestWhatAPartWasNotToldOf(t *testing.T) {
	page := func(format string, from int) (tags []string) {
		for i := range 50 {
			tags = append(tags, fmt.Sprintf(format, from+i))
		}
		return tags
	}
	for want, format := range map[string]string{"folded": "v%d", "by bytes": "Y%d"} {
		p, a := New(page("%d", 100))
		c := &Range{start: "X", prev: a}
		a.next = c
		p.Page(c, page("zlib-%d", 100), true)
		assert.Equal(t, "by bytes", p.Order())
		p.Page(a, page(format, 100), true)
		p.Page(a, page(format, 160), true)
		p.Page(a, page(format, 210), true)
		assert.Equal(t, want, p.Order())
		b := p.Split(4)
		if assert.NotNil(t, b, want) {
			assert.Greater(t, b.Start(), a.Last())
			assert.Less(t, b.Start(), "zlib-100")
		}
	}
}

// A part that has ended where another began is nothing without it, and that one is
// dropped where the list turns out to have another order.
func TestPartThatEndedWhereADroppedOneBegan(t *testing.T) {
	p, a := New([]string{"A", "B"})
	c := &Range{start: "C1", prev: a}
	d := &Range{start: "a", prev: c}
	a.next, c.next = c, d
	p.Page(d, []string{"b1", "b2"}, true)
	p.Page(c, []string{"D", "E"}, true)
	keep, on := p.Page(c, []string{"F", "b1"}, true)
	require.Equal(t, 1, keep)
	require.False(t, on)
	require.True(t, c.Ended())

	keep, on = p.Page(a, []string{"B1", "b3", "C"}, true)
	require.Equal(t, "folded", p.Order())
	assert.Equal(t, 3, keep)
	assert.True(t, on)
	assert.True(t, d.Gone())
	assert.True(t, c.Gone(), "nobody reads what comes after F")
	assert.Nil(t, p.Next(a))

	// A whole listing of that kind.
	x := trial{model: 10, shape: 5, k: 29, n: 110, size: 5, seed: 7548808338632875594}
	require.Equal(t, "unknown drops one", models[x.model].name)
	right, missing := x.run(t)
	assert.True(t, right)
	assert.Empty(t, missing)
}

// A short list is read sooner, and costs few requests more.
func TestCostOfShortLists(t *testing.T) {
	for pages, bar := range map[int]cost{5: {0.95, 1.9}, 10: {0.75, 1.6}, 20: {0.6, 1.4}} {
		var mean cost
		for _, shape := range slices.Concat(shapes, moreShapes) {
			c := costOf(models[0], 4, repositories(models[0], shape, 2, 1000*pages))
			n := float64(len(shapes) + len(moreShapes))
			mean = cost{mean.time + c.time/4/n, mean.requests + c.requests/n} // by the pages
		}
		t.Logf("%d pages: %.2f of the time in a row, %.2f of the requests", pages, mean.time, mean.requests)
		assert.LessOrEqual(t, mean.time, bar.time, "time, %d pages", pages)
		assert.LessOrEqual(t, mean.requests, bar.requests, "requests, %d pages", pages)
	}
}

// A trial is one repository at one server, read in both ways.
type trial struct {
	model, shape, k, n, size int
	seed                     uint64
	steady                   bool // each request takes as long as any other
	failing                  int  // one request of so many fails, 0: none
}

func (x trial) String() string {
	return fmt.Sprintf("%s, %s: %+v", models[x.model].name, shapes[x.shape].name, struct {
		k, n, size int
		seed       uint64
		failing    int
	}{x.k, x.n, x.size, x.seed, x.failing})
}

// tags are those of the repository.
func (x trial) tags() []string {
	rnd := rand.New(rand.NewPCG(x.seed, 2))
	tags := shapes[x.shape].make(rnd, x.n)
	if x.shape == mixed || rnd.IntN(2) == 0 { // and some that only punctuation or case tells apart
		for _, tag := range slices.Clone(tags[:len(tags)/4]) {
			tags = append(tags, twin(rnd, tag))
		}
		slices.Sort(tags)
		tags = slices.Compact(tags)
		rnd.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
	}
	return tags
}

// run reports whether reading the list one page after the other is right, and
// which tags a scan lacks.
func (x trial) run(t require.TestingT) (right bool, missing []string) {
	m := models[x.model]
	list := m.list(x.tags())
	s := &simulation{m: m, list: list, n: x.size, rnd: rand.New(rand.NewPCG(x.seed, 3)), steady: x.steady}
	all := union(list)
	right = slices.Equal(all, union(s.sequential()))
	if !right && !m.lossy {
		require.Fail(t, "the model is wrong", "%v", x)
	}
	s = &simulation{m: m, list: list, n: x.size, rnd: rand.New(rand.NewPCG(x.seed, 3)), steady: x.steady, failing: x.failing}
	got, _ := s.scan(x.k)
	require.LessOrEqual(t, s.most, x.k, "%v: requests in flight", x)
	if !m.lossy {
		require.Equal(t, got, slices.Compact(slices.Clone(got)), "%v: nothing comes twice in a row", x)
	}
	set := union(got)
	for _, tag := range all {
		if _, ok := slices.BinarySearch(set, tag); !ok {
			missing = append(missing, tag)
		}
	}
	require.Subset(t, all, got[:min(3, len(got))])
	return right, missing
}

// lossyInARow reports whether the same list loses tags when it is read one page
// after the other, at some page size.
func (x trial) lossyInARow() bool {
	m := models[x.model]
	list := m.list(x.tags())
	all := union(list)
	for size := range 50 {
		s := &simulation{m: m, list: list, n: 1 + size, rnd: rand.New(rand.NewPCG(x.seed, 3))}
		if !slices.Equal(all, union(s.sequential())) {
			return true
		}
	}
	return false
}

func twin(rnd *rand.Rand, tag string) string {
	b := []byte(tag)
	switch i := rnd.IntN(len(b)); {
	case 'a' <= b[i] && b[i] <= 'z':
		b[i] -= 'a' - 'A'
	case b[i] == '-' || b[i] == '.':
		b[i] = "-._"[rnd.IntN(3)]
	default:
		b = append(b, "-x"...)
	}
	if b[0] == '.' || b[0] == '-' {
		return tag + "-y"
	}
	return string(b)
}

func randomTrial(rnd *rand.Rand) trial {
	return trial{
		model: rnd.IntN(len(models)), shape: rnd.IntN(len(shapes)), seed: rnd.Uint64N(1 << 40),
		k: 1 + rnd.IntN(32), n: 1 + rnd.IntN(800), size: 1 + rnd.IntN(40),
		steady: rnd.IntN(2) == 0, failing: []int{0, 0, 20, 5}[rnd.IntN(4)],
	}
}

// What a scan brings is what reading page after page brings, at every server
// where that is right.
func TestScanIsSequential(t *testing.T) {
	for m, model := range models {
		t.Run(model.name, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(m), 4))
			rights := 0
			for range 25 {
				x := randomTrial(rnd)
				x.model = m
				right, missing := x.run(t)
				if right {
					rights++
				}
				if right && !model.lossy {
					require.Empty(t, missing, "%v", x)
				}
				if len(missing) > 0 {
					require.True(t, x.lossyInARow(), "%v: lacks %q", x, missing)
				}
			}
			assert.Positive(t, rights)
		})
	}
}

func FuzzScanIsSequential(f *testing.F) {
	for m := range models {
		f.Add(uint8(m), uint8(m), uint8(4), uint16(300), uint8(10), uint64(m), true, uint8(0))
	}
	f.Fuzz(func(t *testing.T, model, shape, k uint8, n uint16, size uint8, seed uint64, steady bool, failing uint8) {
		x := trial{
			model: int(model) % len(models), shape: int(shape) % len(shapes), k: 1 + int(k)%32, n: 1 + int(n)%1000, size: 1 + int(size),
			seed: seed, steady: steady, failing: int(failing),
		}
		right, missing := x.run(t)
		if right && !models[x.model].lossy && len(missing) > 0 {
			t.Errorf("%v: lacks %q", x, missing)
		}
	})
}

// A server that cannot begin anywhere shows it soon, and costs few requests.
func TestReasons(t *testing.T) {
	const n, size, k = 10_000, 50, 8
	list := shapes[0].make(rand.New(rand.NewPCG(1, 1)), n)
	for name, want := range map[string]Reason{
		"by bytes": None, "folded": None, "ICU": None, "glibc": None, "unknown drops one": None, "caps that change": None,
		"must exist": Refuses, "sorted, token": Refuses,
		"unknown gives the start": Restarts, "token or the start": Restarts, "offset": Restarts, "wraps past the end": Restarts,
		"unknown gives the end": EndsEarly,
		"token":                 Disorder, "insertion": Disorder, "insertion, compared": Disorder,
	} {
		t.Run(name, func(t *testing.T) {
			m := models[slices.IndexFunc(models, func(m model) bool { return m.name == name })]
			s := &simulation{m: m, list: m.list(list), n: size, rnd: rand.New(rand.NewPCG(1, 1)), steady: true}
			got, off := s.scan(k)
			assert.Equal(t, want, off)
			pages := n / size
			if m.caps {
				pages *= 2 // they are half as large on average
			}
			assert.LessOrEqual(t, float64(s.requests), 1.28*float64(pages))
			if !m.lossy {
				assert.Len(t, got, n)
			}
			if want != None && name != "wraps past the end" { // which the last cuts show
				assert.LessOrEqual(t, s.requests, pages+2*k)
			}
		})
	}
}

// There is nothing to plan where a page is in no order.
func TestNew(t *testing.T) {
	for want, tags := range map[bool][][]string{
		true:  {{"a", "b"}, {"a", "B", "c"}, {"a_b", "a-b", "a.b", "a1"}, {"v1", "v1-alpine", "v10"}},
		false: {nil, {"a"}, {"a", "a"}, {"b", "a"}, {"v1-alpine", "v1", "v10"}},
	} {
		for _, page := range tags {
			p, _ := New(page)
			assert.Equal(t, want, p != nil, "%q", page)
		}
	}
}

// What the list becomes while it is read: the range in front goes on wherever the
// one behind it is not what comes next.
func TestListsThatChange(t *testing.T) {
	const size = 50
	list := shapes[0].make(rand.New(rand.NewPCG(1, 1)), 1000)
	slices.Sort(list)
	// plan has read the first page, and cut once; from is what its range finds.
	plan := func(t *testing.T) (p *Planner, a, c *Range, from int) {
		p, a = New(list[:size])
		c = p.Split(4)
		require.NotNil(t, c)
		from, _ = slices.BinarySearch(list, c.Start())
		require.Greater(t, from, 2*size)
		require.Less(t, from, len(list)-2*size)
		return p, a, c, from
	}
	without := func(tags []string, i int) []string { return slices.Delete(slices.Clone(tags), i, i+1) }
	seam := func(from int) []string { return list[from-10 : from-10+size] }

	t.Run("not at all", func(t *testing.T) {
		p, a, c, from := plan(t)
		p.Page(c, list[from:from+size], true)
		keep, on := p.Page(a, seam(from), true)
		assert.Equal(t, 10, keep)
		assert.False(t, on)
		assert.True(t, a.Ended())
		assert.Equal(t, c, p.Next(a))
	})
	for name, page := range map[string]func(from int) []string{
		"a tag behind the seam is gone": func(from int) []string { return without(seam(from), 11) },
		"the tag at the seam is gone":   func(from int) []string { return without(seam(from), 10) },
	} {
		t.Run(name, func(t *testing.T) {
			p, a, c, from := plan(t)
			p.Page(c, list[from:from+size], true)
			keep, on := p.Page(a, page(from), true)
			assert.Equal(t, size-1, keep)
			assert.True(t, on)
			assert.True(t, c.Gone())
			assert.Nil(t, p.Next(a))
		})
	}
	t.Run("more than there was at the end", func(t *testing.T) {
		p, a, c, from := plan(t)
		p.Page(c, list[from:from+20], false)
		assert.True(t, c.Ended())
		keep, on := p.Page(a, seam(from), true)
		assert.Equal(t, size, keep)
		assert.True(t, on)
		assert.True(t, c.Gone())
	})
	t.Run("nothing where there was something behind", func(t *testing.T) {
		p, _, c, _ := plan(t)
		between, behind := c, p.Split(16)
		require.NotNil(t, behind)
		if p.Next(between) != behind {
			between, behind = behind, between
		}
		from, _ := slices.BinarySearch(list, behind.Start())
		p.Page(behind, list[from:min(len(list), from+size)], true)
		_, on := p.Page(between, nil, false)
		assert.False(t, on)
		assert.True(t, between.Gone())
		assert.False(t, behind.Gone(), "which still is")
		assert.Equal(t, None, p.Off())
	})
	t.Run("something where there was nothing", func(t *testing.T) {
		p, a, c, _ := plan(t)
		other := p.Split(4)
		require.NotNil(t, other)
		first, last := c, other
		if p.Next(first) != last {
			first, last = other, c
		}
		p.Page(last, nil, false)
		assert.True(t, last.Gone())
		from, _ := slices.BinarySearch(list, first.Start())
		to, _ := slices.BinarySearch(list, last.Start())
		keep, on := p.Page(first, list[from:to+1], true)
		assert.Zero(t, keep)
		assert.False(t, on)
		assert.Equal(t, EndsEarly, p.Off(), "a registry that answers so is read in a row")
		assert.True(t, first.Gone())
		assert.Nil(t, p.Next(a))
	})
}

// BenchmarkScan has the cost of each shape at k=8 and k=4: its time in units of pages/k,
// and its requests by pages.
func BenchmarkScan(b *testing.B) {
	for _, shape := range slices.Concat(shapes, moreShapes) {
		b.Run(strings.ReplaceAll(shape.name, " ", "-"), func(b *testing.B) {
			lists := repositories(models[0], shape, 1, 100_000)
			costs := map[int]cost{}
			for b.Loop() {
				for _, k := range []int{4, 8} {
					costs[k] = costOf(models[0], k, lists)
				}
			}
			for k, c := range costs {
				b.ReportMetric(c.time, fmt.Sprintf("time/k=%d", k))
				b.ReportMetric(c.requests, fmt.Sprintf("requests/k=%d", k))
			}
		})
	}
}
