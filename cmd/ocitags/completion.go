package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// completions print what a shell reads to complete the flags.
var completions = map[string]func(w *strings.Builder, flags []completed){
	"bash": bash,
	"zsh":  zsh,
	"fish": fish,
}

// A completed is a flag as shells need it.
type completed struct {
	name, usage string
	value       string // what stands behind it; "": nothing
	choices     []string
	isFile      bool
	again       bool // it may be given again
}

// completedFlags returns all flags, for the completion.
func completedFlags() (all []completed) {
	f := newFlags(new(options))
	for _, group := range groups {
		for _, name := range group.flags {
			fl := f.Lookup(name)
			value, text := flag.UnquoteUsage(fl)
			c := completed{name: name, usage: text, value: value, isFile: value == "FILE"}
			if name == "completion" {
				c.choices = []string{"bash", "zsh", "fish"}
			}
			switch fl.Value.(type) {
			case *patterns, *names:
				c.again = true
			}
			all = append(all, c)
		}
	}
	return all
}

func printCompletion(w io.Writer, shell string) error {
	var text strings.Builder
	completions[shell](&text, completedFlags())
	_, err := io.WriteString(w, text.String())
	return err
}

func bash(w *strings.Builder, flags []completed) {
	var names, files, values []string
	for _, f := range flags {
		names = append(names, "-"+f.name)
		switch {
		case f.isFile:
			files = append(files, "-"+f.name)
		case f.choices != nil:
		case f.value != "":
			values = append(values, "-"+f.name)
		}
	}
	fmt.Fprintf(w, `# bash completion for ocitags: source <(ocitags -completion bash)
_ocitags() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	case $previous in
	%s)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
`, strings.Join(files, " | "))
	for _, f := range flags {
		if f.choices != nil {
			fmt.Fprintf(w, "\t-%s)\n\t\tmapfile -t COMPREPLY < <(compgen -W %q -- \"$current\")\n\t\treturn\n\t\t;;\n", f.name, strings.Join(f.choices, " "))
		}
	}
	fmt.Fprintf(w, `	%s)
		return
		;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W %q -- "$current")
	fi
}
complete -o filenames -F _ocitags ocitags
`, strings.Join(values, " | "), strings.Join(names, " "))
}

func zsh(w *strings.Builder, flags []completed) {
	w.WriteString("#compdef ocitags\n# zsh completion for ocitags: source <(ocitags -completion zsh), or put it into a directory of $fpath as _ocitags\n_ocitags() {\n\t_arguments -S \\\n")
	quote := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`)
	for _, f := range flags {
		fmt.Fprintf(w, "\t\t'%s-%s[%s]", map[bool]string{true: "*"}[f.again], f.name, quote.Replace(f.usage))
		switch {
		case f.isFile:
			w.WriteString(":file:_files")
		case f.choices != nil:
			fmt.Fprintf(w, ":%s:(%s)", strings.ToLower(f.value), strings.Join(f.choices, " "))
		case f.value != "":
			fmt.Fprintf(w, ":%s: ", strings.ToLower(f.value))
		}
		w.WriteString("' \\\n")
	}
	w.WriteString("\t\t'*:reference: '\n}\nif [ \"$funcstack[1]\" = _ocitags ]; then\n\t_ocitags \"$@\"\nelse\n\tcompdef _ocitags ocitags\nfi\n")
}

func fish(w *strings.Builder, flags []completed) {
	w.WriteString("# fish completion for ocitags: ocitags -completion fish | source\ncomplete -c ocitags -f\n")
	for _, f := range flags {
		fmt.Fprintf(w, "complete -c ocitags -o %s -d '%s'", f.name, strings.ReplaceAll(f.usage, "'", `\'`))
		switch {
		case f.isFile:
			w.WriteString(" -r -F")
		case f.choices != nil:
			fmt.Fprintf(w, " -x -a '%s'", strings.Join(f.choices, " "))
		case f.value != "":
			w.WriteString(" -x")
		}
		w.WriteString("\n")
	}
}
