package conformance

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// eachWay lists from a script by default, in pages and with several requests at
// once: the list is complete, or where it cannot be an error.
func eachWay(t *testing.T, want []string, s func() script, errorsToo bool) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	for _, pageSize := range []int{0, -1, 50, 100, 1000} {
		for _, concurrency := range []int{1, 4, 16} {
			synctest.Test(t, func(t *testing.T) {
				tags, requests, err := s().listed(t, &ocitags.Client{PageSize: pageSize, Concurrency: concurrency})
				if err != nil && errorsToo {
					return
				}
				require.NoError(t, err, "PageSize %d, Concurrency %d, %d requests", pageSize, concurrency, requests)
				assert.True(t, slices.Equal(want, tags), "PageSize %d, Concurrency %d: %d of %d tags", pageSize, concurrency, len(tags), len(want))
			})
		}
	}
}

// behind is what a list has behind the place of last; unknown: nothing.
func behind(list []string, last string) []string {
	if last == "" {
		return list
	}
	if i := slices.Index(list, last); i >= 0 {
		return list[i+1:]
	}
	return nil
}

func linkAfter(page []string, n int) string {
	return fmt.Sprintf(`</v2/a/b/tags/list?last=%s&n=%d>; rel="next"`, page[len(page)-1], n)
}

// FAULTS 93: n is clamped, and only a page that has the n which was asked for is
// announced to go on. The try with a larger n must not end the list.
func TestFault93ClampedTry(t *testing.T) {
	t.Parallel()
	list := sortedTags(25_000)
	for _, most := range []int{1002, 1500, 2000, 5000, 9999} {
		s := script(func(_, n int, last string) (a scripted) {
			if n == 0 {
				n = 100
			}
			a.page = upTo(after(list, last), min(n, most))
			if len(a.page) == n {
				a.link = linkAfter(a.page, n)
			}
			return a
		})
		for _, concurrency := range []int{1, 4, 16} {
			synctest.Test(t, func(t *testing.T) {
				tags, _, err := s.listed(t, &ocitags.Client{Concurrency: concurrency})
				require.NoError(t, err)
				assert.Len(t, tags, len(list), "at most %d", most)
			})
		}
	}
}

// FAULTS 94: n over 1000 is answered with nothing, or with the default page.
func TestFault94EmptyTry(t *testing.T) {
	t.Parallel()
	list := sortedTags(5000)
	for name, over := range map[string]func(rest []string) scripted{
		"[]":      func([]string) scripted { return scripted{} },
		"null":    func([]string) scripted { return scripted{raw: `{"tags":null}`} },
		"default": func(rest []string) scripted { return scripted{page: upTo(rest, 100)} },
	} {
		s := script(func(_, n int, last string) (a scripted) {
			rest := after(list, last)
			if n > 1000 {
				return over(rest)
			}
			if n == 0 {
				n = 100
			}
			if a.page = upTo(rest, n); len(a.page) < len(rest) {
				a.link = linkAfter(a.page, n)
			}
			return a
		})
		t.Run(name, func(t *testing.T) { eachWay(t, list, func() script { return s }, false) })
	}
}

// FAULTS 95: ghcr.io lists by age, and the tag that is the cursor is pushed again
// between two pages, or others after it.
func TestFault95CursorIsPushedAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			list := makeTags(2500)
			rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			moved := map[string]bool{}
			var cursor string
			s := script(func(k, n int, last string) (a scripted) {
				if k > 1 && k < 12 {
					for range 1 + rnd.IntN(3) { // the next cursor, and one or two near it
						at := slices.Index(list, cursor) - rnd.IntN(2)
						if at >= 0 {
							tag := list[at]
							moved[tag] = true
							list = append(slices.Delete(list, at, at+1), tag)
						}
						cursor = list[rnd.IntN(len(list))]
					}
				}
				if n == 0 {
					n = 100
				}
				rest := behind(list, last)
				if a.page = upTo(rest, min(n, 1000)); len(a.page) > 0 {
					cursor = a.page[len(a.page)-1]
				}
				if len(a.page) < len(rest) {
					a.link = linkAfter(a.page, n)
				}
				return a
			})
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: []int{0, 100, 1000}[seed%3], Concurrency: 1})
			if err != nil {
				return
			}
			for _, tag := range list {
				if _, found := slices.BinarySearch(tags, tag); !found {
					t.Fatalf("seed %d: %q is missing (moved: %v)", seed, tag, moved[tag])
				}
			}
		})
	}
}

// FAULTS 96 and 97: a body is cut short, and the retry brings the list in another
// order, or more of it.
func TestFault96AnotherTryIsAnotherList(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			list := sortedTags(777)
			s := script(func(k, _ int, _ string) scripted {
				page := slices.Clone(list)
				if seed%2 == 0 {
					rnd.Shuffle(len(page), func(i, j int) { page[i], page[j] = page[j], page[i] })
				} else if k == 1 {
					page = slices.DeleteFunc(page, func(string) bool { return rnd.IntN(40) == 0 })
				}
				return scripted{page: page, cut: k == 1}
			})
			tags, _, err := s.listed(t, &ocitags.Client{})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "seed %d", seed)
		})
	}
}

// FAULTS 97: the same where so many tags have come that Tags remembers only the last ones.
func TestFault97OnALongPage(t *testing.T) {
	remember(t, 300)
	synctest.Test(t, func(t *testing.T) {
		list := sortedTags(1150)
		network := testNetwork(t)
		cut, left := false, len(list)
		network.Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case req.URL.Query().Has("last"):
				_, _ = io.WriteString(w, `{"tags":[]}`)
			case !cut:
				cut = true
				_, _ = io.WriteString(w, `{"tags":["`+strings.Join(slices.Delete(slices.Clone(list[:750]), 5, 6), `","`))
			default:
				_, _ = io.WriteString(w, `{"tags":["`+strings.Join(list[:left], `","`)+`"]}`)
			}
		}))
		c := anonymous(network)
		tags, err := c.ListTags(t.Context(), ref)
		require.NoError(t, err)
		assert.Equal(t, list, tags)

		cut = false
		tags, err = inTurn(t, c.Tags(t.Context(), ref))
		require.NoError(t, err)
		assert.ElementsMatch(t, list, tags)

		cut, left = false, 233 // none of those that are remembered comes again
		_, err = inTurn(t, c.Tags(t.Context(), ref))
		require.ErrorIs(t, err, ocitags.ErrInvalidResponse, "one of them may be new")
		assert.ErrorContains(t, err, "page 1: ")
	})
}

// FAULTS 97: the same on the second page of three.
func TestFault97OnTheSecondPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := sortedTags(3000)
		s := script(func(k, n int, last string) (a scripted) {
			rest := after(list, last)
			if n == 0 {
				n = 100
			}
			if a.page = upTo(rest, n); len(a.page) < len(rest) {
				a.link = linkAfter(a.page, n)
			}
			if k == 2 { // from a replica that lags, and cut
				a.page, a.cut = slices.Delete(slices.Clone(a.page), 3, 4), true
			}
			return a
		})
		tags, _, err := s.listed(t, &ocitags.Client{PageSize: 1000, Concurrency: 1})
		require.NoError(t, err)
		assert.Len(t, tags, 3000)
	})
}

// FAULTS 98: the list is read again, because its order broke late, and has a new
// member in the part that was read.
func TestFault98NewMemberInTheReplay(t *testing.T) {
	var list []string
	for i := range 40_000 {
		list = append(list, fmt.Sprintf("b-%05d", i))
	}
	list = append(list, "a")
	asked := 0
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 2 {
			list = slices.Insert(list, 7, list[6]+"x")
		}
		_, _ = fmt.Fprintf(w, `{"tags":["%s"]}`, strings.Join(list, `","`))
	}))
	seen := map[string]bool{}
	for tag, err := range anonymous(network).Tags(t.Context(), ref) {
		require.NoError(t, err)
		require.False(t, seen[tag], "%s twice", tag)
		seen[tag] = true
	}
	assert.Len(t, seen, 40_002)
}

// pageAfter returns a page of a sorted list, and whether it was asked for after a string that
// is no tag.
func pageAfter(list []string, n int, last string) (a scripted, unknown bool) {
	rest := after(list, last)
	if a.page = upTo(rest, n); len(a.page) < len(rest) {
		a.link = linkAfter(a.page, n)
	}
	_, known := slices.BinarySearch(list, last)
	return a, last != "" && !known
}

// FAULTS 99: a part of a scan ends early, n-1 tags after a last that is not a tag, and
// other parts have tags behind it.
func TestFault99PartEndsEarly(t *testing.T) {
	t.Parallel()
	list := sortedTags(8000)
	s := script(func(_, n int, last string) scripted {
		a, unknown := pageAfter(list, cmp.Or(n, 100), last)
		if unknown {
			return scripted{page: upTo(a.page, cmp.Or(n, 100)-1)}
		}
		return a
	})
	eachWay(t, list, func() script { return s }, false)
}

// A part of a scan that is dropped was a part of the list all the same. Here each page that is
// asked for after a string which is no tag is out of order, so that the scan is given up, and
// has in its middle a tag that comes in no other way.
func TestDroppedPartsHadOtherTags(t *testing.T) {
	list := sortedTags(8000)
	s := script(func(_, n int, last string) scripted {
		a, unknown := pageAfter(list, cmp.Or(n, 100), last)
		if a.took = 2 * time.Millisecond; unknown && len(a.page) > 3 {
			a.page = slices.Insert(slices.Clone(a.page), 2, "other")
			a.took = time.Millisecond // it comes before the list has ended
		}
		return a
	})
	for _, concurrency := range []int{4, 16} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: 50, Concurrency: concurrency})
			assert.Error(t, err, "%d tags", len(tags))
		})
	}
}

// s3 is distribution 3.1.2 on S3: sorted by object keys, cut by tags.
func s3(list []string, most int, without bool) script {
	return func(_, n int, last string) (a scripted) {
		var rest []string
		for _, tag := range list {
			if tag > last {
				rest = append(rest, tag)
			}
		}
		if n == 0 && without {
			return scripted{page: rest}
		}
		n = min(max(n, 1), most)
		if a.page = upTo(rest, n); len(a.page) == n {
			a.link = linkAfter(a.page, n)
		}
		return a
	}
}

func byKeys(tags []string) []string {
	return slices.SortedFunc(slices.Values(tags), func(a, b string) int { return strings.Compare(a+"/", b+"/") })
}

// FAULTS 100 and 101: S3's disorder does not show, because its tag is deleted
// before the question, or the host was seen to list by age before.
func TestFault100DisorderOnS3(t *testing.T) {
	t.Parallel()
	var hidden []string // a disorder that no page shows
	for i := range 999 {
		hidden = append(hidden, fmt.Sprintf("t%04d", i))
	}
	hidden = append(hidden, "u-1", "u")
	for i := range 500 {
		hidden = append(hidden, fmt.Sprintf("v%04d", i))
	}
	for name, list := range map[string][]string{"shown": byKeys(makeTags(1800)), "hidden": byKeys(hidden), "small": byKeys([]string{"a", "a-1", "a-1-x", "a.1", "a0", "a_1"})} {
		for _, pageSize := range []int{0, 1, 2, 3, 50, 100, 1000} {
			if pageSize > 0 && len(list) > 100*pageSize {
				continue
			}
			for _, concurrency := range []int{0, 1, 16} {
				synctest.Test(t, func(t *testing.T) {
					c := &ocitags.Client{PageSize: pageSize, Concurrency: concurrency}
					for range 2 {
						tags, requests, err := s3(list, 1000, true).listed(t, c)
						require.NoError(t, err)
						assert.Len(t, tags, len(list), "%s, PageSize %d", name, pageSize)
						if pageSize == 0 {
							assert.LessOrEqual(t, requests, 3, name)
						}
					}
				})
			}
		}
	}
	t.Run("deleted before the question", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			list := byKeys(makeTags(1800))
			gone := ""
			s := script(func(k, n int, last string) scripted {
				if k == 2 {
					for i := range list[1:] {
						if list[i] > list[i+1] { // the first pair that is out of order
							gone = list[i]
							list = slices.Delete(list, i, i+1)
							break
						}
					}
				}
				return s3(list, 1000, true)(k, n, last)
			})
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: 100, Concurrency: 1})
			require.NoError(t, err)
			assertHas(t, tags, slices.DeleteFunc(slices.Clone(list), func(tag string) bool { return tag == gone }))
		})
	})
	t.Run("after a repository that is listed by age", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &ocitags.Client{PageSize: 100, Concurrency: 1}
			byAge := makeTags(700)
			_, _, err := script(func(_, n int, last string) (a scripted) {
				rest := behind(byAge, last)
				if a.page = upTo(rest, max(n, 100)); len(a.page) < len(rest) {
					a.link = linkAfter(a.page, n)
				}
				return a
			}).listed(t, c)
			require.NoError(t, err)
			list := byKeys(makeTags(1800))
			tags, _, err := s3(list, 1000, true).listed(t, c)
			require.NoError(t, err)
			assert.Len(t, tags, len(list))
		})
	})
}

// FAULTS 102: sorted in one known order and cut by another.
func TestFault102SortedAndCutOtherwise(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	many := map[string]bool{}
	for len(many) < 5000 {
		b := make([]byte, 1+rnd.IntN(7))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[rnd.IntN(52)]
		}
		many[string(b)] = true
	}
	for _, list := range [][]string{{"a", "B", "c", "D"}, sortedKeys(many)} {
		slices.SortFunc(list, func(a, b string) int {
			if c := strings.Compare(strings.ToLower(a), strings.ToLower(b)); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		for _, pageSize := range []int{0, 2, 10, 100} {
			synctest.Test(t, func(t *testing.T) {
				s := script(func(k, n int, last string) scripted { return s3(list, 100_000, true)(k, n, last) })
				tags, _, err := s.listed(t, &ocitags.Client{PageSize: pageSize, Concurrency: 1})
				require.NoError(t, err)
				assert.Len(t, tags, len(list), "PageSize %d", pageSize)
			})
		}
	}
}

// An answer may begin as the list does, and have other tags behind: here what is greater
// than a lower-case tag where case is folded, in a list that is sorted by bytes. It shows
// that last is looked at.
func TestAnswerThatBeginsAsTheListDoes(t *testing.T) {
	var list []string
	for i := range 2300 {
		list = append(list, fmt.Sprintf("%s-%04d", map[bool]string{true: "B", false: "a"}[i < 300], i))
	}
	s := script(func(_, n int, last string) (a scripted) {
		for _, tag := range list {
			if n == 0 || strings.ToLower(tag) > last {
				a.page = append(a.page, tag)
			}
		}
		a.page = upTo(a.page, 1000)
		return a
	})
	synctest.Test(t, func(t *testing.T) {
		_, _, err := s.listed(t, new(ocitags.Client))
		require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
	})
}

// FAULTS 103: a page of nothing but digests in the middle, and no Link.
func TestFault103PageOfDigests(t *testing.T) {
	list := sortedTags(300)
	mixed := slices.Clone(list)
	for i := range 100 {
		mixed = slices.Insert(mixed, 150+i, fmt.Sprintf("sha256:%064x", i))
	}
	s := script(func(_, n int, last string) scripted {
		rest := behind(mixed, last)
		if n == 0 {
			n = len(rest)
		}
		return scripted{page: upTo(rest, min(n, 50))}
	})
	eachWay(t, list, func() script { return s }, false)
}

// FAULTS 104: a registry like quay whose API is empty, while the ordinary answer
// had tags.
func TestFault104EmptyAPI(t *testing.T) {
	r := regtest.New(regtest.ByName("quay")).Push("a/b", makeTags(500)...)
	more := true
	r.Profile.Extra = func(body map[string]any, _ []string) { body["has_additional"] = more }
	network := testNetwork(t).Handle("registry.example", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if isJSON(req.URL.Path) {
			more = false
			_, _ = io.WriteString(w, `{"tags":[],"has_additional":false}`)
			return
		}
		r.ServeHTTP(w, req)
	}))
	for _, credentials := range []ocitags.CredentialFunc{ocitags.Anonymous, ocitags.StaticCredential("registry.example", user)} {
		more = true
		mustList(t, withCredentials(network, credentials), ref, r, "a/b")
	}
}

// FAULTS 105: the list without n is shorter than what is known.
func TestFault105ShortWithoutN(t *testing.T) {
	list := sortedTags(5000)
	for _, most := range []int{1000, 10_000} {
		s := script(func(_, n int, _ string) scripted { // last is not looked at
			if n == 0 {
				n = 100
			}
			return scripted{page: upTo(list, min(n, most))}
		})
		for _, c := range []*ocitags.Client{{}, {Concurrency: 1}, {PageSize: 1000}, {PageSize: 1000, Concurrency: 16}} {
			synctest.Test(t, func(t *testing.T) {
				tags, _, err := s.listed(t, c)
				if most > len(list) {
					require.NoError(t, err)
					assert.Len(t, tags, len(list))
					return
				}
				require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
				assert.Contains(t, err.Error(), "the list without n has 100 tags, and 1000 are known")
			})
		}
	}
}

// FAULTS 106: one single 4xx in answer to a question of ours.
func TestFault106OneRefusal(t *testing.T) {
	t.Parallel()
	list := sortedTags(2500)
	for _, status := range []int{400, 402, 405, 406, 409, 410} {
		s := func() script {
			refused := false
			return func(_, n int, last string) (a scripted) {
				if last != "" && !refused {
					refused = true
					return scripted{status: status}
				}
				if n == 0 {
					n = 100
				}
				return scripted{page: upTo(after(list, last), min(n, 100))}
			}
		}
		eachWay(t, list, s, true)
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s().listed(t, &ocitags.Client{})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "%d", status)
		})
	}
}

// FAULTS 107: a tag that was not read yet, and then the head of the list, are
// pushed again and again while quay's pages are read in a row.
func TestFault107QuayHeadMoves(t *testing.T) {
	ref, r, network := newRegistry(t, "quayjson", "a/b", 350)
	all := want(r, "a/b")
	r.Fault = func(k int, _ *http.Request) regtest.Fault {
		list := r.Tags("a/b")
		head, unread := makeTags(350)[349], list[:1] // the oldest is read last
		if k > 1 && k < 12 {
			r.Push("a/b", unread...)
			r.Push("a/b", head)
		}
		return regtest.Fault{}
	}
	got, err := anonymous(network).ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, all, got)
}

// FAULTS 108: last is honoured only beside n.
func TestFault108LastOnlyWithN(t *testing.T) {
	list := sortedTags(777)
	for _, page := range []int{50, 100} {
		s := script(func(_, n int, last string) scripted {
			if n == 0 {
				return scripted{page: upTo(list, page)}
			}
			return scripted{page: upTo(after(list, last), min(n, page))}
		})
		eachWay(t, list, func() script { return s }, false)
	}
}

// FAULTS 109: cursors are offsets, as at Artifactory up to 7.46, and a deletion
// shifts what follows.
func TestFault109OffsetsShift(t *testing.T) {
	for k := 2; k < 6; k++ {
		for _, at := range []int{0, 5, 99, 150, 299} {
			synctest.Test(t, func(t *testing.T) {
				list := sortedTags(777)
				s := script(func(i, n int, last string) (a scripted) {
					if i == k {
						list = slices.Delete(slices.Clone(list), at, at+1)
					}
					from, _ := strconv.Atoi(last)
					rest := list[min(from, len(list)):]
					if a.page = upTo(rest, 100); len(a.page) < len(rest) {
						a.link = fmt.Sprintf(`<?n=100&last=%d>; rel="next"`, from+100)
					}
					return a
				})
				tags, _, err := s.listed(t, &ocitags.Client{PageSize: 100, Concurrency: 4})
				require.NoError(t, err)
				assertHas(t, tags, list, "%d deleted before request %d", at, k)
			})
		}
	}
}

// FAULTS 110: an answer to a question of ours has nothing new, and a next Link.
func TestFault110LinkWithoutNews(t *testing.T) {
	list := sortedTags(777)
	eachWay(t, list, func() script {
		linked := false
		return func(_, _ int, last string) (a scripted) {
			rest := after(list, last)
			switch {
			case last == "":
				return scripted{page: upTo(rest, 100)}
			case !linked:
				linked = true
				return scripted{page: list[:100], link: linkAfter(list[:100], 100)}
			}
			if a.page = upTo(rest, 100); len(a.page) < len(rest) {
				a.link = linkAfter(a.page, 100)
			}
			return a
		}
	}, true)
}

// FAULTS 111: an empty page in the middle, whose Link has an empty last.
func TestFault111EmptyPageInTheMiddle(t *testing.T) {
	list := sortedTags(777)
	eachWay(t, list, func() script {
		pages := 0
		return func(_, n int, last string) (a scripted) {
			if n == 0 {
				n = 50
			}
			rest := after(list, last)
			if pages++; pages == 3 {
				return scripted{link: `<?n=50&last=>; rel="next"`}
			}
			if a.page = upTo(rest, min(n, 50)); len(a.page) < len(rest) {
				a.link = linkAfter(a.page, 50)
			}
			return a
		}
	}, true)
}

// FAULTS 112: the first page is empty because n is over a limit.
func TestFault112EmptyOverTheLimit(t *testing.T) {
	list := sortedTags(777)
	s := script(func(_, n int, last string) (a scripted) {
		if n > 500 {
			return a
		}
		if n == 0 {
			n = 100
		}
		rest := after(list, last)
		if a.page = upTo(rest, n); len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	})
	eachWay(t, list, func() script { return s }, false)
}

// FAULTS 113: a Link to the own list whose relation is missing or odd.
func TestFault113OddRelations(t *testing.T) {
	t.Parallel()
	list := sortedTags(300)
	for _, rel := range []string{``, `; rel='next'`, `; rel=“next”`, `; rel:next`, `; rel=next>`, `; "rel"="next"`, `; rel*=UTF-8''next`, `; rel="prev"; rel="next"`} {
		s := script(func(_, _ int, last string) (a scripted) {
			rest := after(list, last)
			if a.page = upTo(rest, 30); len(a.page) < len(rest) {
				a.link = "</v2/a/b/tags/list?n=30&last=" + a.page[29] + ">" + rel
			}
			return a
		})
		eachWay(t, list, func() script { return s }, false)
	}
}

// FAULTS 114: an error text under 200, beside a list that is null or empty, on a
// later page.
func TestFault114ErrorTextUnder200(t *testing.T) {
	list := sortedTags(777)
	for _, body := range []string{`{"tags":null,"error":"backend timeout"}`, `{"tags":[],"message":"rate limited"}`, `{"message":"x","tags":[]}`, `{"tags":[],"errors":[{"code":"X"}]}`} {
		synctest.Test(t, func(t *testing.T) {
			s := script(func(k, _ int, last string) (a scripted) {
				if k >= 3 {
					return scripted{raw: body}
				}
				a.page = upTo(after(list, last), 100)
				a.link = linkAfter(a.page, 100)
				return a
			})
			_, _, err := s.listed(t, &ocitags.Client{Concurrency: 1})
			require.ErrorIs(t, err, ocitags.ErrInvalidResponse, body)
		})
	}
}

// FAULTS 115: "Tags" beside "tags".
func TestFault115OtherCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := script(func(int, int, string) scripted { return scripted{raw: `{"tags":[],"Tags":["a"]}`} }).listed(t, &ocitags.Client{})
		require.ErrorIs(t, err, ocitags.ErrInvalidResponse)
	})
}

// A page that begins as the list does, but lacks others of it, is no repetition of
// its start: the registry compares with last by another order than that of the
// The answer to an n that was never answered with a tag tells nothing, whatever
// last is: n may be over a limit.
func TestNothingForALargeN(t *testing.T) {
	list := sortedTags(2000)
	s := script(func(_, n int, last string) (a scripted) {
		if n == 0 {
			return scripted{page: upTo(list, 200)} // where last is not looked at
		}
		if n <= 100 {
			a.page = upTo(after(list, last), n)
		}
		return a
	})
	eachWay(t, list, func() script { return s }, false)
	synctest.Test(t, func(t *testing.T) {
		c := new(ocitags.Client)
		_, _, err := s3(byKeys(makeTags(1800)), 1000, true).listed(t, c)
		require.NoError(t, err, "from now on, the list without n is asked for first")
		tags, _, err := s.listed(t, c)
		require.NoError(t, err)
		assert.Equal(t, list, tags)
	})
}

// What is asked for to compare is tried again like any other request, where
// nothing else is evidence.
func TestComparedAgain(t *testing.T) {
	list := sortedTags(500)
	for _, failures := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			compared := 0
			tags, _, err := script(func(_, n int, last string) scripted {
				switch {
				case last != "":
					return scripted{status: 405}
				case n > 0:
					return scripted{page: list[:128]}
				}
				if compared++; compared <= failures {
					return scripted{status: 503}
				}
				return scripted{page: list}
			}).listed(t, &ocitags.Client{})
			require.NoError(t, err)
			assert.Len(t, tags, len(list))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, _, err := script(func(_, n int, last string) scripted {
			switch {
			case last != "":
				return scripted{status: 405}
			case n > 0:
				return scripted{page: list[:128]}
			}
			return scripted{status: 503}
		}).listed(t, &ocitags.Client{})
		require.ErrorContains(t, err, "503")
	})
}

// strictlyFolded is a registry that does not look at case, neither where it sorts
// nor where it compares with last.
func strictlyFolded(list []string, links bool) script {
	list = slices.SortedStableFunc(slices.Values(list), func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	})
	return func(_, n int, last string) (a scripted) {
		rest := list[sort.Search(len(list), func(i int) bool { return strings.ToLower(list[i]) > strings.ToLower(last) }):]
		if last == "" {
			rest = list
		}
		if n == 0 {
			n = 100
		}
		if a.page = upTo(rest, min(n, 100)); links && len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	}
}

// Trow folds case: what comes after "rc" is not "RC", even if that is the next of
// the list and begins a page.
func TestTrowTakesCaseForNothing(t *testing.T) {
	var list []string
	for i := range 900 {
		tag := fmt.Sprintf("v%04d-Rc", i)
		list = append(list, tag)
		if i%3 > 0 {
			list = append(list, strings.ToUpper(tag))
		}
		if i%7 == 0 {
			list = append(list, strings.ToLower(tag))
		}
	}
	list = append(list, "B", "a", "C") // by bytes it would begin with "B"
	for _, links := range []bool{true, false} {
		eachWay(t, list, func() script { return strictlyFolded(list, links) }, false)
	}
}

// Where the pages do not fit together, a page that has room for the whole list
// tells what there is.
func TestDisorderWithRoom(t *testing.T) {
	list := strings.Fields("a B c D e-Rc f-rc F g H i J k L m N o P q R s T u V w X y Z")
	s := func(k, n int, last string) scripted {
		if n == 0 {
			n = 10
		}
		return s3(list, n, true)(k, n, last)
	}
	for _, pageSize := range []int{-1, 5, 10} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := script(s).listed(t, &ocitags.Client{PageSize: pageSize})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "PageSize %d", pageSize)
		})
	}
}

// A registry that answers no question at all, and has as many tags as a page or
// more, is asked for a larger page.
func TestNoQuestionIsAnswered(t *testing.T) {
	list := sortedTags(1001)
	s := script(func(_, n int, last string) (a scripted) {
		if n == 0 {
			n = 1000
		}
		if last == "" {
			a.page = upTo(list, min(n, 5000))
		}
		return a
	})
	for _, pageSize := range []int{0, 50} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: pageSize})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "PageSize %d", pageSize)
		})
	}
}

// The answer to what comes after a tag leaves out a known one: the registry
// compares in another order than it sorts in, which no pair of tags shows.
func TestTagIsLeftOut(t *testing.T) {
	list := strings.Fields("a1 a2 b_0 b_1 b-x b.y c1 c2") // punctuation first
	s := func(_, n int, last string) scripted {
		if n == 0 {
			n = 4
		}
		var rest []string
		for _, tag := range list {
			if tag > last {
				rest = append(rest, tag)
			}
		}
		return scripted{page: upTo(rest, n)}
	}
	for _, pageSize := range []int{3, 5} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := script(s).listed(t, &ocitags.Client{PageSize: pageSize})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "PageSize %d", pageSize)
		})
	}
}

// Where the pages do not show that they are continued in their order, and the list
// never comes at once, a short list is read in larger pages, too.
func TestLargerPagesForDoubt(t *testing.T) {
	var list []string
	for i := range 30 {
		list = append(list, fmt.Sprintf("1.%02d-Rc", i), fmt.Sprintf("release-%02d", i), fmt.Sprintf("V%02d", i))
	}
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	s := func(_, n int, last string) scripted {
		switch {
		case n > 100:
			return scripted{}
		case n == 0:
			n = 50
		}
		var rest []string
		for _, tag := range list {
			if tag > last {
				rest = append(rest, tag)
			}
		}
		a := scripted{page: upTo(rest, n)}
		if len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	}
	synctest.Test(t, func(t *testing.T) {
		tags, _, err := script(s).listed(t, &ocitags.Client{})
		require.NoError(t, err)
		assert.Len(t, tags, len(list))
	})
}

// The start of the list, in answer to a question in a form in which the registry
// does not look at last, does not say that it looks up the place of last.
func TestStartOfTheListIsNoAnswer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		g := &regtest.Generated{Default: 64, Max: 50, Over: "default", Links: "always", Form: "path", Order: "keys", Cursor: "bytes", Last: "with n", Host: "registry.example", Name: "a/b"}
		g.Fill(rnd, 100+rnd.IntN(500))
		synctest.Test(t, func(t *testing.T) {
			tags, err := (&ocitags.Client{Transport: g, Credentials: ocitags.Anonymous, PageSize: 50, Concurrency: 1}).ListTags(t.Context(), ref)
			if err == nil {
				assert.Equal(t, g.Stable(), tags, "seed %d", seed)
			}
		})
	}
}

// A list that came whole without n, of a round number of tags, may have been cut: the registry
// looks at no tag, and sends a Link where it is asked for n. It is read again so, in pages that
// are not of the smallest size.
func TestWholeListIsReadAgainInLargePages(t *testing.T) {
	g := &regtest.Generated{Max: 1000, Over: "413", Links: "effective", Form: "path", Order: "bytes", Cursor: "token", Last: "never", Host: "registry.example", Name: "a/b"}
	g.Fill(rand.New(rand.NewPCG(1, 3)), 10_000)
	tags, err := (&ocitags.Client{Transport: g, Credentials: ocitags.Anonymous, PageSize: -1}).ListTags(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, g.Stable(), tags)
	assert.Less(t, g.Asked(), 20)
}

// A registry that is known to send a Link where there is more is not asked what
// comes after a small page, unless that is as long as caps are. Any other is.
func TestKnownRegistriesAnnounceMore(t *testing.T) {
	for host, known := range map[string]bool{
		"docker.io": true, "ghcr.io": true, "registry.gitlab.com": true, "public.ecr.aws": true, "123456789012.dkr.ecr.eu-west-1.amazonaws.com": true,
		"quay.io.example": false, "gitlab.example": false, "dkr.ecr.amazonaws.com.example": false, "example.amazonaws.com": false,
	} {
		for _, n := range []int{2, 73, 100, 251} {
			list := byKeys(builds(n))
			slices.Sort(list)
			c := &ocitags.Client{Concurrency: 1}
			_, requests, err := script(func(_, n int, last string) scripted {
				at, found := slices.BinarySearch(list, last)
				if found {
					at++
				}
				return scripted{page: list[at:]}
			}).listedAt(t, c, host)
			require.NoError(t, err)
			assert.Equal(t, known && n != 100, requests == 1, "%s, %d tags: %d requests", host, n, requests)
			assert.LessOrEqual(t, requests, 3)
		}
	}
}

// A silent cap may be of any size.
func TestSilentCapsOfAnySize(t *testing.T) {
	t.Parallel()
	list := builds(120)
	slices.Sort(list)
	for _, size := range []int{2, 3, 7, 10, 20, 25, 30, 49, 51, 73, 75, 99, 101, 119, 120} {
		for _, concurrency := range []int{1, 4} {
			synctest.Test(t, func(t *testing.T) {
				tags, _, err := script(func(_, n int, last string) scripted {
					at, found := slices.BinarySearch(list, last)
					if found {
						at++
					}
					return scripted{page: list[at:min(at+size, len(list))]}
				}).listed(t, &ocitags.Client{Concurrency: concurrency})
				require.NoError(t, err)
				assert.Equal(t, list, tags, "%d a page", size)
			})
		}
	}
}

// A page that has as many tags as pages have says nothing of what comes after it,
// though it ends with the last tag that is known: c is deleted while what comes after
// b is asked, and pushed again before the client has gone back to a.
func TestFullPageThatEndsWithTheLastTag(t *testing.T) {
	list := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, size := range []int{2, 3} {
		synctest.Test(t, func(t *testing.T) {
			asked := map[string]bool{}
			tags, _, err := script(func(_, _ int, last string) scripted {
				gone := ""
				if last != "" && !asked["moved"] && asked["question"] {
					gone, asked["moved"] = list[size], true
				}
				asked["question"] = asked["question"] || last != ""
				var page []string
				for _, tag := range list {
					if tag > last && tag != gone && len(page) < size {
						page = append(page, tag)
					}
				}
				return scripted{page: page}
			}).listed(t, &ocitags.Client{Concurrency: 1})
			require.NoError(t, err)
			assert.Equal(t, list, tags, "%d a page", size)
			assert.True(t, asked["moved"])
		})
	}
}

// A page that was asked for without n, as the registry answered best so before, says
// nothing of n: what comes after it is asked without n, too.
func TestQuestionsAreAskedAsThePageWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ocitags.Client{Concurrency: 1}
		_, _, err := s3(byKeys(makeTags(1800)), 1000, true).listed(t, c)
		require.NoError(t, err)
		list := builds(100)
		var asked []int
		tags, _, err := script(func(_, n int, last string) scripted {
			if asked = append(asked, n); n > 0 {
				return scripted{status: 405}
			}
			at, found := slices.BinarySearch(list, last)
			if found {
				at++
			}
			return scripted{page: list[at:min(at+19, len(list))]}
		}).listed(t, c)
		require.NoError(t, err)
		assert.Equal(t, list, tags)
		assert.Equal(t, []int{0, 0}, asked[:2], "the first, as the list without n came at once before")
	})
}

// To compare the list without n with a long one, whose tags were forgotten, does not
// take another reading of it.
func TestComparingDoesNotReadTheListAgain(t *testing.T) {
	r := regtest.New(regtest.ByName("gitlab-c")).Push("a/b", packages(30_000)...)
	network := testNetwork(t).Handle("registry.example", r)
	n := 0
	for _, err := range anonymous(network).Tags(t.Context(), "registry.example/a/b") {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 30_000, n)
	assert.Contains(t, requests(r), "", "the list without n")
	assert.LessOrEqual(t, len(requests(r)), 32)
}

// A cursor that is a number of tags may be the name of the last tag, too. Its page is
// asked for with an overlap then, as at a registry that lists by age; where that leads to
// the start of the list, the Link is followed as it is.
func TestLinkWhoseOffsetIsATag(t *testing.T) {
	list := []string{"main", "b", "a", "z", "y", "x", "f", "dev", "9", "c", "latest", "h"}
	synctest.Test(t, func(t *testing.T) {
		tags, _, err := script(func(_, n int, last string) (a scripted) {
			switch {
			case n > 20:
				return scripted{raw: `{"tags":[]}`}
			case n == 0:
				return scripted{page: list[:9]}
			}
			from, _ := strconv.Atoi(last) // what is not a number is 0
			a.page = upTo(list[min(from, len(list)):], n)
			if len(a.page) == n {
				a.link = fmt.Sprintf(`<?n=%d&last=%d>; rel="next"`, n, from+n)
			}
			return a
		}).listed(t, new(ocitags.Client))
		require.NoError(t, err)
		assert.Equal(t, slices.Sorted(slices.Values(list)), tags)
	})
}

// Entries that are no tags say nothing of where the list goes on, as long as a page has
// tags: distribution compares last with them, and nobody knows where "sha256:abc" stands.
func TestPagesThatEndInNoTag(t *testing.T) {
	list := sortedTags(3000)
	s := script(func(_, n int, last string) scripted {
		page := upTo(after(list, last), min(1000, cmp.Or(n, 1000))-1)
		return scripted{raw: `{"tags":["` + strings.Join(append(slices.Clone(page), "sha256:abc"), `","`) + `"]}`}
	})
	for _, n := range []int{0, 100, -1} {
		tags, _, err := s.listed(t, &ocitags.Client{PageSize: n})
		require.NoError(t, err)
		assert.Equal(t, list, tags, "n=%d", n)
	}
}

// A registry that lets this user not see some tags after it has made its pages. What is
// left may be nothing, or the tag with which pages overlap. Its Link is followed.
func TestPagesOfHiddenTags(t *testing.T) {
	t.Parallel()
	for _, sorted := range []bool{true, false} {
		for _, size := range []int{100, 1000} {
			for _, hidden := range [][2]int{{0, size}, {size, 2 * size}, {size + 1, 2*size - 1}, {2*size - 5, 2*size + 5}, {1, 3*size - 1}} {
				list := makeTags(4*size + 7)
				if sorted {
					list = sortedTags(4*size + 7)
				}
				seen := func(page []string) (tags []string) {
					for _, tag := range page {
						if i := slices.Index(list, tag); i < hidden[0] || i >= hidden[1] {
							tags = append(tags, tag)
						}
					}
					return tags
				}
				s := script(func(_, n int, last string) (a scripted) {
					rest := behind(list, last)
					page := upTo(rest, min(size, cmp.Or(n, 100)))
					if a.page = seen(page); len(page) < len(rest) {
						a.link = linkAfter(page, len(page))
					}
					return a
				})
				want := slices.Sorted(slices.Values(seen(list)))
				tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
				require.NoError(t, err)
				assert.Equal(t, want, tags, "sorted %t, %d a page, hidden %v", sorted, size, hidden)
			}
		}
	}
}

// Where a cursor is a number of tags, as at Artifactory up to 7.46, it may count tags that are
// hidden from this user. A deletion shifts the places after it all the same.
func TestOffsetsCountHiddenTags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size    int
		visible int // one of so many
		deleted int // while the list is read
		without int // entries of a page without n, whose Link has no n either; 0: 100 entries, and the Link has an n
	}{{-1, 2, 200, 0}, {-1, 2, 200, 45}, {50, 2, 200, 0}, {1000, 2, 200, 0}, {-1, 40, 0, 0}, {-1, 40, 0, 45}, {50, 40, 0, 0}} {
		list := sortedTags(2345)
		hidden := map[string]bool{}
		for i, tag := range list {
			hidden[tag] = i%test.visible != 7%test.visible
		}
		all, gone := slices.Clone(list), 0
		s := script(func(k, n int, last string) (a scripted) {
			if k > 1 && k%2 == 0 && gone < test.deleted {
				list = slices.Delete(list, 1, 2) // of those that have come
				gone++
			}
			from, _ := strconv.Atoi(last)
			from = min(from, len(list))
			to := min(from+cmp.Or(n, test.without, 100), len(list))
			for _, tag := range list[from:to] {
				if !hidden[tag] {
					a.page = append(a.page, tag)
				}
			}
			switch {
			case to < len(list) && test.without > 0:
				a.link = fmt.Sprintf(`</v2/a/b/tags/list?last=%d>; rel="next"`, to)
			case to < len(list):
				a.link = fmt.Sprintf(`</v2/a/b/tags/list?last=%d&n=%d>; rel="next"`, to, cmp.Or(n, 100))
			}
			return a
		})
		tags, _, err := s.listed(t, &ocitags.Client{PageSize: test.size})
		require.NoError(t, err, "%+v", test)
		want := slices.DeleteFunc(all, func(tag string) bool { return hidden[tag] || !slices.Contains(list, tag) })
		assert.Subset(t, tags, want, "%+v", test)
	}
}

// The three tests below are of registries that sort by bytes, and compare with last as if all
// were lower case, so that what is lower case is lost after a page that ends in upper case.

// bytesAndFolded returns the tags that come after last at such a registry.
func bytesAndFolded(list []string, last string) (rest []string) {
	for _, tag := range list {
		if strings.ToLower(tag) > strings.ToLower(last) {
			rest = append(rest, tag)
		}
	}
	return rest
}

// upperAndLower returns a list of tags that begin with a digit, with upper case and with lower
// case, by bytes.
func upperAndLower(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("1.%04d", i), fmt.Sprintf("Feature-%04d", i), fmt.Sprintf("build-%04d", i), fmt.Sprintf("main-%04d", i))
	}
	slices.Sort(list)
	return list
}

// A Link may name a tag that this user may not see. It shows as much of how the registry
// compares as a tag of the page would, even if nothing comes after it.
func TestCursorsAreHiddenTags(t *testing.T) {
	for _, n := range []int{30, 200} {
		list := upperAndLower(n)
		isHidden := func(tag string) bool { return strings.HasSuffix(tag, "9") || strings.HasSuffix(tag, "4") }
		s := script(func(_, n int, last string) (a scripted) {
			page := bytesAndFolded(list, last)
			if n = min(n, 400); 0 < n && n < len(page) {
				for page = page[:n]; !isHidden(page[len(page)-1]); {
					page = page[:len(page)-1]
				}
				a.link = linkAfter(page, n)
			}
			a.page = slices.DeleteFunc(slices.Clone(page), isHidden)
			return a
		})
		for _, size := range []int{0, 50, 100, 1000} {
			synctest.Test(t, func(t *testing.T) {
				tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
				require.NoError(t, err)
				assert.Len(t, tags, 4*n/5*4, "PageSize %d", size)
			})
		}
	}
}

// A list without n that has all tags so far may be a page, where questions are answered with
// other parts of the list.
func TestListWithoutNIsAsLongAsAPage(t *testing.T) {
	list := upperAndLower(51)
	s := script(func(_, n int, last string) scripted {
		if n == 0 {
			return scripted{page: list[:100]} // it looks at last only beside n
		}
		return scripted{page: upTo(bytesAndFolded(list, last), min(n, 256))}
	})
	for _, size := range []int{0, 50, 60} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "PageSize %d", size)
		})
	}
}

// A registry sorts by bytes, compares with case folded, cuts each page at 74, and sends a Link
// only where a page has the n that was asked for. Its first page has all tags in upper case and
// none in lower case, which come before those where case is folded, so that no question after
// the last tag shows them. What comes after "_" does.
func TestOnlyPageEndsInUpperCase(t *testing.T) {
	const most = 74 // so many tags begin with a digit or with upper case
	list := slices.DeleteFunc(upperAndLower(most/2), func(tag string) bool { return strings.HasPrefix(tag, "main") })
	s := script(func(_, n int, last string) (a scripted) {
		rest := bytesAndFolded(list, last)
		if n == 0 {
			return scripted{page: rest}
		}
		if a.page = upTo(rest, min(n, most)); n <= most && len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	})
	for _, size := range []int{0, 80, 100} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "PageSize %d", size)
		})
	}
}

// A registry that compares with case folded may sort in this way, too. If the tags that came
// are sorted both by bytes and with case folded, only a larger page can show what is missing.
func TestLargerPagesWhereCaseIsFolded(t *testing.T) {
	list := upperAndLower(300)
	s := script(func(_, n int, last string) (a scripted) {
		rest := bytesAndFolded(list, last)
		switch {
		case n == 0:
			n = 100
		case n > 500:
			return scripted{page: rest}
		}
		if a.page = upTo(rest, n); len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	})
	for _, concurrency := range []int{1, 4, 16} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: 70, Concurrency: concurrency})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "Concurrency %d", concurrency)
		})
	}
}

// keyed is some tags in the order of object keys: 0.000 and 0.000-debug and so on.
func keyed(number int, names ...string) (list []string) {
	for i := range number {
		list = append(list, fmt.Sprintf("%s%03d%s", names[i/2%len(names)], i/2, []string{"", "-debug"}[i%2]))
	}
	return byKeys(list)
}

// A registry sorts by object keys and compares by bytes, as distribution does on S3, and cuts its
// answers at 100. A list of 100 tags may be complete: what comes after its first tags has room
// for more, and tells.
func TestFirstTagsTellWhetherAllAreKnown(t *testing.T) {
	for number := range 112 {
		list := keyed(number, "0.", "1.", "edge-", "stable-")
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := linksAlways(list).listed(t, &ocitags.Client{})
			if err == nil || number <= 100 {
				require.NoError(t, err, "%d tags", number)
				assert.Len(t, tags, number)
			}
		})
	}
}

// linksAlways cuts its answers at 100, and compares by bytes.
func linksAlways(list []string) script {
	return func(_, n int, last string) (a scripted) {
		for _, tag := range list {
			if tag > last {
				a.page = append(a.page, tag)
			}
		}
		if a.page = upTo(a.page, 100); len(a.page) > 0 {
			a.link = linkAfter(a.page, n)
		}
		return a
	}
}

// The answer to that question is not believed if it has other tags, no room for more, or
// another end than the list.
func TestFirstTagsThatTellNothing(t *testing.T) {
	list := keyed(100, "0.", "1.", "edge-", "stable-")
	const first = 12
	rest := list[first+1:]
	for name, a := range map[string]scripted{
		"another tag":    {page: append([]string{"1.zzz"}, rest[9:]...)},
		"no room":        {page: slices.Concat(list[9:first], rest)},
		"another end":    {page: rest[:len(rest)-1]},
		"an earlier end": {page: rest[:50]},
		"more":           {raw: `{"tags":["` + strings.Join(rest, `","`) + `"],"has_additional":true}`},
		"an error":       {status: 404},
		"no end":         {page: slices.Repeat(rest, 100)},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			s := script(func(k, n int, last string) scripted {
				if last == list[first] {
					asked++
					return a
				}
				return linksAlways(list)(k, n, last)
			})
			synctest.Test(t, func(t *testing.T) {
				_, _, err := s.listed(t, &ocitags.Client{})
				require.ErrorContains(t, err, "sorts its pages in one way")
				assert.Equal(t, 1, asked)
			})
		})
	}
}

// The cursor of a Link may be a hidden tag that looks like an offset.
func TestNumbersThatAreHiddenTags(t *testing.T) {
	list := []string{}
	for i := range 400 {
		list = append(list, strconv.Itoa(10+2*i+i/90*1000))
	}
	list[89] = "199" // which ends a page, and no other is odd
	seen := func(page []string) []string {
		return slices.DeleteFunc(slices.Clone(page), func(tag string) bool { return tag == "199" })
	}
	for unknown, answer := range map[string]scripted{"404": {status: 404}, "nothing": {}, "400": {status: 400}} {
		s := script(func(_, n int, last string) (a scripted) {
			from := slices.Index(list, last) + 1
			if last != "" && from == 0 {
				return answer
			}
			to := min(len(list), from+90)
			if a.page = seen(list[from:to]); to < len(list) {
				a.link = fmt.Sprintf(`</v2/a/b/tags/list?last=%s&n=%d>; rel="next"`, list[to-1], cmp.Or(n, 90))
			}
			return a
		})
		tags, _, err := s.listed(t, &ocitags.Client{Concurrency: 1})
		require.NoError(t, err, unknown)
		assert.Equal(t, slices.Sorted(slices.Values(seen(list))), tags, unknown)
	}
}

// Some begin a page with the tag that last names. In a list by age, too, that is a page like
// others, and shows that the last tags stand where they stood.
func TestPagesThatBeginWithLast(t *testing.T) {
	for _, list := range [][]string{makeTags(2500), sortedTags(2500)} {
		for _, link := range []bool{true, false} {
			for _, size := range []int{50, 100, 1000} {
				s := script(func(_, n int, last string) (a scripted) {
					rest := list[max(0, slices.Index(list, last)):]
					if a.page = upTo(rest, min(size, cmp.Or(n, 100))); link && len(a.page) < len(rest) {
						a.link = linkAfter(a.page, len(a.page))
					}
					return a
				})
				tags, requests, err := s.listed(t, &ocitags.Client{PageSize: size})
				require.NoError(t, err)
				assert.Equal(t, slices.Sorted(slices.Values(list)), tags, "a Link: %t, %d a page", link, size)
				assert.LessOrEqual(t, requests, 10+2*2500/size)
			}
		}
	}
}

// A page without a Link that is as long as those before it may come from another server
// than they do, as while one version is replaced by another.
func TestOneOfSeveralServersSendsNoLinks(t *testing.T) {
	for _, size := range []int{0, -1, 100} {
		for k := 1; k <= 4; k++ {
			ref, r, network := newRegistry(t, "gitlab-c", "a/b", 450)
			r.Profile.DefaultN, r.Profile.Max, r.Profile.Over = 100, 100, regtest.Rule{What: regtest.Clamp}
			r.Profile.Link = func(next regtest.Next) string {
				return "<" + next.Path + "?last=" + url.QueryEscape(next.Last) + ">; rel=next"
			}
			r.Fault = faultAt(k, regtest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				other := regtest.New(r.Profile).Push("a/b", makeTags(450)...)
				other.Profile.Link = nil
				other.ServeHTTP(w, req)
			})})
			c := anonymous(network)
			c.PageSize = size
			mustList(t, c, ref, r, "a/b")
			assert.LessOrEqual(t, len(r.Requests()), 9)
		}
	}
}

// Where a page with fewer tags than n was followed by others, the next one is not taken for
// the last because it has fewer: an empty page after it may be a cursor that is gone.
func TestCursorIsGoneAfterAShortPage(t *testing.T) {
	list := sortedTags(450)
	ends := []int{52, 152, 204, 304, 404, 450} // of the pages
	for gone := 1; gone < len(ends); gone++ {
		s := script(func(k, _ int, last string) (a scripted) {
			from := slices.Index(list, last) + 1
			if last == list[ends[gone-1]-1] || last != "" && from == 0 {
				return a // it was deleted, and what does not exist is the end
			}
			at, _ := slices.BinarySearch(ends, from+2) // beyond the tag that is gone
			to := ends[min(at, len(ends)-1)]
			if a.page = list[from:to]; to < len(list) {
				a.link = fmt.Sprintf(`</v2/a/b/tags/list?n=100&last=%s>; rel="next"`, list[to-1])
			}
			return a
		})
		tags, _, err := s.listed(t, &ocitags.Client{PageSize: 100, Concurrency: 1})
		require.NoError(t, err)
		assert.Equal(t, len(list), len(tags), "after page %d", gone)
	}
}

// The empty page after a cursor that is gone may have a Link, as a page of hidden tags has. If
// the Link leads to nothing, what comes after the last known tags is asked for.
func TestEmptyPageHasALink(t *testing.T) {
	list := sortedTags(450)
	gone := list[199]
	s := script(func(_, n int, last string) (a scripted) {
		from := slices.Index(list, last) + 1
		switch {
		case last == gone:
			a.link = linkAfter([]string{"a-hidden-tag"}, 100)
			return a
		case last != "" && from == 0:
			return a // what does not exist is the end
		}
		if a.page = upTo(list[from:], cmp.Or(n, 100)); from+len(a.page) < len(list) {
			a.link = linkAfter(a.page, 100)
		}
		return a
	})
	tags, _, err := s.listed(t, &ocitags.Client{PageSize: 100, Concurrency: 1})
	require.NoError(t, err)
	assert.Equal(t, list, tags)
}

// A cursor that is gone is refused with 404, or answered with nothing. If the page after the
// tag before it shows only one known tag, and has another Link, the other tags of that page
// are hidden, and the list goes on.
func TestCursorIsGoneAmongHiddenTags(t *testing.T) {
	for _, gone := range []scripted{{status: 404}, {}} {
		list := strings.Fields("s t u v h1 h2 h3 w x") // v is deleted
		s := script(func(k, _ int, last string) (a scripted) {
			from := slices.Index(list, last) + 1
			if k > 1 && last == "v" || last != "" && from == 0 {
				return gone
			}
			page := slices.DeleteFunc(slices.Clone(list[from:]), func(tag string) bool { return k > 1 && tag == "v" })
			if page = upTo(page, 4); page[len(page)-1] != "x" {
				a.link = linkAfter(page, 4)
			}
			a.page = slices.DeleteFunc(slices.Clone(page), func(tag string) bool { return tag[0] == 'h' })
			return a
		})
		tags, _, err := s.listed(t, &ocitags.Client{PageSize: 4, Concurrency: 1})
		require.NoError(t, err)
		assert.Equal(t, strings.Fields("s t u v w x"), tags, "%+v", gone)
	}
}

// A registry that sends entries which are not tags may hide others: a page with fewer than
// n entries need not be the last one there.
func TestCursorIsGoneAmongOtherEntries(t *testing.T) {
	list := sortedTags(300)
	gone := list[197] // the last of the second page
	s := script(func(_, n int, last string) (a scripted) {
		from := slices.Index(list, last) + 1
		if last == gone || last != "" && from == 0 || from == len(list) {
			return a // what does not exist is the end
		}
		page := upTo(list[from:], cmp.Or(n, 100)-1)
		a.link = linkAfter(page, 100)
		if a.page = append(slices.Clone(page), "sha256:abc"); last != "" {
			a.page = page
		}
		return a
	})
	tags, _, err := s.listed(t, &ocitags.Client{PageSize: 100, Concurrency: 1})
	require.NoError(t, err)
	assert.Equal(t, len(list), len(tags))
}

// The last entry of a list may be no tag. As last, the registry may refuse it, or compare it
// with its tags and send them all. The page with it has shown that no tag comes.
func TestLastEntryIsNoTag(t *testing.T) {
	const startAgain = 200
	list := append(builds(50), "../x")
	for _, status := range []int{400, 404, 405, startAgain} {
		for _, most := range []int{20, 51, 1000} {
			s := script(func(_, n int, last string) (a scripted) {
				from := slices.Index(list, last) + 1
				switch no := last == "../x" || last != "" && from == 0; {
				case no && status != startAgain:
					a.status = status
					return a
				case no:
					from = 0
				}
				if a.page = upTo(list[from:], min(cmp.Or(n, most), most)); from+len(a.page) < len(list) {
					a.link = linkAfter(a.page, len(a.page))
				}
				return a
			})
			tags, requests, err := s.listed(t, &ocitags.Client{Concurrency: 1})
			require.NoError(t, err, "%d, %d a page", status, most)
			assert.Equal(t, list[:50], tags)
			assert.LessOrEqual(t, requests, 10, "%d, %d a page", status, most)
		}
	}
}

// Entries that are no tags may stand anywhere, fill an answer, and be the cursor of a Link which
// the registry then refuses, takes for unknown, or compares. No list comes short.
func TestEntriesThatAreNoTags(t *testing.T) {
	t.Parallel()
	const startAgain, end = 200, 0
	complete := 0
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 77))
		tags := pickOne(rnd, sortedTags, builds)(1 + rnd.IntN(120))
		junk, share := pickOne(rnd, "../x", "sha256:abc", "-x"), rnd.Float64()/2
		var list []string
		for i, tag := range tags {
			if list = append(list, tag); rnd.Float64() < share {
				list = append(list, fmt.Sprint(junk, i))
			}
		}
		list = append(list, junk)
		most := pickOne(rnd, 3, 7, 20, 50, 100, max(1, len(list)-1), len(list), 1000)
		links := pickOne(rnd, "more", "full", "never")
		found, status := rnd.IntN(2) == 0, pickOne(rnd, 400, 404, 405, startAgain, end)
		s := script(func(_, n int, last string) (a scripted) {
			from := slices.Index(list, last) + 1
			if last != "" && from == 0 || strings.HasPrefix(last, junk) && !found {
				if from = 0; status != startAgain {
					a.status = status
					return a
				}
			}
			a.page = upTo(list[from:], min(cmp.Or(n, most), most))
			if len(a.page) > 0 && (links == "more" && from+len(a.page) < len(list) || links == "full" && len(a.page) == n) {
				a.link = linkAfter(a.page, len(a.page))
			}
			return a
		})
		c := &ocitags.Client{Concurrency: 1, PageSize: pickOne(rnd, 0, 0, -1, 50, 100, 1000)}
		if listed, _, err := s.listed(t, c); err == nil {
			complete++
			assert.ElementsMatch(t, tags, listed, "seed %d: %d a page, Link %s, entries are found: %v, or answered with %d; PageSize %d", seed, most, links, found, status, c.PageSize)
		}
	}
	assert.Greater(t, complete, 900)
}

// A registry that looks at its own cursors and not at tags, and whose pages have fewer entries
// than their n, as this user may not see all: a question is answered with a shorter start of
// the list, which has a Link. That is no sign of another order.
func TestStartOfTheListIsAShorterPage(t *testing.T) {
	list := makeTags(40)
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	s := script(func(_, n int, last string) (a scripted) {
		from := 0
		_, _ = fmt.Sscanf(last, "token=%d", &from)
		if a.page = list[from:]; n > 0 && n <= 48 && n*3/4 < len(a.page) {
			a.page = a.page[:n*3/4]
			a.link = fmt.Sprintf(`</v2/a/b/tags/list?n=%d&last=token%%3D%d>; rel="next"`, n, from+len(a.page))
		}
		return a
	})
	tags, requests, err := s.listed(t, &ocitags.Client{Concurrency: 1})
	require.NoError(t, err)
	assert.ElementsMatch(t, list, tags)
	assert.LessOrEqual(t, requests, 10)
}

// A registry may answer a larger n with fewer tags than the usual n. Such a page is not the
// last one, and an empty page after it may mean that the cursor is gone.
func TestCursorIsGoneAfterALargerPage(t *testing.T) {
	list := sortedTags(1695)
	for _, concurrency := range []int{1, 4} {
		gone := list[1049]
		s := script(func(_, n int, last string) (a scripted) {
			from := slices.Index(list, last) + 1
			if last == gone || last != "" && from == 0 {
				return a // what does not exist is the end
			}
			if n == 0 || n > 1500 {
				n = 50
			}
			if a.page = upTo(list[from:], n); from+n < len(list) {
				a.link = linkAfter(a.page, max(n, 1000))
			}
			return a
		})
		tags, _, err := s.listed(t, &ocitags.Client{Concurrency: concurrency})
		require.NoError(t, err)
		assert.Equal(t, len(list), len(tags))
	}
}

// A list that has some tags twice, one after the other, as one that is made of several may.
func TestTagsThatComeTwice(t *testing.T) {
	for _, list := range [][]string{makeTags(2500), sortedTags(2500)} {
		for _, link := range []bool{true, false} {
			for _, size := range []int{50, 100, 1000} {
				s := script(func(_, n int, last string) (a scripted) {
					rest := behind(list, last)
					page := upTo(rest, min(size, cmp.Or(n, 100))-4)
					for i, tag := range page {
						if a.page = append(a.page, tag); i%max(1, len(page)/4) == 0 || i == len(page)-1 {
							a.page = append(a.page, tag)
						}
					}
					if link && len(page) < len(rest) {
						a.link = linkAfter(page, len(page))
					}
					return a
				})
				tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
				require.NoError(t, err, "link %t, %d a page", link, size)
				assert.Equal(t, slices.Sorted(slices.Values(list)), tags)
			}
		}
	}
}

// A list by age, of a registry that compares with last all the same, ends with a page that has
// all tags which any answer has shown. Another one is found by what comes after the first of
// them, unless it comes before that one, too: then each answer that has it is cut before it.
// Nothing is suspected of a page that is sorted by chance.
func TestListsByAgeThatAreCompared(t *testing.T) {
	t.Parallel()
	complete := 0
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		longest := 5 + rnd.IntN(20)
		list := builds(longest + 1 + rnd.IntN(3))
		rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		whole, links := rnd.IntN(2) == 0, rnd.IntN(2) == 0 // without n; after a page that is full
		synctest.Test(t, func(t *testing.T) {
			c := &ocitags.Client{PageSize: pickOne(rnd, 0, 50, 1000)}
			tags, _, err := script(func(_, n int, last string) (a scripted) {
				a.page = slices.DeleteFunc(slices.Clone(list), func(tag string) bool { return tag <= last })
				if n > 0 || !whole {
					a.page = upTo(a.page, longest)
				}
				if links && len(a.page) == longest {
					a.link = linkAfter(a.page, longest)
				}
				return a
			}).listed(t, c)
			if err != nil {
				return
			}
			for _, tag := range list {
				hidden := !whole && (tag < slices.Min(tags) || slices.IsSorted(list[:longest]))
				assert.True(t, slices.Contains(tags, tag) || hidden, "seed %d: %s is missing", seed, tag)
			}
			complete++
		})
	}
	assert.Greater(t, complete, 100)
}

// A registry that does not look at last has the list in one page, if that is long enough. Which n
// is, the user's page size does not tell, nor the length of a page that came without n.
func TestLastIsNotLookedAt(t *testing.T) {
	t.Parallel()
	for _, usual := range []int{7, 30, 50, 64, 100, 250} { // entries in a page without n
		for _, more := range []int{1, usual, 2 * usual} {
			list := sortedTags(usual + more)
			for _, most := range []int{0, 500} { // and the largest n, beyond which a page has the usual length, or no tag
				for _, over := range []int{usual, 0} {
					for _, circle := range []bool{false, true} { // a Link leads to the same page
						entries := func(n int) int {
							switch {
							case n == 0:
								n = usual
							case 0 < most && most < n:
								n = over
							}
							return min(n, len(list))
						}
						roomy, possible := false, false
						for _, n := range []int{50, 100, 1000} {
							possible = possible || entries(n) == len(list)
							roomy = roomy || entries(n) == len(list) && len(list) < n
						}
						if !possible {
							continue
						}
						s := script(func(_, n int, _ string) (a scripted) {
							if a.page = list[:entries(n)]; circle && 0 < len(a.page) && len(a.page) < len(list) {
								a.link = linkAfter(a.page, n)
							}
							return a
						})
						for _, size := range []int{0, -1, 50, 100, 1000} {
							synctest.Test(t, func(t *testing.T) {
								tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
								if roomy && (!circle || len(list)%50 > 0 && len(list)%64 > 0) { // a Link says that there is more
									require.NoError(t, err, "%d of %d, at most %d, circle %v, PageSize %d", usual, len(list), most, circle, size)
								}
								if err == nil {
									assert.Len(t, tags, len(list), "%d of %d, at most %d, circle %v, PageSize %d", usual, len(list), most, circle, size)
								}
							})
						}
					}
				}
			}
		}
	}
}

// A registry sorts with case folded and compares by bytes. The two tags in upper case stand at
// the ends of the user's pages, so that these leave them out, and what comes is sorted in both
// orders. The list without n is a shorter page, and shows neither. A page of the usual size
// shows both.
func TestPagesOfTheUsersSizeHideTags(t *testing.T) {
	var list []string
	for i := range 200 {
		list = append(list, fmt.Sprintf("b%04d", i))
	}
	list = slices.Insert(list, 150, "B0149x")
	list = slices.Insert(list, 100, "B0099x")
	s := script(func(_, n int, last string) (a scripted) {
		if n == 0 {
			n = 10
		}
		rest := list
		if last != "" {
			rest = slices.DeleteFunc(slices.Clone(list), func(tag string) bool { return tag <= last })
		}
		if a.page = upTo(rest, n); len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	})
	for _, size := range []int{0, -1, 50, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			tags, _, err := s.listed(t, &ocitags.Client{PageSize: size})
			require.NoError(t, err)
			assert.Len(t, tags, len(list), "PageSize %d", size)
		})
	}
}

// Tags that are deleted while a list is read are missing when it is read again, as a tag that was
// pushed meanwhile makes necessary. That is no fault of the registry.
func TestDeletedTagsAreNotMissing(t *testing.T) {
	list := sortedTags(1500)
	moved := slices.Delete(slices.Clone(list), 1200, 1203)
	moved = slices.Insert(moved, 0, "0")
	s := script(func(k, n int, last string) (a scripted) {
		now := list
		if k > 15 { // pages of 100
			now = moved
		}
		if n == 0 {
			n = 1000
		}
		rest := after(now, last)
		if a.page = upTo(rest, n); len(a.page) < len(rest) {
			a.link = linkAfter(a.page, n)
		}
		return a
	})
	synctest.Test(t, func(t *testing.T) {
		tags, requests, err := s.listed(t, &ocitags.Client{PageSize: 100, Concurrency: 1})
		require.NoError(t, err)
		assert.Len(t, tags, len(list)+1)
		assert.LessOrEqual(t, requests, 15+1+2+1, "the pages, the list without n, once more in such pages, and a page of the usual size")
	})
}
