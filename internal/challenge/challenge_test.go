package challenge

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/field"
)

func TestParse(t *testing.T) {
	type c = Challenge
	p := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, test := range []struct {
		name    string
		headers []string
		want    []Challenge
	}{
		{"usual", []string{`Bearer realm="https://a/t",service="s",scope="repository:a/b:pull"`}, []c{{"bearer", p("realm", "https://a/t", "service", "s", "scope", "repository:a/b:pull")}}},
		{"actions with a comma", []string{`Bearer realm="r",scope="repository:a/b:pull,push"`}, []c{{"bearer", p("realm", "r", "scope", "repository:a/b:pull,push")}}},
		{"two in one header", []string{`Basic realm="a, Bearer b=c", Bearer realm="r"`}, []c{{"basic", p("realm", "a, Bearer b=c")}, {"bearer", p("realm", "r")}}},
		{"two headers", []string{`Bearer realm="r"`, `Basic realm="x"`}, []c{{"bearer", p("realm", "r")}, {"basic", p("realm", "x")}}},
		{"upper case", []string{`BEARER REALM="r",Service="S"`}, []c{{"bearer", p("realm", "r", "service", "S")}}},
		{"unquoted", []string{`Bearer realm=https://a/t,service=s`}, []c{{"bearer", p("realm", "https://a/t", "service", "s")}}},
		{"spaces", []string{`Bearer   realm = "r" , service	=	"s"`}, []c{{"bearer", p("realm", "r", "service", "s")}}},
		{"escaped quotes", []string{`Bearer realm="a\"b\\c",service="s"`}, []c{{"bearer", p("realm", `a"b\c`, "service", "s")}}},
		{"no parameters", []string{`Negotiate`, `Basic`}, []c{{"negotiate", p()}, {"basic", p()}}},
		{"token68", []string{`Negotiate TlRMTVNTUAAB==, Bearer realm="r"`}, []c{{"negotiate", p()}, {"bearer", p("realm", "r")}}},
		{"the first of two counts", []string{`Bearer realm="r",realm="evil"`}, []c{{"bearer", p("realm", "r")}}},
		{"an open quote", []string{`Bearer realm="r`, `Basic realm="x"`}, []c{{"bearer", p()}, {"basic", p("realm", "x")}}},
		{"a parameter alone", []string{`realm="r"`}, nil},
		{"nothing", []string{"", ",", " "}, nil},
	} {
		assert.Equal(t, test.want, Parse(test.headers), test.name)
	}
}

// No header makes the parser fail or hang, and no scheme or name holds what a
// token cannot.
func FuzzParse(f *testing.F) {
	for _, header := range []string{`Bearer realm="https://a/t",service="s",scope="repository:a/b:pull"`, `Basic realm="a, Bearer b=c", Bearer realm="r"`, `Negotiate TlR==`, `a=b,,="`, `Bearer realm = x y="\`} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, c := range Parse([]string{header}) {
			token, rest := field.CutToken(c.Scheme)
			require.NotEmpty(t, token)
			require.Empty(t, rest)
			for name := range c.Params {
				_, rest := field.CutToken(name)
				require.Empty(t, rest)
			}
		}
	})
}
