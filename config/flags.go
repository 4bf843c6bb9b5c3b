package config

import (
	"errors"
	"flag"
	"io"
	"os"
	"strings"
)

// Flags are the command line's share of a configuration. They win over the
// file, but only those that are really given.
type Flags struct {
	// Path is the value of --config; empty is no file.
	Path string

	overrides []Override
}

// Bind registers the flags.
func (f *Flags) Bind(fs *flag.FlagSet) {
	fs.StringVar(&f.Path, "config", "", "configuration `file` in YAML (default: no file, all defaults)")
	value := func(name, key, usage, otherwise string) {
		fs.Func(name, usage+" (default "+otherwise+")", func(text string) error {
			f.overrides = append(f.overrides, Override{Key: key, Value: text, Source: "--" + name})
			return nil
		})
	}
	value("listen", "listen", "`host:port` of the API", DefaultListen)
	value("admin", "admin", "`host:port` of /metrics, /healthz, /readyz and /debug/pprof", "none")
	value("upstream", "upstream.url", "`URL` of the Chat Completions server, with or without /v1", DefaultUpstreamURL)
	value("upstream-api", "upstream.api", "`API` that the upstream speaks: chat or responses", string(APIChat))
	value("dialect", "upstream.dialect", "preset `name` of the upstream's dialect", "by the host of the upstream")
	value("loss", "loss", "`policy` for what the upstream has no place for: allow, warn or strict", string(DefaultLoss))
	value("store", "store.kind", "`kind` of the store of responses: memory, bolt:FILE, or the URL of a Redis or Valkey server", DefaultStoreKind)
	fs.Func("store-env", "`NAME` of the environment variable with the store's URL, for one with a password (default none)", func(name string) error {
		if !isEnvName(name) {
			return errors.New("must be the NAME of an environment variable, not the URL itself")
		}
		f.overrides = append(f.overrides, Override{Key: "store.kind", Value: "${" + name + "}", Source: "--store-env"})
		return nil
	})
	fs.Func("store-file", "`file` with the store's URL, for one with a password (default none)", func(path string) error {
		text, err := readLine(path)
		if err == nil {
			f.overrides = append(f.overrides, Override{Key: "store.kind", Value: escapeReferences(text), Source: storeFile})
		}
		return err
	})
	value("api-keys-file", "auth.api_keys_file", "`file` of inbound API keys", "none: clients' Authorization is forwarded")
	value("log-level", "log.level", "least important `level` to log: debug, info, warn or error", string(DefaultLogLevel))
	value("log-format", "log.format", "`format` of the log: json or console", string(DefaultLogFormat))
	value("shutdown-drain", "shutdown.drain", "`time` for running requests to finish at shutdown", DefaultShutdownDrain.String())
	fs.Func("upstream-key-env", "`NAME` of the environment variable with the upstream's key (default none)", func(name string) error {
		if !isEnvName(name) {
			return errors.New("must be the NAME of an environment variable, not the key itself")
		}
		f.overrides = append(f.overrides, Override{Key: "upstream.key", Value: "${" + name + "}", Source: "--upstream-key-env"})
		return nil
	})
	fs.Func("set", "any other `key=value` of the file, such as limits.body=8MiB; may be given again (default none)", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return errors.New("must be key=value, such as limits.body=8MiB")
		}
		f.overrides = append(f.overrides, Override{Key: key, Value: value, Source: "--set"})
		return nil
	})
}

// storeFile is the flag whose value is the name of a file with the value.
const storeFile = "--store-file"

// readLine reads a file of one line.
func readLine(path string) (string, error) {
	const most = 64 << 10
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, most))
	text := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", err
	case text == "":
		return "", errors.New("the file is empty")
	case strings.ContainsAny(text, "\r\n"):
		return "", errors.New("the file has more than one line")
	}
	return text, nil
}

// Load reads the file that --config names and applies the other flags.
func (f *Flags) Load() (*Config, error) { return Load(f.Path, f.overrides...) }
