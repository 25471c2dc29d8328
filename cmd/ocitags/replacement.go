package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A replacement is a file that takes the place of another one when it is complete.
type replacement struct {
	*os.File
	path string // of what it replaces
	done bool
}

// replace begins the replacement of a file, which need not exist. A link is followed.
func replace(path string) (*replacement, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := os.FileMode(0o666) // less the umask
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("-o %s: it is not a regular file; write >%s", path, path)
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("-o: %w", err)
	}
	for i := range 1000 {
		file, err := os.OpenFile(fmt.Sprintf("%s.%d-%d.tmp", path, os.Getpid(), i), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("-o: %w", err)
		}
		return &replacement{File: file, path: path}, nil
	}
	return nil, fmt.Errorf("-o %s: no temporary file can be made", path)
}

// commit puts the file in its place.
func (r *replacement) commit() error {
	err := r.Sync()
	if err == nil {
		err = r.Close()
	}
	if err == nil {
		err = os.Rename(r.Name(), r.path)
	}
	if err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	r.done = true
	return nil
}

// abandon removes the file, unless it is in its place.
func (r *replacement) abandon() {
	if !r.done {
		_ = r.Close()
		_ = os.Remove(r.Name())
	}
}
