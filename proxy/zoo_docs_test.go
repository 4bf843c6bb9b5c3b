//go:build !race

// Under the race detector the zoo takes minutes; the real clients (e2e) go to all of
// it with the race detector in the proxy.

package proxy

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/antiphon-proxy/antiphon/proxy/zoo"
)

const dialectsFile = "../docs/DIALECTS.md"

// memberRow is how a member of the zoo fares: its row of the page.
type memberRow struct {
	cells   [][]zooResult // by feature, by mode
	learned []string      // facts, starting from nothing
}

// cell is a feature in one mode, in a sign.
func (r *zooResult) cell() string {
	switch {
	case r.absent:
		return "–"
	case r.err != nil:
		return "✗"
	case r.silent:
		return "○"
	case r.partly:
		return "◐"
	}
	return "●"
}

// TestDocsDialects: docs/DIALECTS.md has what comes out when the client suite is run
// in front of the zoo. With -update it is written.
func TestDocsDialects(t *testing.T) {
	rows := make([]memberRow, len(zoo.Families))
	t.Run("zoo", func(t *testing.T) {
		var mu sync.Mutex
		for i := range zoo.Families {
			family, row := &zoo.Families[i], &rows[i]
			t.Run(family.Name, func(t *testing.T) {
				t.Parallel()
				var byMode [][]zooResult
				for j := range zooModes {
					results, learned := zooRun(t, family, &zooModes[j])
					byMode = append(byMode, results)
					if zooModes[j].learn {
						row.learned = learned
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for k := range zooFeatures {
					var cells []zooResult
					for j := range zooModes {
						cells = append(cells, byMode[j][k])
					}
					row.cells = append(row.cells, cells)
				}
			})
		}
	})
	got := dialectsPage(rows)
	if *update {
		if err := os.WriteFile(dialectsFile, got, 0o644); err != nil { // a page to read
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(dialectsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/DIALECTS.md is out of date (make docs); it should be\n%s", got)
	}
}

const dialectsHead = `# Dialects

<!-- made by a test: make docs -->

"OpenAI-compatible" means many things. Antiphon ships a preset for each family of servers below, recognises it by the host,
by what the server shows of itself, or by what ` + "`antiphon probe`" + ` sees, and learns the rest from refusals and from what
replies show ([OPERATIONS.md](OPERATIONS.md#what-it-learns-about-a-backend)). Each family has a scripted member in the package
proxy/zoo that refuses and answers as the family is documented to, and every cell of the table is the client suite in front of
that member, over real sockets. No real server was asked for it.

Four signs for four modes: by **preset**; by what **probe** has found (from the recognised preset); with **nothing
configured**, at an address that says nothing; and by **learning** alone, from the dialect generic.

- ● works
- ◐ works, with something left out or in another form, which the loss report says
- ○ works, but the backend ignores something in silence that nobody has told the proxy of (no cell has it)
- ✗ does not work (no cell has it)
- – is nothing that the model can do

Members with the name of a model are servers that refuse what the model's chat template refuses.

`

func dialectsPage(rows []memberRow) []byte {
	var b bytes.Buffer
	b.WriteString(dialectsHead)
	b.WriteString("| family |")
	for _, f := range zooFeatures {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(zooFeatures)) + "\n")
	for i := range rows {
		b.WriteString("| " + zoo.Families[i].Name + " |")
		for _, cells := range rows[i].cells {
			b.WriteByte(' ')
			for j := range cells {
				b.WriteString(cells[j].cell())
			}
			b.WriteString(" |")
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nThe features:\n\n")
	for _, f := range zooFeatures {
		fmt.Fprintf(&b, "- **%s**: %s\n", f.name, f.what)
	}
	b.WriteString("\n## What is learned from nothing\n\nThe facts that the suite has taught the generic dialect: one refusal at a time, or by what was taken and not kept to.\n\n| family | facts |\n|---|---|\n")
	for i := range rows {
		facts := "–"
		if len(rows[i].learned) > 0 {
			facts = "`" + strings.Join(rows[i].learned, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", zoo.Families[i].Name, facts)
	}
	b.WriteString("\n## What each family refuses, and where that is known from\n\nModel: some models or versions of the family do, so that it is learned and not in the preset.\n\n| family | what | evidence |\n|---|---|---|\n")
	for i := range zoo.Families {
		for _, r := range zoo.Families[i].Rules {
			name := r.Name
			if r.Model {
				name += " (model)"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", zoo.Families[i].Name, name, strings.ReplaceAll(r.Evidence, "|", "\\|"))
		}
	}
	return b.Bytes()
}
