package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/probe"
)

// runProbe asks a server what it takes and how it answers, and prints a table and a
// configuration.
func runProbe(c *command, args []string, stdout, stderr io.Writer) int {
	u := config.Default().Upstream
	u.URL = ""
	opt := probe.Options{Upstream: &u}
	var keyEnv string
	var asJSON, quiet bool
	code, ok := c.flags(args, stdout, stderr, func(fs *flag.FlagSet) {
		fs.StringVar(&u.URL, "upstream", "", "`URL` of the server")
		fs.StringVar(&opt.Model, "model", "", "`name` of the model to ask")
		fs.StringVar(&keyEnv, "upstream-key-env", "", "`NAME` of the environment variable with the server's key")
		fs.StringVar(&u.KeyHeader, "key-header", "", "`header` that carries the key as it is, such as api-key (default Authorization: Bearer)")
		fs.StringVar(&u.Dialect, "dialect", "", "preset `name` to begin with (default: found out)")
		fs.IntVar(&opt.MaxTokens, "max-tokens", probe.DefaultMaxTokens, "`number` of tokens, prompts included, that all requests together may take")
		fs.DurationVar(&opt.Timeout, "timeout", probe.DefaultTimeout, "how long one `request` may take")
		fs.DurationVar(&opt.Deadline, "deadline", probe.DefaultDeadline, "how long `all` requests may take")
		fs.BoolVar(&asJSON, "json", false, "print the report as JSON")
		fs.BoolVar(&quiet, "quiet", false, "say nothing on standard error while it runs")
	})
	if !ok {
		return code
	}
	usage := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "antiphon probe: "+format+"\n", args...)
		return exitUsage
	}
	switch {
	case u.URL == "":
		return usage("--upstream is missing: the URL of the server, such as http://127.0.0.1:8000")
	case opt.Model == "":
		return usage("--model is missing: the name of the model to ask")
	case opt.MaxTokens < 100:
		return usage("--max-tokens %d is too few to ask anything; it must be 100 or more", opt.MaxTokens)
	case opt.Timeout <= 0 || opt.Deadline <= 0:
		return usage("--timeout and --deadline must be more than 0")
	}
	if keyEnv != "" {
		key := os.Getenv(keyEnv)
		if key == "" {
			return usage("--upstream-key-env: the environment variable %s is not set", keyEnv)
		}
		u.Key = config.NewSecret(key)
	}
	if _, err := u.EffectiveDialect(); err != nil {
		return usage("%v", err)
	}
	if !quiet {
		fmt.Fprintf(stderr, "Asking %s, with at most %d tokens and %s.\n", opt.Model, opt.MaxTokens, opt.Deadline)
		opt.Progress = func(line string) { fmt.Fprintln(stderr, line) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	start := time.Now()
	report, err := probe.Run(ctx, opt)
	if err != nil {
		fmt.Fprintln(stderr, "antiphon probe:", err)
		return exitError
	}
	if !quiet {
		fmt.Fprintf(stderr, "Done in %s.\n\n", time.Since(start).Round(time.Millisecond))
	}
	if asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = report.Write(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "antiphon probe:", err)
		return exitError
	}
	return exitOK
}
