package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/antiphon-proxy/antiphon/config"
)

// runCheck reads a configuration as serve would, without connecting anywhere.
func runCheck(c *command, args []string, stdout, stderr io.Writer) int {
	var flags config.Flags
	if code, ok := c.flags(args, stdout, stderr, flags.Bind); !ok {
		return code
	}
	cfg, err := flags.Load()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitError
	}
	upstreams, err := checkParts(cfg)
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

// checkParts looks at what a configuration refers to, and says what each upstream
// comes to.
func checkParts(cfg *config.Config) (upstreams []string, err error) {
	if _, err := loadKeys(cfg); err != nil {
		return nil, err
	}
	if err := checkStore(&cfg.Store); err != nil {
		return nil, err
	}
	for name, u := range cfg.All() {
		if _, err := u.TLS.RootCAs(); err != nil {
			return nil, err
		}
		d, err := u.EffectiveDialect()
		if err != nil {
			return nil, err
		}
		how := ""
		if u.Detects() {
			how = " until it shows what it is"
		}
		upstreams = append(upstreams, fmt.Sprintf("upstream %s %s, dialect %s%s", name, hostOf(u), d.Name, how))
	}
	return upstreams, nil
}
