// Package interop lists tags from real registries, each started on loopback by
// its tests. It is a module of its own so that importing the library downloads
// no server.
package interop
