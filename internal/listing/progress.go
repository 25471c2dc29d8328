package listing

import (
	"fmt"
	"hash/maphash"

	"github.com/ocitags/ocitags/internal/ocierr"
)

// progress returns ErrLoop if pages keep arriving without new tags.
type progress struct {
	seen    map[uint64]int // how often each URL was requested in this pass, by its hash
	pass    int            // how often the list was restarted
	entries int            // in this pass
	idle    int            // pages in a row without news

	questions int // of our own, in a row, that brought none
}

// MaxIdlePages is how many pages in a row may bring no new tag while another is
// announced.
const MaxIdlePages = 3

// maxQuestions is how many of our own questions in a row may bring nothing: to go
// back in the list takes ten, in each of two forms, and again in each pass.
const maxQuestions = 100

// maxPasses is how often a list may be begun anew, whatever leads there: a hostile server
// must not keep a listing going.
const maxPasses = 50

// maxSame is how often one URL is requested in a pass: pages that overlap and questions may
// name the same tag twice, where tags are deleted meanwhile.
const maxSame = 16

var urlSeed = maphash.MakeSeed()

// enter records a page before it is requested.
func (p *progress) enter(cur *Cursor) error {
	if p.seen != nil && cur.Restart {
		p.pass++
		p.seen, p.entries, p.idle = nil, 0, 0
	}
	if p.seen == nil {
		p.seen = make(map[uint64]int)
	}
	at := maphash.String(urlSeed, cur.URL.String())
	switch before := p.seen[at]; {
	case before > 0 && cur.kind != asked && cur.step == 0 && !cur.again:
		return fmt.Errorf("%w: the next page is one that was already read", ocierr.ErrLoop)
	case before == maxSame:
		return fmt.Errorf("%w: the next page was already read %d times", ocierr.ErrLoop, before)
	}
	p.seen[at]++
	return nil
}

// made records what a page brought that is followed by another: tags, some of them new, and
// entries that are not tags. A list that is read once more brings little that is new, but not many
// more entries than there are tags.
func (p *progress) made(cur *Cursor, news, tags, skipped, total int) error {
	if cur.step <= 1 {
		p.entries += tags + skipped
	}
	if p.pass > 0 {
		if p.entries > 2*total+smallPageSize {
			return fmt.Errorf("%w: %d entries so far in a list of %d tags, and another page is announced", ocierr.ErrLoop, p.entries, total)
		}
		if cur.step <= 1 && tags+skipped > 1 {
			return nil
		}
	}
	if news > 0 || cur.entry != "" && skipped > 0 {
		p.idle, p.questions = 0, 0
		return nil
	}
	if cur.kind == asked || cur.step > 0 {
		if p.questions++; p.questions > maxQuestions {
			return fmt.Errorf("%w: %d questions in a row what comes after the last tag brought none", ocierr.ErrLoop, p.questions)
		}
		return nil
	}
	if skipped > 0 { // a page of digests, say, is followed by others
		p.idle = 0
		return nil
	}
	if p.idle++; p.idle == MaxIdlePages {
		return fmt.Errorf("%w: %d pages in a row brought no new tag, and another is announced", ocierr.ErrLoop, p.idle)
	}
	return nil
}
