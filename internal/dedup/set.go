package dedup

import "hash/maphash"

// A set holds two hashes of 64 bits of each of its tags. The probability that any two of a
// million tags have the same is 2e-27. A map of strings takes longer (BenchmarkSet), and
// keeps the tags. A nil set is empty.
type set struct {
	hashes [][2]uint64 // by the first one, or behind that place; zero: free
	len    int
}

var otherSeed = maphash.MakeSeed()

func hashes(tag string) [2]uint64 { return [2]uint64{hash(tag), maphash.String(otherSeed, tag)} }

func (s *set) add(tag string) (fresh bool) {
	if 4*(s.len+1) > 3*len(s.hashes) {
		s.grow()
	}
	return s.put(hashes(tag))
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
	h := hashes(tag)
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
