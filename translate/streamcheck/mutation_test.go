package streamcheck

import (
	"bytes"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutation damages one good stream in one way. The damage must be reported under its rule, and before anything else
// that follows from it.
type mutation struct {
	rule   Rule
	stream string // name in goodStreams
	what   string
	do     func(d *draft)
}

// draft is a stream being damaged.
type draft struct {
	*story
	rewrite func(raw []byte) []byte // the finished bytes
}

// find is the index of the n-th event whose type ends in typ.
func (d *draft) find(typ string, n int) int {
	for i, e := range d.events {
		if strings.HasSuffix(e.typ(), typ) {
			if n == 0 {
				return i
			}
			n--
		}
	}
	panic("no event " + typ)
}

func (d *draft) drop(typ string) { d.dropNth(typ, 0) }

func (d *draft) dropNth(typ string, n int) {
	i := d.find(typ, n)
	d.events = slices.Delete(d.events, i, i+1)
}

func (d *draft) double(typ string) {
	i := d.find(typ, 0)
	d.events = slices.Insert(d.events, i, ev{body: clone(d.events[i].body)})
}

func (d *draft) swap(a, b string) {
	i, j := d.find(a, 0), d.find(b, 0)
	d.events[i], d.events[j] = d.events[j], d.events[i]
}

// before inserts an event before the first one whose type ends in typ.
func (d *draft) before(typ, newTyp string, body obj) {
	d.insert(d.find(typ, 0), newTyp, body)
}

func (d *draft) insert(i int, typ string, body obj) {
	body = clone(body)
	body["type"] = typ
	d.events = slices.Insert(d.events, i, ev{body: body})
}

func (d *draft) end(typ string, body obj) { d.insert(len(d.events), typ, body) }

// set puts v at a path like item.content.0.text of the first event whose type ends in typ.
func (d *draft) set(typ, path string, v any) { put(d.events[d.find(typ, 0)].body, path, v) }

func (d *draft) setNth(typ string, n int, path string, v any) {
	put(d.events[d.find(typ, n)].body, path, v)
}

// gone is, instead of a value, that there is no such member.
type gone struct{}

func (d *draft) del(typ, path string) { d.set(typ, path, gone{}) }

// both sets a member of the item of output_item.done and of the terminal output alike.
func (d *draft) both(path string, v any) {
	d.set("output_item.done", "item."+path, v)
	put(d.events[len(d.events)-1].body, "response.output.0."+path, v)
}

// everywhere sets a member of every response object.
func (d *draft) everywhere(path string, v any) {
	for _, e := range d.events {
		if _, ok := e.body["response"]; ok {
			put(e.body, "response."+path, v)
		}
	}
}

// last sets a member of the terminal event.
func (d *draft) last(path string, v any) { put(d.events[len(d.events)-1].body, path, v) }

func put(at any, path string, v any) {
	key, rest, more := strings.Cut(path, ".")
	switch c := at.(type) {
	case obj:
		switch {
		case more:
			put(c[key], rest, v)
		case v == gone{}:
			if _, ok := c[key]; !ok {
				panic("no member " + path)
			}
			delete(c, key)
		default:
			c[key] = v
		}
	case list:
		i, _ := strconv.Atoi(key)
		if more {
			put(c[i], rest, v)
		} else {
			c[i] = v
		}
	default:
		panic("no such path " + path)
	}
}

// replace rewrites the first occurrence of a piece of the finished bytes.
func (d *draft) replace(old, new string) {
	d.rewrite = func(raw []byte) []byte {
		if !bytes.Contains(raw, []byte(old)) {
			panic(fmt.Sprintf("%q is not in the stream", old))
		}
		return bytes.Replace(raw, []byte(old), []byte(new), 1)
	}
}

func TestMutations(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range slices.Concat(framingMutations, eventMutations, ladderMutations, itemMutations, responseMutations) {
		t.Run(string(m.rule)+"/"+m.stream+"/"+m.what, func(t *testing.T) {
			s := good(m.stream)
			if s == nil {
				t.Fatal("no such stream")
			}
			if id := string(m.rule) + m.stream + m.what; seen[id] {
				t.Fatal("listed twice")
			} else {
				seen[id] = true
			}
			whole := s.bytes()
			d := &draft{story: s}
			m.do(d)
			raw := d.bytes()
			if d.rewrite != nil {
				raw = d.rewrite(raw)
			}
			if bytes.Equal(raw, whole) {
				t.Fatal("the mutation changed nothing")
			}
			got := Stream(raw, d.opt)
			if !has(got, m.rule) {
				t.Fatalf("not reported as %s, but %v", m.rule, got)
			}
			if got[0].Rule != m.rule {
				t.Errorf("reported first as %v", got[0])
			}
			for _, v := range got {
				if v.Message == "" || !strings.Contains(v.String(), string(v.Rule)) || v.Event >= len(d.events)+1 {
					t.Errorf("malformed violation %+v", v)
				}
			}
		})
	}
	t.Logf("%d mutations", len(seen))
	if len(seen) < 120 {
		t.Errorf("only %d mutations", len(seen))
	}
}

// rules reads the constants of rules.go, so that none can be forgotten.
func rules(t *testing.T) (all []Rule) {
	file, err := goparser.ParseFile(token.NewFileSet(), "rules.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, _ := strconv.Unquote(lit.Value)
			all = append(all, Rule(s))
		}
		return true
	})
	return all
}

func TestEveryRuleHasAMutation(t *testing.T) {
	tested := map[Rule]bool{}
	for _, m := range slices.Concat(framingMutations, eventMutations, ladderMutations, itemMutations, responseMutations) {
		tested[m.rule] = true
	}
	for _, rule := range rules(t) {
		if !tested[rule] {
			t.Errorf("no mutation for %s", rule)
		}
	}
}

func TestEveryRuleIsDocumentedOnce(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Rule]bool{}
	for _, rule := range rules(t) {
		if seen[rule] {
			t.Errorf("%s names two rules", rule)
		}
		seen[rule] = true
		if n := strings.Count(string(doc), "//   - "+string(rule)+":"); n != 1 {
			t.Errorf("doc.go lists %s %d times", rule, n)
		}
	}
}
