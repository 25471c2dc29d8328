package split

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

var (
	onsets = strings.Fields("b c d f g h j k l m n p r s t v w z st tr pr gr cl sp ch sh")
	vowels = strings.Fields("a e i o u a e o ai ea")
	codas  = strings.Fields("n r s t l x nd rt ck st m")
)

// word is made of syllables, so that words begin as words do: with some letters more
// often than with others.
func word(rnd *rand.Rand, syllables int) (w string) {
	of := func(list []string) string { return list[rnd.IntN(len(list))] }
	for range syllables {
		w += of(onsets) + of(vowels)
		if rnd.IntN(2) == 0 {
			w += of(codas)
		}
	}
	return w
}

// vocabulary is some words, of which the first are the most usual.
func vocabulary(rnd *rand.Rand, n int) func() string {
	words := distinct(n, func(int) string { return word(rnd, 1+rnd.IntN(3)) })
	usual := rand.NewZipf(rnd, 1.1+rnd.Float64()/2, 2, uint64(n-1))
	return func() string { return words[usual.Uint64()] }
}

func hexadecimals(rnd *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[rnd.IntN(len(digits))]
	}
	return string(b)
}

// moreShapes are like what registries hold. The planner was developed on the first of
// them, beside shapes; those from keptApart on were looked at when it was done.
var moreShapes = []shape{
	{"thirty packages", func(rnd *rand.Rand, n int) []string {
		name := vocabulary(rnd, 30)
		return distinct(n, func(int) string {
			return fmt.Sprintf("%s-%d.%d.%d-%s.spack", name(), rnd.IntN(4), rnd.IntN(12), rnd.IntN(6), base32hash(rnd))
		})
	}},
	{"many packages", func(rnd *rand.Rand, n int) []string {
		name := vocabulary(rnd, 3000)
		return distinct(n, func(int) string { return name() + "-" + name() + "-" + hexadecimals(rnd, 7) })
	}},
	{"one platform", func(rnd *rand.Rand, n int) []string {
		name := vocabulary(rnd, 300)
		return distinct(n, func(int) string {
			return "linux-ubuntu22.04-x86_64_v3-gcc-12.3.0-" + name() + "-" + base32hash(rnd)
		})
	}},
	{"three platforms", func(rnd *rand.Rand, n int) []string {
		name, platforms := vocabulary(rnd, 300), []string{"darwin-m2", "linux-rhel8-zen3", "linux-ubuntu22.04-x86_64_v3"}
		return distinct(n, func(int) string {
			return platforms[min(2, rnd.IntN(5))] + "-" + name() + "-" + base32hash(rnd)
		})
	}},
	{"commits", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string { return hexadecimals(rnd, 40) })
	}},
	{"branches", func(rnd *rand.Rand, n int) []string {
		name := vocabulary(rnd, 400)
		return distinct(n, func(int) string {
			return []string{"main", "feature-", "fix-", "renovate-", "release-"}[rnd.IntN(5)] + name() + "-" + hexadecimals(rnd, 8)
		})
	}},
	{"days", func(rnd *rand.Rand, n int) []string { // and builds of a day
		from := time.Date(2019, 3, 1, 0, 0, 0, 0, time.UTC)
		return distinct(n, func(int) string {
			return from.AddDate(0, 0, rnd.IntN(2500)).Format("2006.01.02") + fmt.Sprintf(".%d", rnd.IntN(400))
		})
	}},
	{"padded numbers", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string { return fmt.Sprintf("%08d", rnd.IntN(40*n)) })
	}},
	{"pull requests", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string {
			return fmt.Sprintf("pr-%d-%s", 1+int(float64(30_000)*math.Sqrt(rnd.Float64())), hexadecimals(rnd, 7))
		})
	}},
	{"capitals", func(rnd *rand.Rand, n int) []string {
		name := vocabulary(rnd, 500)
		return distinct(n, func(int) string {
			w := name()
			if rnd.IntN(3) == 0 {
				w = strings.ToUpper(w[:1]) + w[1:]
			}
			return fmt.Sprintf("%s_%d.%d", w, rnd.IntN(40), rnd.IntN(400))
		})
	}},
	{"signatures", func(rnd *rand.Rand, n int) []string { // of versions
		return distinct(n, func(i int) string {
			if i%3 > 0 {
				return "sha256-" + hexadecimals(rnd, 64) + ".sig"
			}
			return fmt.Sprintf("v%d.%d.%d", rnd.IntN(9), rnd.IntN(60), rnd.IntN(400))
		})
	}},

	// Kept apart.
	{"two clusters", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(i int) string {
			if i%10 == 0 {
				return "aarch64-" + word(rnd, 2) + hexadecimals(rnd, 4)
			}
			return "x86-64-" + word(rnd, 3) + hexadecimals(rnd, 4)
		})
	}},
	{"distributions", func(rnd *rand.Rand, n int) []string {
		of := strings.Fields("alpine3.18 alpine3.19 alpine3.20 bookworm bullseye trixie noble jammy slim-bookworm windowsservercore-ltsc2022")
		return distinct(n, func(int) string {
			return fmt.Sprintf("%d.%d.%d-%s-%d", 1+rnd.IntN(24), rnd.IntN(22), rnd.IntN(30), of[rnd.IntN(len(of))], rnd.IntN(9))
		})
	}},
	{"build stamps", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string {
			return fmt.Sprintf("build.%d", 1_600_000_000+rnd.IntN(150_000_000))
		})
	}},
	{"namespaces", func(rnd *rand.Rand, n int) []string {
		team, app := vocabulary(rnd, 40), vocabulary(rnd, 40)
		return distinct(n, func(int) string {
			return fmt.Sprintf("%s.%s.%s-%04d", team(), app(), []string{"dev", "prod", "stage"}[rnd.IntN(3)], rnd.IntN(10_000))
		})
	}},
	{"a matrix", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string {
			return fmt.Sprintf("py3.%d-torch%d.%d-cu%d-%s", 7+rnd.IntN(7), 1+rnd.IntN(2), rnd.IntN(10), 102+rnd.IntN(24), hexadecimals(rnd, 7))
		})
	}},
	{"described commits", func(rnd *rand.Rand, n int) []string {
		return distinct(n, func(int) string {
			return fmt.Sprintf("v%d.%d.%d-%d-g%s", rnd.IntN(4), rnd.IntN(30), rnd.IntN(12), 1+int(rnd.ExpFloat64()*40), hexadecimals(rnd, 7))
		})
	}},
	{"channels", func(rnd *rand.Rand, n int) []string {
		channels := strings.Fields("edge edge edge beta nightly stable canary")
		return distinct(n, func(int) string {
			return fmt.Sprintf("%s-%d", channels[rnd.IntN(len(channels))], 1+rnd.IntN(4*n))
		})
	}},
	{"known packages", func(rnd *rand.Rand, n int) []string {
		names := strings.Fields(`autoconf automake bash binutils bison boost bzip2 ca-certificates cmake curl diffutils
			eigen expat ffmpeg fftw findutils flex freetype gawk gcc gdbm gettext git glib gmp go gzip hdf5 hwloc icu
			jq kokkos lapack libarchive libffi libiconv libpng libtool libxml2 llvm lua lz4 m4 make mesa mpfr mpich
			ncurses netcdf ninja numactl openblas openmpi openssl pcre2 perl petsc pkgconf postgresql python py-numpy
			py-pip py-scipy py-setuptools py-torch qt r-ggplot2 r-rcpp readline ruby rust sed slurm sqlite tar tcl
			texinfo trilinos unzip util-linux vim wget xz yaml-cpp zlib zstd`)
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		number := func(mean float64) int { return int(rnd.ExpFloat64() * mean) }
		return distinct(n, func(int) string {
			return fmt.Sprintf("%s-%d.%d.%d-%s", names[min(len(names)-1, number(20))], number(2), number(6), number(3), base32hash(rnd)[:8])
		})
	}},
}

// keptApart is the first of moreShapes that the planner was not developed on.
const keptApart = 11
