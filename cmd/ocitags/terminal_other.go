//go:build !linux

package main

import "os"

// isClosed is known on Linux only; elsewhere a write tells.
func isClosed(*os.File) bool { return false }

// terminalColumns is known on Linux only.
func terminalColumns(*os.File) int { return 0 }

// awaitReader is known on Linux only.
func awaitReader(*os.File) (gone bool) { return false }
