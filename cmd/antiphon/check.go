package main

import (
	"fmt"
	"io"

	"antiphon/config"
)

// runCheck reads a configuration as serve would, without connecting anywhere.
func runCheck(c *command, args []string, stdout, stderr io.Writer) int {
	var flags config.Flags
	if code, ok := c.flags(args, stderr, flags.Bind); !ok {
		return code
	}
	cfg, err := flags.Load()
	if err == nil {
		_, err = loadKeys(cfg)
	}
	if err == nil {
		_, err = cfg.Upstream.TLS.RootCAs()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitError
	}
	dialect, err := cfg.Upstream.EffectiveDialect()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitError
	}
	fmt.Fprint(stdout, cfg.Redacted())
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(stderr, "warning:", w)
	}
	fmt.Fprintf(stderr, "ok: upstream %s, dialect %s, digest %s\n", hostOf(cfg), dialect.Name, cfg.Digest())
	return exitOK
}
