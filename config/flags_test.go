package config

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parseFlags(t *testing.T, args ...string) (*Flags, error) {
	t.Helper()
	var f Flags
	fs := flag.NewFlagSet("antiphon", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	f.Bind(fs)
	return &f, fs.Parse(args)
}

func TestFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	file := "listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\nupstream: {dialect: vllm, models: {a: b}, overrides: {accepts: {user: false}}}\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ANTIPHON_TEST_KEY", canary)
	f, err := parseFlags(t, "--config", path, "--admin", "", "--upstream", "http://h:9/v1", "--loss=strict",
		"--upstream-key-env", "ANTIPHON_TEST_KEY", "--log-level", "debug", "--log-format", "console", "--store", "memory",
		"--api-keys-file", "keys", "--shutdown-drain", "5s", "--dialect", "ollama",
		"--set", "upstream.models.gpt-4.1=x=y", "--set", "limits.body=8MiB",
		"--set", "upstream.overrides.tools.name_max=40", "--set", "upstream.overrides.accepts.verbosity=true",
		"--set", "upstream.overrides.accepts.user=true",
		"--set", "upstream.overrides.extra_params=a,b", "--set", "upstream.overrides.reasoning.efforts.x.y=z",
		"--set", "upstream.headers.X-Foo=${ANTIPHON_TEST_KEY}")
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	u := &c.Upstream
	if c.Listen != "127.0.0.1:1" || c.Admin != "" || u.URL != "http://h:9/v1" || c.Loss != LossStrict ||
		u.Key.Reveal() != canary || c.Log != (Log{LogDebug, LogConsole}) || c.Auth.APIKeysFile != "keys" ||
		c.Shutdown.Drain.String() != "5s" || u.Dialect != "ollama" || c.Limits.Body != 8*MiB ||
		len(u.Models) != 2 || u.Models["gpt-4.1"] != "x=y" || u.Headers["X-Foo"].Reveal() != canary {
		t.Errorf("got %v", c)
	}
	d, err := u.EffectiveDialect()
	if err != nil || d.Name != "ollama" || d.Tools.NameMax != 40 || strings.Join(d.ExtraParams, " ") != "a b" ||
		d.Reasoning.Efforts["x.y"] != "z" || u.Overrides.Len() != 5 {
		t.Errorf("got %+v (%v)", d, err)
	}
	if again := reload(t, c); again.Redacted() != c.Redacted() {
		t.Errorf("got %s, want %s", again.Redacted(), c.Redacted())
	}
}

func TestFlagsNotGiven(t *testing.T) {
	f, err := parseFlags(t)
	if err != nil || len(f.overrides) != 0 || f.Path != "" {
		t.Fatalf("got %+v (%v)", f, err)
	}
}

func TestFlagsRefused(t *testing.T) {
	fn := func(want string, args ...string) {
		t.Helper()
		f, err := parseFlags(t, args...)
		if err == nil {
			_, err = f.Load()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary+"!") {
			t.Errorf("%q: got %v, want %s", args, err, want)
		}
	}
	fn("--listen: listen: must be host:port", "--listen", "x")
	fn(`--loss: loss: "x": unknown value; it can be allow, warn or strict`, "--loss", "x")
	fn("--upstream-key-env: upstream.key: the environment variable ANTIPHON_NO_SUCH is not set", "--upstream-key-env", "ANTIPHON_NO_SUCH")
	fn("must be the NAME of an environment variable, not the key itself", "--upstream-key-env", "")
	fn("must be key=value", "--set", "limits.body")
	fn("must be key=value", "--set", "=x")
	fn("--set: limits.boddy: unknown key (did you mean body?)", "--set", "limits.boddy=1MiB")
	fn("--set: limits: must have keys below it", "--set", "limits=1MiB")
	fn("--set: listen: must be a text", "--set", "listen.x=1MiB")
	fn("--set: upstream.models: must be a map", "--set", "upstream.models=1MiB")
	fn("--set: upstream.overrides: must have keys", "--set", "upstream.overrides=1")
	fn("--set: upstream.overrides.accepts.x: unknown name", "--set", "upstream.overrides.accepts.x=true")
	fn("--dialect: upstream.dialect: unknown dialect (did you mean vllm?)", "--dialect", "vlllm")
	fn("--store: store.kind: sqlite is not in this version; it can be memory, bolt:FILE or a redis:// URL", "--store", "sqlite:x")
	fn("--store: store.kind: needs a file", "--store", "bolt:")
	fn("not defined", "--no-such-flag", "x")
}

// Every flag says what it is and what happens without it.
func TestFlagsHelp(t *testing.T) {
	var f Flags
	var out bytes.Buffer
	fs := flag.NewFlagSet("antiphon", flag.ContinueOnError)
	fs.SetOutput(&out)
	f.Bind(fs)
	fs.PrintDefaults()
	for _, want := range []string{"-listen host:port", "(default 127.0.0.1:8080)", "-upstream-key-env NAME", "-config file"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in help:\n%s", want, out.String())
		}
	}
	fs.VisitAll(func(fl *flag.Flag) {
		if !strings.Contains(fl.Usage, "(default") || !strings.Contains(fl.Usage, "`") {
			t.Errorf("--%s: %s", fl.Name, fl.Usage)
		}
	})
}
