package span

import (
	"slices"
	"sort"

	"github.com/ocitags/ocitags/internal/order"
)

// A Proof is a question that tells whether a registry compares with last, and in which
// order. It asks what comes after a string that is not a tag and belongs between the tags
// of a page that is known, at another place in each order. A registry that compares
// answers with the tag behind that place; one that looks for the place of a tag has
// no such answer.
type Proof struct {
	After string
	first []string // the first tag of the answer by each of order.Known; "": not known
}

// samples is how many tags of a page are tried, and pageTags how many are looked at.
const (
	samples  = 24
	pageTags = 1000
)

// Prove returns the question that tells most of the orders apart which a list may be
// in, of which tags are a page; ok is false where there is none.
func Prove(tags []string, list []order.Order) (best Proof, ok bool) {
	if len(tags) > pageTags {
		tags = tags[len(tags)-pageTags:]
	}
	most := 0
	for i := range samples {
		at := 1 + i*(len(tags)-1)/samples
		if at >= len(tags) {
			break
		}
		tag := tags[at]
		n := order.CommonPrefix(tags[at-1], tag)
		for k := max(1, n-1); k <= min(n+1, len(tag), maxTag-2); k++ {
			for _, end := range []string{"_", "0", "Z0", "A0", "a0", "-", "z"} {
				p := question(tags, tag[:k]+end, list)
				if told := p.tells(list); told > most {
					best, most = p, told
				}
			}
		}
	}
	return best, most > 0
}

// question returns the proof that asks what comes after a string in a list, which may be
// in some orders.
func question(tags []string, after string, list []order.Order) Proof {
	p := Proof{After: after, first: make([]string, len(order.Known))}
	for k, o := range order.Known {
		isBehind := func(i int) bool { return o.Compare(tags[i], after) > 0 }
		i := 0
		if isOneOf(list, o) { // no tag before another one is behind it
			i = sort.Search(len(tags), isBehind)
		}
		for i < len(tags) && !isBehind(i) {
			i++
		}
		if 0 < i && i < len(tags) && o.Compare(tags[i-1], after) < 0 {
			p.first[k] = tags[i]
		}
	}
	return p
}

// tells returns how much a proof shows of orders: above all, for how many of the list's
// orders it has an answer of their own, and then from how many other answers those
// differ.
func (p Proof) tells(list []order.Order) (most int) {
	for k, o := range order.Known {
		if p.first[k] == "" || !isOneOf(list, o) {
			continue
		}
		most += 100
		for _, other := range p.first {
			if other != p.first[k] {
				most++
			}
		}
	}
	return most
}

func isOneOf(list []order.Order, o order.Order) bool {
	return slices.ContainsFunc(list, func(of order.Order) bool { return of.Name == o.Name })
}

// Orders returns those by which a registry may compare that answers with first; none:
// it does not compare.
func (p Proof) Orders(first string) (orders []order.Order) {
	for k, o := range order.Known {
		if first != "" && p.first[k] == first {
			orders = append(orders, o)
		}
	}
	return orders
}
