package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ocitags/ocitags/internal/reference"
)

// options are the flags, and the references.
type options struct {
	prefix, after    string
	include, exclude patterns
	omitDigestTags   bool
	limit            int

	json, count, fullRef, verbose bool
	output                        string

	user, authFile           string
	passwordStdin, anonymous bool
	allowRealm               names

	concurrency, n      int
	timeout             time.Duration
	plainHTTP, insecure bool
	caCert, cert, key   string

	demo, man, version bool
	completion         string

	refs []string
}

// several reports whether there may be more than one list.
func (o *options) several() bool { return len(o.refs) > 1 || slices.Contains(o.refs, "-") }

// patterns are the values of a flag that is given once for each.
type patterns []*regexp.Regexp

func (p *patterns) String() string { return "" }

func (p *patterns) Set(text string) error {
	re, err := regexp.Compile(text)
	if err != nil {
		return err
	}
	*p = append(*p, re)
	return nil
}

func (p patterns) match(tag string) bool {
	return slices.ContainsFunc(p, func(re *regexp.Regexp) bool { return re.MatchString(tag) })
}

// names are the same for host names.
type names []string

func (n *names) String() string { return "" }

func (n *names) Set(text string) error {
	if text == "" || strings.ContainsAny(text, "/ ") {
		return errors.New("a host name, and its port if it has one, such as auth.example")
	}
	*n = append(*n, strings.ToLower(text))
	return nil
}

// groups are the flags in the order of the usage, the manual and the completions.
var groups = []struct {
	title string
	flags []string
}{
	{"Selection", []string{"prefix", "after", "include", "exclude", "omit-digest-tags", "limit"}},
	{"Output", []string{"count", "full-ref", "json", "o", "v"}},
	{"Credentials", []string{"u", "password-stdin", "authfile", "anonymous", "allow-realm"}},
	{"Requests", []string{"c", "n", "timeout", "plain-http", "cacert", "cert", "key", "insecure"}},
	{"Other", []string{"demo", "completion", "man", "version"}},
}

// newFlags returns the flags, which set o.
func newFlags(o *options) *flag.FlagSet {
	f := flag.NewFlagSet("ocitags", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.prefix, "prefix", "", "only tags that begin with `PREFIX`; reads no others where the registry allows it")
	f.StringVar(&o.after, "after", "", "only tags greater than `TAG`, compared by bytes: resumes a sorted list")
	f.Var(&o.include, "include", "only tags that match the regular expression `RE`, anywhere unless it has ^ and $; may be repeated")
	f.Var(&o.exclude, "exclude", "no tags that match `RE`; may be repeated")
	f.BoolVar(&o.omitDigestTags, "omit-digest-tags", false, "no tags that are named after a digest, such as cosign's sha256-….sig")
	f.IntVar(&o.limit, "limit", 0, "stop after `N` tags (0 = no limit)")

	f.BoolVar(&o.count, "count", false, "print only the number of tags")
	f.BoolVar(&o.fullRef, "full-ref", false, "print host/name:tag, the default for several references")
	f.BoolVar(&o.json, "json", false, `print one JSON object per line: {"tag":…}, and {"complete":…} at the end`)
	f.StringVar(&o.output, "o", "", "write to `FILE`, which is replaced only when the list is complete")
	f.BoolVar(&o.verbose, "v", false, "log each request, each repair, and why the list is complete")

	f.StringVar(&o.user, "u", "", "log in as `USER`, with the password of -password-stdin")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&o.authFile, "authfile", "", "read credentials from `FILE` only, as written by docker login or podman login")
	f.BoolVar(&o.anonymous, "anonymous", false, "do not look for credentials")
	f.Var(&o.allowRealm, "allow-realm", "send the credential to the token server at `HOST`, in another domain than the registry; may be repeated")

	f.IntVar(&o.concurrency, "c", 0, "at most `N` concurrent requests (0 = adaptive: 4, and up to 16 in long lists; 1 with -limit)")
	f.IntVar(&o.n, "n", 0, "page size: `N` tags (0 = automatic, negative = the registry's default)")
	f.DurationVar(&o.timeout, "timeout", 0, "give up after `TIME`, such as 30s (0 = never)")
	f.BoolVar(&o.plainHTTP, "plain-http", false, "use plain HTTP, the default for loopback hosts")
	f.StringVar(&o.caCert, "cacert", "", "also trust the certificate authorities in `FILE` (PEM)")
	f.StringVar(&o.cert, "cert", "", "present the client certificate in `FILE` (PEM), with -key")
	f.StringVar(&o.key, "key", "", "the private key of -cert, in `FILE` (PEM)")
	f.BoolVar(&o.insecure, "insecure", false, "do not verify certificates: anybody in between can read what is sent")

	f.BoolVar(&o.demo, "demo", false, "list from registries that the command starts itself; needs no network")
	f.StringVar(&o.completion, "completion", "", "print the completion script for `SHELL`: bash, zsh or fish")
	f.BoolVar(&o.man, "man", false, "print the manual page: ocitags -man | man -l -")
	f.BoolVar(&o.version, "version", false, "print the version")
	return f
}

// parse reads the arguments. Flags may stand behind references; what comes after --
// is none.
func parse(args []string) (options, error) {
	var o options
	f := newFlags(&o)
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return o, explain(f, err)
		}
		rest := f.Args()
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" {
			o.refs, rest = append(o.refs, rest...), nil
		} else if len(rest) > 0 {
			o.refs, rest = append(o.refs, rest[0]), rest[1:]
		}
		args = rest
	}
	return o, o.check(f)
}

// explain makes an error of the flag package say what to write.
func explain(f *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	const unknown = "flag provided but not defined: -"
	if name, ok := strings.CutPrefix(err.Error(), unknown); ok {
		if near := nearest(f, name); near != "" {
			return fmt.Errorf("there is no flag -%s; did you mean -%s? ocitags -h lists them", name, near)
		}
		return fmt.Errorf("there is no flag -%s; ocitags -h lists them", name)
	}
	words := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == ':' })
	for i, word := range words {
		if fl := f.Lookup(strings.TrimPrefix(word, "-")); fl != nil && i > 0 && strings.HasPrefix(word, "-") {
			return fmt.Errorf("%w; write %s: %s", err, synopsis(fl), usageOf(fl))
		}
	}
	return err
}

// nearest returns the flag whose name is most like that of an unknown one; "": none is
// like it.
func nearest(f *flag.FlagSet, name string) (near string) {
	best := 3
	f.VisitAll(func(fl *flag.Flag) {
		d := distance(name, fl.Name)
		if len(name) > 1 && strings.HasPrefix(fl.Name, name) {
			d = 1
		}
		if d < best && d < len(fl.Name) {
			near, best = fl.Name, d
		}
	})
	return near
}

// distance returns how many characters have to be changed, added or removed to make one
// word of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// check says what is wrong with the options.
func (o *options) check(f *flag.FlagSet) error {
	set := map[string]bool{}
	f.Visit(func(fl *flag.Flag) { set[fl.Name] = true })
	alone := o.demo || o.man || o.version || o.completion != ""
	wrong := ""
	switch {
	case alone && len(o.refs) > 0:
		wrong = "-demo, -man, -completion and -version take no reference"
	case set["completion"] && completions[o.completion] == nil:
		wrong = fmt.Sprintf("-completion %q: write bash, zsh or fish", o.completion)
	case !alone && len(o.refs) == 0:
		wrong = "a reference is missing, such as ghcr.io/org/name, or - to read them from standard input"
	case o.concurrency < 0:
		wrong = fmt.Sprintf("-c %d is below 0; write -c 0 for as many as are useful", o.concurrency)
	case o.limit < 0:
		wrong = fmt.Sprintf("-limit %d is below 0; write -limit 0 for all", o.limit)
	case o.timeout < 0:
		wrong = fmt.Sprintf("-timeout %v is below 0; write -timeout 0 for never", o.timeout)
	case set["u"] && !o.passwordStdin:
		wrong = "-u needs the password: write -password-stdin, and send it there"
	case o.passwordStdin && (!set["u"] || o.user == ""):
		wrong = "-password-stdin needs the name: write -u USER"
	case o.passwordStdin && slices.Contains(o.refs, "-"):
		wrong = "standard input has either the password or the references; write the references as arguments"
	case btoi(o.passwordStdin)+btoi(o.anonymous)+btoi(set["authfile"]) > 1:
		wrong = "-u, -authfile and -anonymous exclude each other"
	case (o.cert == "") != (o.key == ""):
		wrong = "-cert and -key need each other"
	case o.count && o.limit > 0:
		wrong = "-count counts all tags; leave out -limit"
	}
	if wrong != "" {
		return errors.New(wrong)
	}
	return o.checkReferences()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkReferences sees to it that none is wrong before anything is asked.
func (o *options) checkReferences() error {
	hosts := map[string]bool{}
	for _, ref := range o.refs {
		if ref == "-" {
			continue
		}
		repo, err := parseReference(ref)
		if err != nil {
			return err
		}
		hosts[strings.ToLower(repo.Host)] = true
	}
	if o.passwordStdin && len(hosts) > 1 {
		return errors.New("-u is for one registry, and the references name several")
	}
	return nil
}

// parseReference reads a reference, and says what to write in place of a wrong one.
func parseReference(ref string) (reference.Repository, error) {
	repo, err := reference.Parse(ref)
	switch {
	case errors.Is(err, reference.ErrUppercase):
		err = fmt.Errorf("%q is not a reference: %w; write %q", ref, err, strings.ToLower(ref))
	case err != nil:
		err = fmt.Errorf("%q is not a reference: %w; write host/name, such as ghcr.io/org/name", ref, err)
	}
	return repo, err
}

const usage = `usage: ocitags [flags] REFERENCE...

Lists all tags of repositories: ubuntu, ghcr.io/org/name, localhost:5000/a. The
reference - reads references from standard input, one per line. Exit status: 0 if
all tags were printed, 1 if something failed, 2 if the usage is wrong.
`

// printUsage prints the flags.
func printUsage(w io.Writer) error {
	f := newFlags(new(options))
	var text strings.Builder
	text.WriteString(usage)
	for _, group := range groups {
		fmt.Fprintf(&text, "\n%s:\n", group.title)
		for _, name := range group.flags {
			fl := f.Lookup(name)
			fmt.Fprintf(&text, "  %s\n        %s\n", synopsis(fl), usageOf(fl))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// synopsis returns a flag and the name of its value.
func synopsis(fl *flag.Flag) string {
	name, _ := flag.UnquoteUsage(fl)
	return "-" + strings.TrimSpace(fl.Name+" "+name)
}

// usageOf returns what a flag does.
func usageOf(fl *flag.Flag) string {
	_, text := flag.UnquoteUsage(fl)
	return text
}
