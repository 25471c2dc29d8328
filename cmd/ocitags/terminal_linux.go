package main

import (
	"os"
	"syscall"
	"unsafe"
)

// terminalColumns returns the width of a terminal, or 0 (ioctl_tty(2), TIOCGWINSZ).
func terminalColumns(f *os.File) int {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0
	}
	return int(size.columns)
}

// isClosed reports whether a standard stream was closed when the process began.
// The runtime then puts /dev/null in its place, open for reading and writing, so
// that no other file gets its number; a shell's >/dev/null is open for writing
// only. Where all three are so, that is what a daemon is started with.
func isClosed(f *os.File) bool {
	return isFullNull(f) && !(isFullNull(os.Stdin) && isFullNull(os.Stdout) && isFullNull(os.Stderr))
}

func isFullNull(f *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil || !os.SameFile(info, null) {
		return false
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFL, 0)
	return errno == 0 && flags&syscall.O_ACCMODE == syscall.O_RDWR
}
