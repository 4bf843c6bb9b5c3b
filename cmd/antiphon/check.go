package main

import (
	"fmt"
	"io"
	"strings"

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
		err = checkStore(&cfg.Store)
	}
	var upstreams []string
	for name, u := range cfg.All() {
		if err == nil {
			_, err = u.TLS.RootCAs()
		}
		if err != nil {
			break
		}
		d, wrong := u.EffectiveDialect()
		if err = wrong; err == nil {
			upstreams = append(upstreams, fmt.Sprintf("upstream %s %s, dialect %s", name, hostOf(u), d.Name))
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitError
	}
	fmt.Fprint(stdout, cfg.Redacted())
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(stderr, "warning:", w)
	}
	fmt.Fprintf(stderr, "ok: %s; digest %s\n", strings.Join(upstreams, "; "), cfg.Digest())
	return exitOK
}
