package span

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/order"
)

func TestHas(t *testing.T) {
	all := strings.Fields("Z a a-1 a-1.2 a-2 ab b")
	for want, r := range map[string]Range{
		"Z a a-1 a-1.2 a-2 ab b": {},
		"a-1 a-1.2 a-2 ab b":     {After: "a"},
		"a-1 a-1.2 a-2":          {Prefix: "a-"},
		"a-1.2 a-2":              {After: "a-1", Prefix: "a-"},
		"a a-1 a-1.2 a-2 ab":     {After: "Z", Prefix: "a"},
		"":                       {After: "c"},
	} {
		assert.Equal(t, want, strings.Join(slices.DeleteFunc(slices.Clone(all), func(tag string) bool { return !r.Has(tag) }), " "), "%+v", r)
	}
}

func TestIsEmpty(t *testing.T) {
	for r, want := range map[Range]bool{
		{}:                           false,
		{After: "b"}:                 false,
		{After: "b", Prefix: "a"}:    true,
		{After: "a", Prefix: "b"}:    false,
		{After: "ab", Prefix: "a"}:   false,
		{After: "a", Prefix: "a"}:    false,
		{After: "a.b", Prefix: "a-"}: true,
		{After: "a", Prefix: "a-"}:   false,
	} {
		assert.Equal(t, want, r.IsEmpty(), "%+v", r)
	}
}

func TestStart(t *testing.T) {
	all, bytes, folding := order.Known, order.Known[:1], order.Known[:2]
	for _, test := range []struct {
		Range
		orders []order.Order
		want   string
	}{
		{Range{Prefix: "zlib-"}, all, "zliazzzzzzzz"},
		{Range{Prefix: "zlib-"}, bytes, "zlib"},
		{Range{Prefix: "zlib-1"}, all, "zlib-0zzzzzzzz"},
		{Range{Prefix: "zlib-0"}, all, "zlib-"},
		{Range{Prefix: "a"}, all, "9zzzzzzzz"},
		{Range{Prefix: "0"}, all, ""},
		{Range{Prefix: "_"}, all, ""},     // the first of all where punctuation is
		{Range{Prefix: "_"}, folding, ""}, // what is before it is not known to the letter
		{Range{After: "v1.2"}, bytes, "v1.2"},
		{Range{After: "v1.2"}, folding, "v1.1zzzzzzzz"},
		{Range{After: "v1.2"}, all, "uzzzzzzzz"},  // v_ is greater, and comes first with punctuation
		{Range{After: "V"}, folding, "9zzzzzzzz"}, // a is greater, and comes before it where case is folded
		{Range{After: "zlib-1.2", Prefix: "zlib-"}, bytes, "zlib-1.2"},
		{Range{After: "a", Prefix: "zlib-"}, bytes, "zlib"},
		{Range{Prefix: strings.Repeat("b", 128)}, all, strings.Repeat("b", 127)},
	} {
		assert.Equal(t, test.want, test.Start(test.orders), "%+v", test)
	}
}

// anyTag draws a tag of few characters, so that tags are close.
func anyTag(rnd *rand.Rand) string {
	const chars = "aAbB019_-.zZ"
	for {
		b := make([]byte, 1+rnd.IntN(5))
		for i := range b {
			b[i] = chars[rnd.IntN(len(chars))]
		}
		if b[0] != '-' && b[0] != '.' {
			return string(b)
		}
	}
}

// Whatever the order, what is read between Start and IsPast has the whole range.
func TestRangeIsInside(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		r := Range{}
		if rnd.IntN(3) > 0 {
			r.Prefix = anyTag(rnd)[:1]
		}
		if rnd.IntN(3) > 0 {
			r.Prefix += anyTag(rnd)
		}
		if rnd.IntN(2) == 0 {
			r.After = anyTag(rnd)
			if rnd.IntN(2) == 0 {
				r.After = r.Prefix + r.After
			}
		}
		if r.IsEmpty() {
			continue
		}
		orders := order.Known[:1+rnd.IntN(len(order.Known))]
		start := r.Start(orders)
		for range 20 {
			tag := anyTag(rnd)
			if rnd.IntN(2) == 0 {
				tag = r.Prefix + tag
			}
			if !r.Has(tag) {
				continue
			}
			for _, o := range orders {
				before := order.Order.Compare(o, start, tag) < 0 || o.IsBytes() && start <= r.After
				require.True(t, start == "" || before, "%+v: %q comes before %q %s", r, tag, start, o.Name)
			}
			last := anyTag(rnd)
			if r.IsPast(last, orders) {
				for _, o := range orders {
					require.Negative(t, o.Compare(tag, last), "%+v: %q is past, and %q is not before it %s", r, last, tag, o.Name)
				}
			}
		}
	}
}

// A registry that compares answers a proof as it says, and so tells its order where
// the tags do; another one does not.
func TestProof(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	proved, told := 0, 0
	for range 300 {
		own := order.Known[rnd.IntN(len(order.Known))]
		var list []string
		for range 100 {
			list = append(list, anyTag(rnd)+anyTag(rnd))
		}
		slices.Sort(list)
		list = slices.Compact(list)
		slices.SortStableFunc(list, own.Compare)
		seen := order.New()
		seen.Page("")
		for _, tag := range list {
			seen.Add(tag)
		}
		p, ok := Prove(list, seen.Orders())
		if !ok {
			continue
		}
		proved++
		require.NotContains(t, list, p.After)
		require.Equal(t, question(list, p.After, nil), p, "searched for, or found in a row")
		answer := list[slices.IndexFunc(list, func(tag string) bool { return own.Compare(tag, p.After) > 0 })]
		names := []string{}
		for _, o := range p.Orders(answer) {
			names = append(names, o.Name)
		}
		require.Contains(t, names, own.Name)
		if len(names) == 1 {
			told++
		}
		require.Empty(t, p.Orders(list[0]), "the start of the list")
		require.Empty(t, p.Orders(""), "nothing")
	}
	assert.Greater(t, proved, 290)
	assert.Greater(t, told, 200)
	_, ok := Prove([]string{"a"}, order.Known)
	assert.False(t, ok, "there is no place between")
}
