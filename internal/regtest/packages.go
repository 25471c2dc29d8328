package regtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Packages returns n tags of a binary cache in ascending order. The number of packages,
// versions and builds, the length of names and hashes, and the prefixes are drawn at
// random.
func Packages(seed uint64, n int) []string {
	rnd := rand.New(rand.NewPCG(seed, uint64(n)))
	const letters, digits = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz234567"
	word := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(b)
	}
	front := []string{"", "", "py-", "r-", "linux-x86_64_v3-", "perl-"}
	hash := []int{7, 16, 32}[rnd.IntN(3)]
	builds := 2 + rnd.IntN(40)
	names := make([]string, 20+rnd.IntN(400))
	for i := range names {
		names[i] = front[rnd.IntN(len(front))] + word(letters, 3+rnd.IntN(10))
	}
	many := rand.NewZipf(rnd, 1.1+rnd.Float64(), 4, uint64(len(names)-1)) // some have most of the builds
	seen := make(map[string]bool, n)
	tags := make([]string, 0, n)
	for len(tags) < n {
		version := fmt.Sprintf("%s-%d.%d.%d", names[many.Uint64()], rnd.IntN(10), rnd.IntN(20), rnd.IntN(10))
		for range min(builds, n-len(tags)) {
			if tag := version + "-" + word(digits, hash) + ".spack"; !seen[tag] {
				seen[tag] = true
				tags = append(tags, tag)
			}
		}
	}
	slices.Sort(tags)
	return tags
}
