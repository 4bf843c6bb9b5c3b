package grammar

import (
	"strings"
	"testing"
	"time"
)

// applyPatchGrammar is the grammar that Codex gives its apply_patch tool.
const applyPatchGrammar = `start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line

change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
`

// codeGrammar is that of its tool exec, in code mode.
const codeGrammar = `
start: pragma_source | plain_source
pragma_source: PRAGMA_LINE NEWLINE SOURCE
plain_source: SOURCE

PRAGMA_LINE: /[ \t]*\/\/ @exec:[^\r\n]*/
NEWLINE: /\r?\n/
SOURCE: /[\s\S]+/
`

func TestGrammars(t *testing.T) {
	const arithmetic = `
// an expression
?start: sum
sum: product | sum ("+"|"-") product
product: atom (("*" | "/") atom)*
atom: NUMBER | "(" sum ")"
    | CNAME "(" [sum ("," sum)*] ")" -> call
%import common (NUMBER, CNAME)
%import common.WS_INLINE -> SPACE
%ignore SPACE
%ignore /\n/+
`
	for _, c := range []struct {
		notation, definition string
		good, bad            []string
	}{
		{"regex", `^[A-Z]{3}-\d+$`, []string{"ABC-1", "ABC-٣"}, []string{"", "ABC-", "ABC-1 ", "xABC-1", "ABC-1\n"}},
		{"regex", `a|bc`, []string{"a", "bc"}, []string{"ac", "abc"}},
		{"regex", `(?i)\w+\s\S+`, []string{"é 1", "a\u00a0b"}, []string{"a b c"}},
		{"regex", `[\w.-]+@[^\s]+`, []string{"ä.b@c"}, []string{"a b@c", "a@b c"}},
		{"regex", `[\s\S]+`, []string{"a\n b", "\u00a0"}, []string{""}},
		{"regex", `[^\S\n]+[\W5]`, []string{" \t5", "\u2003-"}, []string{"\n5", " a", "x5"}},
		{"lark", codeGrammar, []string{"text(1)\n", "// @exec: js\ntext(1)"}, []string{""}},
		{"regex", `[]a]+`, []string{"]a"}, []string{"b"}},
		{"regex", `[[:alpha:]]+\/`, []string{"ab/"}, []string{"1/"}},
		{"lark", applyPatchGrammar, []string{
			"*** Begin Patch\n*** Add File: a.txt\n+hi\n+\n*** End Patch\n", "*** Begin Patch\n*** Delete File: a b\n*** End Patch",
			"*** Begin Patch\n*** Update File: é\n*** Move to: b\n@@\n a\n-b\n+c\n@@ class X\n+d\n*** End of File\n*** Delete File: x\n*** End Patch\n",
		}, []string{
			"", "*** Begin Patch\n*** End Patch\n", "*** Begin Patch\n*** Add File: a.txt\nhi\n*** End Patch\n", "*** Begin Patch\n*** Add File: \n+a\n*** End Patch",
			"*** Begin Patch\n*** Add File: a\n+hi\n", "```\n*** Begin Patch\n*** Delete File: a\n*** End Patch\n```",
		}},
		{"lark", arithmetic, []string{"1", " 1 + 2*(3-4.5e1)\n/ x() ", "f(1, g(2))", "1\n\n+2"}, []string{"", "1+", "1 2", "(1", "f(,)", "1e", "x"}},
		{"lark", "start: \"select\"i WORD (\",\" WORD)~0..2\n%import common.WORD\n%ignore \" \"", []string{"SELECT a", "select a, b,c"}, []string{"select", "select a,b,c,d"}},
		{"lark", "start: (A|\"x\")* B\nA: \"a\"..\"c\"\nB: A \"!\"+", []string{"a!", "abxc!!"}, []string{"a", "d!", "a !"}},
		{"lark", `start: a a` + "\n" + `a: "x"? b?` + "\n" + `b: "y" | `, []string{"", "x", "xy", "xyxy", "yy"}, []string{"yyy", "xyx y"}},
		{"lark", "start: start \"a\" | \"a\" start | \"a\"", []string{"a", "aaaa"}, []string{"", "ab"}},
		{"lark", "start: /a*/ /a*/ \"b\"", []string{"b", "aab"}, []string{"aa"}},
	} {
		g, ok := Compile(c.notation, c.definition)
		if !ok {
			t.Errorf("%s %q is not read", c.notation, c.definition)
			continue
		}
		for _, s := range c.good {
			if reason := g.Check(s); reason != "" {
				t.Errorf("%.40q refuses %q: %s", c.definition, s, reason)
			}
		}
		for _, s := range c.bad {
			if g.Check(s) == "" {
				t.Errorf("%.40q takes %q", c.definition, s)
			}
		}
	}
}

// TestGrammarsThatAreNotRead: what may mean something else elsewhere is not
// checked, rather than checked wrongly.
func TestGrammarsThatAreNotRead(t *testing.T) {
	for notation, definitions := range map[string][]string{
		"regex": {`(?=a)b`, `a\b`, `(a)\1`, `[a&&b]`, `[a--b]`, `[[a]b]`, `(?x) a`, `a{,3}`, `(`, `a++`, `\u0041`, `[a`, "\\"},
		"lark": {``, `start: other`, `start: "a`, `start: /a`, "start: A\nA: b\nb: \"x\"", `x: "a"`, "start: a{\"x\"}\na{y}: y", "%import other.X\nstart: X",
			"start: X\n%import common.UNKNOWN", "%declare X\nstart: X", `start: /^a$/`, `start: /(?=a)/`, `start: ("a"`, "start: \"a\"\nstart: \"b\"", `start: "a"~3..1`,
			"start: \"a\"\n%ignore \"a\" \"b\"", `start: ` + strings.Repeat("(", 100), `start: "a"~501`, `start: /a/x`, `start "a"`, `start: "a" )`},
		"gbnf": {`root ::= "a"`},
	} {
		for _, d := range definitions {
			if g, ok := Compile(notation, d); ok {
				t.Errorf("%s %q is read; and of \"a\" it says %q", notation, d, g.Check("a"))
			}
		}
	}
}

// TestGrammarReasons: a reason tells where and what.
func TestGrammarReasons(t *testing.T) {
	g, _ := Compile("lark", applyPatchGrammar)
	for input, want := range map[string]string{
		"*** Begin Patch\nhello": `line 2, column 1: found "hello", expected "*** Add File: " or "*** Delete File: " or "*** Update File: "`,
		"*** Begin":              `line 1, column 1: found "*** Begin", expected "*** Begin Patch"`,
		"":                       `line 1, column 1: found the end, expected "*** Begin Patch"`,
	} {
		if got := g.Check(input); got != want {
			t.Errorf("%q: %s", input, got)
		}
	}
}

// TestGrammarsTakeTheirTime: neither a grammar nor an input makes a check take long.
func TestGrammarsTakeTheirTime(t *testing.T) {
	patch := "*** Begin Patch\n*** Add File: a\n" + strings.Repeat("+some line of a file that is being written\n", 400) + "*** End Patch\n"
	g, _ := Compile("lark", applyPatchGrammar)
	start := time.Now()
	if reason := g.Check(patch); reason != "" {
		t.Error(reason)
	}
	if reason := g.Check(strings.Replace(patch, "\n+some", "\nsome", 1)); reason == "" {
		t.Error("a patch of 17 KB is not checked")
	}
	for definition, input := range map[string]string{
		"start: start start | \"a\"":                       strings.Repeat("a", 5000),
		"start: (\"a\"?)~500 /(a*)*/":                      strings.Repeat("a", 5000) + "b",
		"start: X\nX: /(a?){500}/ /(a|aa)+/ \"b\"":         strings.Repeat("a", 20000),
		"start: \"b\"\n%ignore /a*/\n%ignore /(a|aa){50}/": strings.Repeat("a", 20000),
		"start: a\na: b\nb: a | \"x\"":                     strings.Repeat("x", 1000),
	} {
		g, ok := Compile("lark", definition)
		if !ok {
			t.Errorf("%q is not read", definition)
		}
		g.Check(input)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Error(took)
	}
}

func FuzzGrammar(f *testing.F) {
	f.Add("lark", applyPatchGrammar, "*** Begin Patch\n*** Add File: a\n+b\n*** End Patch")
	f.Add("lark", "start: (A|\"x\"i)* [B] /a.*/s\nA: \"a\"..\"c\"\nB: A~2..3 -> x\n%ignore \" \"+\n%import common.WS", "a b")
	f.Add("regex", `^[\w\-.]+(?P<x>\d|[[:alpha:]])$`, "a1")
	f.Fuzz(func(t *testing.T, notation, definition, input string) {
		if g, ok := Compile(notation, definition); ok {
			g.Check(input)
		}
	})
}
