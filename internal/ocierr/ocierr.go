// Package ocierr has the errors of a listing that more than one package returns.
// Package ocitags exports them under names of its own.
package ocierr

import "errors"

var (
	ErrUnauthorized    = errors.New("access denied")
	ErrRateLimited     = errors.New("rate limited")
	ErrLoop            = errors.New("pagination loop")
	ErrUnsafeLink      = errors.New("unsafe link")
	ErrInvalidResponse = errors.New("response is not a tag list")
	ErrTooLarge        = errors.New("limit exceeded")
)
