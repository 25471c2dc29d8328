// Package conformance has the tests of the library through its public face: at modelled
// and recorded registries, at servers that are generated, broken or hostile.
package conformance

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the tests if one of them leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
