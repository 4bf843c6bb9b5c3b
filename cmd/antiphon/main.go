// Command antiphon gives any Chat Completions backend a Responses API.
//
//	antiphon serve --upstream URL    run the proxy
//	antiphon check --config FILE     read a configuration and say what it comes to
//	antiphon probe --upstream URL    find out what a backend takes and how it answers
//	antiphon translate KIND          a request, response or stream, without a server
//	antiphon record, replay          keep exchanges as files, and take them through again
//	antiphon demo                    the proxy in front of a small built-in backend
//	antiphon state stats|check|compact --store bolt:FILE
//	antiphon version
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases; see the Makefile.
var version = "dev"

// The exit codes, for scripts.
const (
	exitOK    = 0
	exitError = 1 // it did not work
	exitUsage = 2 // the command line is wrong
)

// command is a subcommand.
type command struct {
	name string
	args string
	what string
	run  func(cmd *command, args []string, stdout, stderr io.Writer) int
}

var commands []*command

func init() {
	commands = []*command{
		{"serve", "[--config FILE] [--upstream URL] …", "run the proxy", runServe},
		{"check", "[--config FILE] …", "read a configuration and print what it comes to", runCheck},
		{"probe", "--upstream URL --model NAME …", "find out what a backend takes and how it answers", runProbe},
		{"demo", "[--listen ADDR]", "run the proxy in front of a small built-in backend, and show what it does", runDemo},
		{"state", "stats|check|compact --store bolt:FILE", "look after a state file that is not in use", runState},
		{"translate", "KIND [--from API] [--dialect NAME] [--explain] [--diff] … [FILE]", "translate a request, response or stream without a server", runTranslate},
		{"record", "[--out DIR] [--redact-contents] [flags of serve]", "run the proxy and keep each exchange as a file", runRecord},
		{"replay", "[--against URL] FILE…", "take a recorded exchange through the translator again", runReplay},
		{"version", "", "print the version", runVersion},
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return exitOK
	case "-v", "-version", "--version":
		args[0] = "version"
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(c, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "antiphon: there is no command %q\n\n", args[0])
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "antiphon gives any Chat Completions backend a Responses API.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  antiphon %-8s %-38s %s\n", c.name, c.args, c.what)
	}
	fmt.Fprint(w, "\nantiphon COMMAND --help lists the options of a command.\n")
}

// flags makes the flag set of a command. ok is false when the command line was
// wrong, or asked for help: code is what to exit with then.
func (c *command) flags(args []string, stdout, stderr io.Writer, bind func(*flag.FlagSet)) (code int, ok bool) {
	fs := flag.NewFlagSet("antiphon "+c.name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {}
	bind(fs)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stdout)
		fmt.Fprintf(stdout, "usage: antiphon %s %s\n\n%s.\n\n", c.name, c.args, c.what)
		fs.PrintDefaults()
		return exitOK, false
	case err != nil:
		fmt.Fprintf(stderr, "antiphon %s --help lists the options.\n", c.name)
		return exitUsage, false
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "antiphon %s: %q is not understood; options begin with --\n", c.name, fs.Arg(0))
		return exitUsage, false
	}
	return 0, true
}

func runVersion(c *command, args []string, stdout, stderr io.Writer) int {
	if code, ok := c.flags(args, stdout, stderr, func(*flag.FlagSet) {}); !ok {
		return code
	}
	fmt.Fprintf(stdout, "antiphon %s (%s, %s/%s)\n", fullVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

// fullVersion adds the commit to a version that is no release.
func fullVersion() string {
	if version != "dev" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return version + "-" + s.Value[:12]
			}
		}
	}
	return version
}
