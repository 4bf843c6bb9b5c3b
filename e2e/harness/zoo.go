package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/probe"
	"github.com/antiphon-proxy/antiphon/proxy/zoo"
)

// ZooModes are what a proxy is told of a member of the zoo: its preset, what a
// probe has found out, or nothing, so that it has refusals alone to go by.
var ZooModes = []string{"preset", "probe", "learning"}

// ZooMember is a member of the zoo behind the proxy of a stage.
type ZooMember struct {
	*zoo.Server
	Mode  string // one of ZooModes
	Model string // the name by which clients ask for it
}

// Zoo is all members in all modes, behind one proxy.
type Zoo struct {
	Members []*ZooMember
	dir     string // of the configuration
}

// OpenZoo starts the members, and the flags that put a proxy in front of them.
func OpenZoo() (z *Zoo, flags []string, err error) {
	z = &Zoo{}
	for i := range zoo.Families {
		f := &zoo.Families[i]
		for _, mode := range ZooModes {
			z.Members = append(z.Members, &ZooMember{zoo.Start(f), mode, f.Name + "." + mode})
		}
	}
	defer func() {
		if err != nil {
			z.Close()
		}
	}()
	sections := make([]string, len(z.Members))
	errs := make([]error, len(z.Members))
	var all sync.WaitGroup
	for i, m := range z.Members {
		all.Go(func() { sections[i], errs[i] = m.section(fmt.Sprintf("member%d", i)) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	if z.dir, err = os.MkdirTemp("", "antiphon-zoo-"); err != nil {
		return nil, nil, err
	}
	file := filepath.Join(z.dir, "antiphon.yml")
	text := "upstream: {dialect: generic}\nupstreams:\n" + strings.Join(sections, "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	return z, []string{"--config", file}, nil
}

// section is the configuration of the proxy for the member.
func (m *ZooMember) section(name string) (string, error) {
	dialect, overrides := "generic", ""
	switch m.Mode {
	case "preset":
		dialect = m.Family.Dialect()
	case "probe":
		u := config.Default().Upstream
		u.URL = m.Base()
		report, err := probe.Run(context.Background(), probe.Options{Upstream: &u, Model: m.Family.Model()})
		if err != nil {
			return "", fmt.Errorf("probe of %s: %w", m.Family.Name, err)
		}
		dialect, overrides = report.Dialect, report.Overrides()
		m.Forget()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:\n    url: %q\n    dialect: %q\n    models: {%q: %q}\n", name, m.Base(), dialect, m.Model, m.Family.Model())
	if overrides != "" {
		fmt.Fprintf(&b, "    overrides:\n      %s\n", strings.ReplaceAll(strings.TrimSpace(overrides), "\n", "\n      "))
	}
	return b.String(), nil
}

// Member is the member that clients ask for by that name, or nil.
func (z *Zoo) Member(model string) *ZooMember {
	i := slices.IndexFunc(z.Members, func(m *ZooMember) bool { return m.Model == model })
	if i < 0 {
		return nil
	}
	return z.Members[i]
}

// Surprises are the refusals since the last Forget that the proxy should have known
// of: none that is of the model is known to a preset.
func (m *ZooMember) Surprises() (list []string) {
	_, refused := m.Asked()
	for _, r := range refused {
		if m.Mode != "preset" || !r.Rule.Model {
			list = append(list, r.String())
		}
	}
	return list
}

// Close stops the members.
func (z *Zoo) Close() {
	for _, m := range z.Members {
		m.Server.Close()
	}
	if z.dir != "" {
		_ = os.RemoveAll(z.dir)
	}
}
