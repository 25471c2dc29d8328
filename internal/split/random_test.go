package split

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var (
	someLists = flag.Int("lists", 10, "how many lists of random shapes to cut")
	firstList = flag.Uint64("first", 1, "the seed of the first of them")
)

// A field is a part of tags.
type field func(rnd *rand.Rand) string

// randomField is a word of a vocabulary, a number, a hash or a date.
func randomField(rnd *rand.Rand) field {
	width := 2 + rnd.IntN(6)
	switch rnd.IntN(8) {
	case 0:
		word := word(rnd, 2)
		return func(*rand.Rand) string { return word }
	case 1, 2:
		word := vocabulary(rnd, 2<<rnd.IntN(11))
		return func(*rand.Rand) string { return word() }
	case 3:
		from, n := rnd.IntN(1000), []int{3, 10, 30, 100, 1000, 100_000}[rnd.IntN(6)]
		return func(rnd *rand.Rand) string { return fmt.Sprint(from%n + rnd.IntN(n)) }
	case 4:
		mean := []float64{1, 4, 20, 200}[rnd.IntN(4)]
		return func(rnd *rand.Rand) string { return fmt.Sprint(int(rnd.ExpFloat64() * mean)) }
	case 5:
		n := 1 + rnd.IntN(10_000_000)
		return func(rnd *rand.Rand) string { return fmt.Sprintf("%0*d", width, rnd.IntN(n)) }
	case 6:
		digits := []int{4, 7, 8, 12, 40, 64}[rnd.IntN(6)]
		return func(rnd *rand.Rand) string { return hexadecimals(rnd, digits) }
	default:
		layout := strings.Fields("20060102 2006-01-02 2006.01.02 20060102150405 20060102-1504 2006-01-02T15-04-05 060102 2006.1.2")[rnd.IntN(8)]
		from, span := time.Date(2012+rnd.IntN(12), 1, 1, 0, 0, 0, 0, time.UTC), time.Duration(100+rnd.IntN(3000))*24*time.Hour
		return func(rnd *rand.Rand) string {
			return from.Add(time.Duration(rnd.Int64N(int64(span)))).Format(layout)
		}
	}
}

// randomTags is a list of up to n tags of some fields each, of one to three kinds.
func randomTags(rnd *rand.Rand, n int) []string {
	kinds := make([][]field, 1+rnd.IntN(2)*rnd.IntN(3))
	for i := range kinds {
		for f := range 1 + rnd.IntN(5) {
			if f > 0 {
				between := []string{"-", "-", ".", "_", "", "v", "-v"}[rnd.IntN(7)]
				kinds[i] = append(kinds[i], func(*rand.Rand) string { return between })
			}
			kinds[i] = append(kinds[i], randomField(rnd))
		}
	}
	tags := map[string]bool{}
	for tries := 0; len(tags) < n && tries < 3*n; tries++ {
		tag := ""
		for _, field := range kinds[rnd.IntN(len(kinds))] {
			tag += field(rnd)
		}
		if len(tag) <= 128 {
			tags[tag] = true
		}
	}
	list := make([]string, 0, len(tags))
	for tag := range tags {
		list = append(list, tag)
	}
	return list
}

// Lists that nobody has drawn are cut as well as the others. With -lists 1000, it is a soak.
func TestCostOfRandomLists(t *testing.T) {
	const n = 100_000
	var mu sync.Mutex
	lists, mean, worst := 0.0, map[int]cost{}, map[int]cost{}
	t.Run("all", func(t *testing.T) {
		const workers = 4
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for i := w; i < *someLists; i += workers {
					tags := models[0].list(randomTags(rand.New(rand.NewPCG(*firstList+uint64(i), 2)), n))
					if len(tags) < n/5 {
						continue // there are no more of them
					}
					costs := map[int]cost{}
					for _, k := range []int{4, 8} {
						costs[k] = costOf(models[0], k, [][]string{tags})
					}
					mu.Lock()
					lists++
					for k, c := range costs {
						mean[k] = cost{mean[k].time + c.time, mean[k].requests + c.requests}
						worst[k] = cost{max(worst[k].time, c.time), max(worst[k].requests, c.requests)}
					}
					mu.Unlock()
				}
			})
		}
	})
	for k, c := range mean {
		c = cost{c.time / lists, c.requests / lists}
		t.Logf("k=%d: %.0f lists, time %.2f, requests %.2f; at worst %.2f and %.2f", k, lists, c.time, c.requests, worst[k].time, worst[k].requests)
		assert.LessOrEqual(t, c.time, average[k].time, "time, k=%d", k)
		assert.LessOrEqual(t, c.requests, average[k].requests, "requests, k=%d", k)
	}
}
