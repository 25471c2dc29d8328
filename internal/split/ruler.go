package split

import (
	"math/big"
	"slices"

	"github.com/ocitags/ocitags/internal/order"
)

// A ruler gives each key a place on a line, in their order: it is a number whose
// digits are the bytes of the key, each in an alphabet of its position. How well
// equal parts of the line hold equal numbers of tags depends on the alphabets.
type ruler struct {
	o         order.Order
	alphabets [][]byte // of each position, ascending
	keys      []string // of the samples, ascending
}

const (
	rulerLength = 48 // what begins with so many equal bytes is cut no more

	// An alphabet is known when so many beginnings were seen to their end with
	// no other byte behind them, or so many were seen at all. Otherwise it may
	// have whatever other positions have.
	seenWhole = 2
	seenAtAll = 5
)

// A set of bytes.
type set [256]bool

func (s *set) holds(other *set) bool {
	for b := range s {
		if other[b] && !s[b] {
			return false
		}
	}
	return true
}

func (s *set) add(other *set) {
	for b := range s {
		s[b] = s[b] || other[b]
	}
}

// words reports whether s has letters or digits.
func (s *set) words() bool {
	for b := range s {
		if s[b] && isWord(byte(b)) {
			return true
		}
	}
	return false
}

func isWord(b byte) bool   { return isDigit(b) || isLetter(b) || 'A' <= b && b <= 'Z' }
func isDigit(b byte) bool  { return '0' <= b && b <= '9' }
func isLetter(b byte) bool { return 'a' <= b && b <= 'z' }

// ruler makes one of the samples.
func (p *Planner) ruler() *ruler {
	r := &ruler{o: p.orders[0]}
	for _, tag := range p.samples {
		key := r.o.Key(tag)
		r.keys = append(r.keys, key[:min(len(key), rulerLength)])
	}
	var ends []string // of what was read, where beginnings were not seen whole
	for c := p.first; c != nil; c = c.next {
		if c.state != asked {
			ends = append(ends, r.o.Key(c.last))
			if len(c.opening) > 0 {
				ends = append(ends, r.o.Key(c.opening[0]))
			}
		}
	}
	var seen [rulerLength]set
	var all, whole [rulerLength]int // beginnings of that length
	longest := 0
	slices.Sort(r.keys)
	for i, key := range r.keys {
		longest = max(longest, len(key))
		known := 0
		if i > 0 {
			known = commonPrefix(r.keys[i-1], key) + 1
		}
		for j := range len(key) {
			seen[j][key[j]] = true
			if j >= known {
				all[j]++
				whole[j]++
			}
		}
	}
	slices.Sort(ends)
	for i, key := range ends {
		known := 0
		if i > 0 {
			known = commonPrefix(ends[i-1], key) + 1
		}
		for j := known; j < min(len(key), rulerLength); j++ {
			whole[j]--
		}
	}
	for i := range longest {
		may := seen[i]
		if seen[i].words() && whole[i] < seenWhole && all[i] < seenAtAll {
			for j := range longest {
				if seen[j].holds(&seen[i]) {
					may.add(&seen[j])
				}
			}
		}
		r.alphabets = append(r.alphabets, r.alphabet(i, &may))
	}
	return r
}

// alphabet is that of a set of bytes which may stand at a position.
func (r *ruler) alphabet(i int, may *set) (alphabet []byte) {
	for b := range may {
		if may[b] && (i > 0 || !isPunctuation(r.o.Tag(string([]byte{byte(b)}))[0])) {
			alphabet = append(alphabet, byte(b))
		}
	}
	return alphabet
}

// isPunctuation reports whether a tag cannot begin with a byte that it may have
// (distribution-spec v1.1.1, "Pulling manifests").
func isPunctuation(b byte) bool { return b == '-' || b == '.' }

// along is the ruler for the neighbourhood of a key: at each position it has
// only such bytes as were seen there, or later in the same word, in samples that
// begin like the key: digits among digits, and letters as far as they went.
func (r *ruler) along(key string) *ruler {
	path := &ruler{o: r.o, alphabets: slices.Clone(r.alphabets), keys: r.keys}
	family := r.keys
	for i := range min(len(key), len(r.alphabets)) {
		var seen set
		seen[key[i]] = true
		digits, letters, last := false, 0, byte(0)
		for _, k := range family {
			for j := i; j < len(k) && (j == i || isWord(k[j])); j++ {
				seen[k[j]] = true
				switch {
				case isDigit(k[j]):
					digits = true
				case isLetter(k[j]):
					letters++
					last = max(last, k[j])
				default:
					j = len(k)
				}
			}
		}
		if 0 < letters && letters < seenLetters {
			last = 'z'
		}
		may := set{}
		may[key[i]] = true
		for _, b := range r.alphabets[i] {
			may[b] = may[b] || seen[b] || digits && isDigit(b) || isLetter(b) && b <= last
		}
		path.alphabets[i] = r.alphabet(i, &may)
		from, _ := slices.BinarySearchFunc(family, key[:i+1], comparePrefix)
		to := from
		for to < len(family) && comparePrefix(family[to], key[:i+1]) == 0 {
			to++
		}
		family = family[from:to]
	}
	return path
}

// seenLetters is after how many letters a word is taken to go no further in the
// alphabet, as those of a hexadecimal number.
const seenLetters = 40

// comparePrefix compares as much of key as prefix is long.
func comparePrefix(key, prefix string) int {
	key = key[:min(len(key), len(prefix))]
	switch {
	case key < prefix:
		return -1
	case key > prefix:
		return 1
	}
	return 0
}

// above is the next position before n where a greater byte could stand than in
// key; false: there is none.
func (r *ruler) above(key string, n int) (int, bool) {
	for n--; n >= 0; n-- {
		if n < len(r.alphabets) {
			if a := r.alphabets[n]; a[len(a)-1] > key[n] {
				return n, true
			}
		}
	}
	return 0, false
}

// place is where a key is.
func (r *ruler) place(key string) *big.Int {
	v := new(big.Int)
	for i, alphabet := range r.alphabets {
		v.Mul(v, big.NewInt(int64(len(alphabet))))
		if i < len(key) {
			digit, _ := slices.BinarySearch(alphabet, key[i])
			v.Add(v, big.NewInt(int64(min(digit, len(alphabet)-1))))
		}
	}
	return v
}

// after is the place behind all keys that begin so.
func (r *ruler) after(start string) *big.Int {
	room := big.NewInt(1)
	for i := len(start); i < len(r.alphabets); i++ {
		room.Mul(room, big.NewInt(int64(len(r.alphabets[i]))))
	}
	return room.Add(room, r.place(start))
}

// page is how much of the ruler a full page takes, by one that had count tags.
func (r *ruler) page(from, last string, count, size int) *big.Int {
	d := sub(r.place(r.o.Key(last)), r.place(r.o.Key(from)))
	d.Mul(d, big.NewInt(int64(size)))
	return atLeastOne(d.Div(d, big.NewInt(int64(count))))
}
