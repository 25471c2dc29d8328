package dedup

import "hash/maphash"

// A set is one of tags, of which it holds two hashes of 64 bits: of a million tags no two have
// the same but with a probability of 1e-26. A map of strings takes three times as long, and
// keeps the tags. A nil set has none.
type set struct {
	hashes [][2]uint64 // by the first one, or behind that place; zero: free
	len    int
}

var otherSeed = maphash.MakeSeed()

func (s *set) add(tag string) (fresh bool) {
	if 4*(s.len+1) > 3*len(s.hashes) {
		s.grow()
	}
	return s.put([2]uint64{hash(tag), maphash.String(otherSeed, tag)})
}

func (s *set) grow() {
	old := s.hashes
	s.hashes, s.len = make([][2]uint64, max(64, 2*len(old))), 0
	for _, h := range old {
		if h != [2]uint64{} {
			s.put(h)
		}
	}
}

func (s *set) put(h [2]uint64) (fresh bool) {
	at := s.place(h)
	if *at == h {
		return false
	}
	*at = h
	s.len++
	return true
}

func (s *set) has(tag string) bool {
	if s == nil || s.len == 0 {
		return false
	}
	h := [2]uint64{hash(tag), maphash.String(otherSeed, tag)}
	return *s.place(h) == h
}

// place returns where h is, or would be.
func (s *set) place(h [2]uint64) *[2]uint64 {
	last := uint64(len(s.hashes) - 1)
	for i := h[0] & last; ; i = (i + 1) & last {
		if at := &s.hashes[i]; *at == h || *at == [2]uint64{} {
			return at
		}
	}
}
