// Package dedup lets each tag of a long list through once, without holding the
// list while it ascends.
package dedup

// Keep is how many tags of an ascending list are remembered: a list that is
// not sorted shows it within its first page, which no registry makes larger
// than 10,000. Beyond Keep the filter forgets, and asks to be told again.
const Keep = 16384

// A Filter admits each tag once. While the tags ascend bytewise a repeat would
// be out of order, so that the last tag is all it must know; from the first tag
// out of order on it holds a set. The zero value is ready.
type Filter struct {
	Hold int // tags of an ascending list to remember; 0: Keep, < 0: all

	run  []string            // the ascending tags, as far as they are remembered
	n    int                 // how many there were
	max  string              // the last of them
	at   string              // the tag before, which is max unless rewound
	seen map[string]struct{} // nil while the tags ascend
}

// Admit reports whether tag is new. When forgot is true it cannot tell: the
// tag is out of order, and those before it are no longer held. Recall then
// gives them back, and Admit answers.
func (f *Filter) Admit(tag string) (fresh, forgot bool) {
	if f.seen == nil {
		if f.n == 0 || tag > f.max {
			f.push(tag)
			return true, false
		}
		if tag > f.at { // rewound: this was let through the first time
			f.at = tag
			return false, false
		}
		if tag == f.at { // a page that begins with the cursor itself
			return false, false
		}
		if !f.Unordered() {
			return false, true
		}
	}
	if _, ok := f.seen[tag]; ok {
		return false, false
	}
	f.seen[tag] = struct{}{}
	return true, false
}

func (f *Filter) push(tag string) {
	if f.Hold < 0 || f.n < f.hold() {
		f.run = append(f.run, tag)
	}
	f.n++
	f.max, f.at = tag, tag
}

func (f *Filter) hold() int {
	if f.Hold == 0 {
		return Keep
	}
	return f.Hold
}

// Rewind says that the list goes on from the tag to again, "" being its start:
// the same pages in the same order.
func (f *Filter) Rewind(to string) { f.at = to }

// Mark is the place that Rewind takes to come back here.
func (f *Filter) Mark() string { return f.at }

// Max is the last of the ascending tags.
func (f *Filter) Max() string { return f.max }

// Unordered says that the next tags come in another order than those before.
// It reports false where Recall is needed first.
func (f *Filter) Unordered() bool {
	if f.seen != nil {
		return true
	}
	if f.n > len(f.run) {
		return false
	}
	f.Recall(f.run)
	return true
}

// Recall gives back the tags that were admitted so far.
func (f *Filter) Recall(tags []string) {
	f.seen = make(map[string]struct{}, len(tags))
	for _, tag := range tags {
		f.seen[tag] = struct{}{}
	}
	f.run = nil
}
