package main

import (
	"fmt"
	"io"
	"strings"
)

// manual is the page but for the flags, in man(7).
const manual = `.TH OCITAGS 1
.SH NAME
ocitags \- list all tags of repositories in OCI registries
.SH SYNOPSIS
.B ocitags
[flags]
.IR REFERENCE ...
.SH DESCRIPTION
.B ocitags
prints the tags of each repository, one per line, as they arrive and in the registry's
order: all of them, or an error. With more than one reference, each tag is printed with
the name of its repository in front.
.PP
A
.I REFERENCE
is what people paste: ubuntu, ghcr.io/org/name, localhost:5000/a; a tag or a digest is
ignored; oci://, docker:// or https:// may stand in front; http:// asks for plain HTTP. The
reference
.B \-
reads references from standard input, one per line. Flags may follow references;
whatever follows
.B \-\-
is not a flag.
`

// manualEnd follows the flags.
const manualEnd = `.SH EXIT STATUS
.TP
.B 0
Each list is complete, or has reached
.BR \-limit .
.TP
.B 1
Something failed. What was printed is incomplete; the error is the last line of standard
error, and with
.B \-json
as a last record.
.TP
.B 2
A flag or a reference is wrong.
.SH OUTPUT
With
.B \-json
each line is an object:
.B {"tag":"1.0"}
for a tag, and at the end of a repository
.B {"complete":true,"tags":1}
or
.BR {"complete":false,"error":"..."} ,
or, where
.B \-limit
has ended it,
.BR {"complete":false,"tags":1,"limited":true} .
A repository whose last record does not say that it is complete may have more tags. With
several references, or
.BR \-full\-ref ,
each object has the
.BR repository .
.SH ENVIRONMENT
.TP
.BR REGISTRY_AUTH_FILE ", " DOCKER_AUTH_CONFIG ", " DOCKER_CONFIG ", " XDG_RUNTIME_DIR ", " XDG_CONFIG_HOME
Where the credentials of docker login and podman login are found.
.TP
.BR HTTPS_PROXY ", " HTTP_PROXY ", " NO_PROXY
The proxy.
.TP
.BR NO_COLOR ", " TERM
No colours where the first is not empty; neither colours nor progress where the second
is dumb.
.SH EXAMPLES
.TP
.B ocitags \-prefix v1. ghcr.io/org/name
The tags that begin with v1. only.
.TP
.B ocitags \-o tags.txt registry.example/cache
Keep the list that is there until the new one is complete.
.TP
.B ocitags \-limit 10 ubuntu
Ten tags, and no more requests than they take.
`

// printManual prints the manual page.
func printManual(w io.Writer) error {
	escape := strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...")
	f := newFlags(new(options))
	var text strings.Builder
	text.WriteString(manual)
	text.WriteString(".SH OPTIONS\n")
	for _, group := range groups {
		fmt.Fprintf(&text, ".SS %s\n", group.title)
		for _, name := range group.flags {
			fl := f.Lookup(name)
			flag, value, _ := strings.Cut(synopsis(fl), " ")
			fmt.Fprintf(&text, ".TP\n.BI %s %q\n%s.\n", escape.Replace(flag), strings.TrimRight(" "+value, " "), escape.Replace(capital(usageOf(fl))))
		}
	}
	text.WriteString(manualEnd)
	_, err := io.WriteString(w, text.String())
	return err
}

// capital begins a sentence.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
