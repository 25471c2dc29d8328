// Package order compares tags the way registries sort them.
package order

import "strings"

// Below reports whether a sorts before b in every order that a registry is
// known to use: by bytes; ASCII case folded (distribution-spec v1.0.1 asked for
// "lexical (i.e. case-insensitive alphanumeric)"); folded with punctuation
// first, as PostgreSQL sorts under ICU; and folded without punctuation, as the
// older glibc locales do.
//
// A list in which some tag is Below the one before it is thus sorted by
// nothing known: by time of insertion, or like the keys of an object store.
func Below(a, b string) bool {
	return a < b &&
		compare(a, b, folded) < 0 &&
		compare(a, b, punctuationFirst) < 0 &&
		compare(strip(a), strip(b), folded) < 0
}

// compare compares a and b by the weights of their bytes; the shorter first.
func compare(a, b string, weight func(byte) byte) int {
	for i := range min(len(a), len(b)) {
		if wa, wb := weight(a[i]), weight(b[i]); wa != wb {
			return int(wa) - int(wb)
		}
	}
	return len(a) - len(b)
}

func folded(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// punctuationFirst gives the order seen at a GitLab registry whose PostgreSQL
// sorts by ICU's en-US: "_", "-", ".", digits, letters.
func punctuationFirst(c byte) byte {
	switch c {
	case '_':
		return 0
	case '-':
		return 1
	case '.':
		return 2
	default:
		return folded(c)
	}
}

func strip(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-.", r) {
			return -1
		}
		return r
	}, s)
}
