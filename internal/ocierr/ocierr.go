// Package ocierr has the errors of a listing that more than one package returns.
// Package ocitags exports them under names of its own.
package ocierr

import "errors"

var (
	Unauthorized    = errors.New("access denied")
	RateLimited     = errors.New("rate limited")
	UnsafeLink      = errors.New("unsafe link")
	InvalidResponse = errors.New("response is not a tag list")
	TooLarge        = errors.New("limit exceeded")
)
