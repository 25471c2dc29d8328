// Package ocierr has the errors of a listing that more than one package returns.
// Package ocitags exports them under names of its own.
package ocierr

import "errors"

var (
	Unauthorized    = errors.New("access denied")
	RateLimited     = errors.New("rate limited")
	UnsafeLink      = errors.New("leads where it must not")
	InvalidResponse = errors.New("the answer is not a tag list")
	TooLarge        = errors.New("larger than the bounds allow")
)
