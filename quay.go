package ocitags

import (
	"context"
	"errors"
	"hash/maphash"
	"net/url"
	"strconv"
)

// maxPasses is how often the JSON pages are read from the start when pushes
// and deletes keep moving them. After that the ordinary way, whose cursor is a
// tag and not an offset, has to do.
const maxPasses = 3

// jsonPages puts the JSON pages of quay's own API in front of the ordinary
// source. quay.io limits /v2/<name>/tags/list to 5 requests a second and bursts
// of 2, its API to bursts of 25 over HTTP/1.1 and 100 over HTTP/2 (quay
// conf/nginx/rate-limiting.conf.jnj), so a repository of thousands of tags is
// read much sooner there. The API wants an OAuth token or nobody at all, and
// registry credentials are never sent to it: it serves listings without them.
//
// Elsewhere it is asked only where an ordinary answer carries its
// has_additional, as self-hosted registries built like quay do.
func jsonPages(ctx context.Context, l *listing, ordinary source) (source, error) {
	q := &quay{listing: l, ordinary: ordinary, back: ordinary.first()}
	if l.repo.Host == "quay.io" {
		cred, err := l.auth.credential(ctx)
		if err != nil {
			return nil, err
		}
		q.begin = cred == (Credential{})
	}
	return q, nil
}

// quay reads https://<host>/api/v1/repository/<name>/tag/, page by page.
type quay struct {
	*listing
	ordinary source
	begin    bool    // begin with the API
	refused  bool    // it does not serve us
	back     *cursor // where the ordinary way goes on if it does not

	pass       int      // how many passes did not hold
	head, tail jsonPage // the first and the last page of this one
}

// A jsonPage is what a page is known by when it is read again.
type jsonPage struct {
	number int
	tags   uint64 // their digest
}

func (q *quay) first() *cursor {
	if q.begin {
		return q.at(1)
	}
	return q.ordinary.first()
}

// at is the cursor of a page. Page 1 begins a pass through the list.
func (q *quay) at(page int) *cursor {
	u := *q.home
	u.Path = "/api/v1/repository/" + q.repo.Name + "/tag/"
	u.RawQuery = url.Values{
		"limit":          {"100"}, // the most that quay gives
		"onlyActiveTags": {"true"},
		"page":           {strconv.Itoa(page)},
	}.Encode()
	return &cursor{url: &u, quay: page, reorder: page == 1}
}

// again is the cursor at which a page is read once more, to compare.
func (q *quay) again(page jsonPage) *cursor {
	cur := q.at(page.number)
	cur.check, cur.reorder = true, false
	return cur
}

func (q *quay) page(ctx context.Context, cur *cursor, emit func(string) (bool, error)) (answer, error) {
	if cur.quay == 0 {
		ans, err := q.ordinary.page(ctx, cur, emit)
		if err == nil && ans.more && !q.refused {
			q.back, ans.next = ans.next, q.at(1)
		}
		return ans, err
	}
	var digest maphash.Hash
	digest.SetSeed(digestSeed)
	req := request{url: cur.url, bare: true, again: func(u *url.URL, _ error) *url.URL { digest.Reset(); return u }}
	rep, err := q.read(ctx, req, func(tag string) (bool, error) {
		digest.WriteString(tag)
		digest.WriteByte('/') // no tag holds one
		return emit(tag)
	})
	switch {
	case errors.Is(err, errStopped) || errors.Is(err, ErrTooLarge) || ctx.Err() != nil:
		return answer{reply: rep}, err
	case err != nil:
		return q.giveUp(ctx, rep, err.Error()), nil
	case rep.More == nil:
		return q.giveUp(ctx, rep, "its page has no has_additional"), nil
	case rep.Page != "" && rep.Page != strconv.Itoa(cur.quay):
		return q.giveUp(ctx, rep, "it answered with another page than was asked for"), nil
	}
	return q.next(ctx, cur, rep, jsonPage{cur.quay, digest.Sum64()}), nil
}

var digestSeed = maphash.MakeSeed()

// next says what follows a page. Pages are offsets into a list that has the
// newest tag first: a push moves every tag to the right, into the next page,
// and a delete to the left, past the eyes of who has read that far. Both show
// at an end of the list. So the first and the last page are read again, and
// where one of them has changed another pass follows.
func (q *quay) next(ctx context.Context, cur *cursor, rep reply, read jsonPage) answer {
	ans := answer{reply: rep}
	switch {
	case cur.check && read != q.head && read != q.tail:
		if q.pass++; q.pass == maxPasses {
			return q.giveUp(ctx, rep, "its pages keep moving")
		}
		q.warn(ctx, "quay's pages moved while they were read: reading them once more")
		ans.next = q.at(1)
	case cur.check && cur.quay == 1:
		ans.next = q.again(q.tail)
	case cur.check:
		ans.why = "has_additional is false, and the first and the last page have not changed"
	case *rep.More:
		if cur.quay == 1 {
			q.head = read
		}
		ans.next = q.at(cur.quay + 1)
	case cur.quay == 1:
		ans.why = "has_additional is false on the only page"
	default:
		q.tail = read
		ans.next = q.again(q.head)
	}
	return ans
}

// giveUp goes on in the ordinary way, which lists all that the API did not.
func (q *quay) giveUp(ctx context.Context, rep reply, why string) answer {
	q.refused = true
	q.log().DebugContext(ctx, "leaving quay's API for the ordinary way", "because", why)
	back := *q.back
	back.reorder = true
	return answer{reply: rep, next: &back}
}
