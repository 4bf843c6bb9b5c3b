package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/proxy/store/bolt"
)

// stateActions are what can be done to a state file.
var stateActions = []struct {
	name, what string
	run        func(file string, asJSON bool, stdout io.Writer) error
}{
	{"stats", "say what it holds", stateStats},
	{"check", "read all of it, and list what is damaged", stateCheck},
	{"compact", "write it anew without the room that is not in use", stateCompact},
}

// errDamaged is what check returns when it has listed what is wrong.
var errDamaged = errors.New("")

// runState looks after a state file that no process has open. Its exit codes: 0,
// it is done and, for check, nothing is wrong; 1, it could not be done, or
// something is damaged; 2, the command line is wrong.
func runState(c *command, args []string, stdout, stderr io.Writer) int {
	var action string
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		action, args = args[0], args[1:]
	}
	var kind string
	var asJSON bool
	code, ok := c.flags(args, stdout, stderr, func(fs *flag.FlagSet) {
		fs.StringVar(&kind, "store", "", "the `bolt:FILE`")
		fs.BoolVar(&asJSON, "json", false, "print JSON")
		usage := fs.Usage
		fs.Usage = func() {
			usage()
			fmt.Fprintln(stderr)
			for _, a := range stateActions {
				fmt.Fprintf(stderr, "  antiphon state %-8s %s\n", a.name, a.what)
			}
		}
	})
	if !ok {
		return code
	}
	file := (&config.Store{Kind: kind}).File()
	if file == "" {
		fmt.Fprintf(stderr, "antiphon state: --store must be bolt:FILE, and is %q\n", kind)
		return exitUsage
	}
	for _, a := range stateActions {
		if a.name != action {
			continue
		}
		err := a.run(file, asJSON, stdout)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				fmt.Fprintln(stderr, "antiphon state:", err)
			}
			return exitError
		}
		return exitOK
	}
	fmt.Fprintf(stderr, "antiphon state: %q is nothing that can be done; it can be stats, check or compact\n", action)
	return exitUsage
}

// stateReport is the JSON of stats and check.
type stateReport struct {
	File      string   `json:"file"`
	Format    int      `json:"format"`
	FileBytes int64    `json:"file_bytes"`
	UsedBytes int64    `json:"used_bytes"`
	Records   int64    `json:"records"`
	Documents int64    `json:"documents"`
	Entries   int64    `json:"entries"`
	Bytes     int64    `json:"bytes"`
	Problems  []string `json:"problems,omitempty"`
}

func printReport(file string, r *bolt.Report, asJSON bool, w io.Writer) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(stateReport{
			file, r.Format, r.FileBytes, r.UsedBytes, r.Counts.Records, r.Counts.Documents, r.Counts.Entries, r.Counts.Bytes, r.Problems,
		})
	}
	_, err := fmt.Fprintf(w, "%s: format %d\n", file, r.Format)
	for _, line := range []struct {
		what  string
		value any
	}{
		{"responses", r.Counts.Records},
		{"documents", r.Counts.Documents},
		{"log entries", r.Counts.Entries},
		{"content", human(r.Counts.Bytes)},
		{"in use", human(r.UsedBytes)},
		{"file", human(r.FileBytes)},
	} {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %-12s %v\n", line.what, line.value)
		}
	}
	return err
}

func stateStats(file string, asJSON bool, w io.Writer) error {
	r, err := bolt.Inspect(file)
	if err != nil {
		return err
	}
	return printReport(file, r, asJSON, w)
}

func stateCheck(file string, asJSON bool, w io.Writer) error {
	r, err := bolt.Check(file)
	if err != nil {
		return err
	}
	if err := printReport(file, r, asJSON, w); err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		if !asJSON {
			fmt.Fprintf(w, "damaged:\n")
			for _, p := range r.Problems {
				fmt.Fprintf(w, "  %s\n", p)
			}
		}
		return errDamaged
	}
	if !asJSON {
		fmt.Fprintln(w, "ok: every page, value and index is as it was written")
	}
	return nil
}

func stateCompact(file string, asJSON bool, w io.Writer) error {
	before, after, err := bolt.Compact(file)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{"file": file, "before_bytes": before, "after_bytes": after})
	}
	_, err = fmt.Fprintf(w, "%s: %v, was %v\n", file, human(after), human(before))
	return err
}

// human is a size for people: three digits are enough to see what grows.
func human(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, u := float64(n), 0
	for size >= 1000 && u < len(units)-1 {
		size /= 1024
		u++
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", size, units[u])
}
