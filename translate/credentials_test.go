package translate

import (
	"encoding/json"
	"strings"
	"testing"
)

// toolsWithSecrets are tools in which every SECRET is a credential, and every PLAIN is
// none.
var toolsWithSecrets = []string{
	`{"type":"mcp","server_label":"PLAIN","server_url":"https://user:SECRET@h.example:8443/SECRET/sse?key=SECRET#SECRET","authorization":"SECRET","headers":{"X-Any":"SECRET","Authorization":"Bearer SECRET"},"allowed_tools":["PLAIN"],"require_approval":"never"}`,
	`{"type":"mcp","server_label":"PLAIN","connector_id":"connector_PLAIN","author\u0069zation":"SECRET"}`,
	`{"type":"code_interpreter","container":{"type":"auto","PLAIN":1,"network_policy":{"type":"allowlist","allowed_domains":["PLAIN"],"domain_secrets":[{"domain":"d","name":"n","value":"SECRET"}]}}}`,
	`{"type":"shell","environment":{"type":"PLAIN","env":{"AWS":"SECRET"}}}`,
	`{"type":"web_search","filters":{"type":"eq","key":"PLAIN","value":"PLAIN"},"x-api-key":"SECRET","apiKey":"SECRET","options":[{"deep":{"access_token":"SECRET","clientSecret":"SECRET","password":"SECRET","bearer":"SECRET"}}]}`,
	`{"type":"function","name":"PLAIN","description":"PLAIN token","parameters":{"type":"object","properties":{"password":{"type":"string","default":"PLAIN"},"headers":{"type":"object"}}},"headers":{"a":"SECRET"},"authorization":"SECRET"}`,
	`{"type":"namespace","name":"PLAIN","description":"PLAIN","tools":[{"type":"function","name":"PLAIN","parameters":{"properties":{"token":{"const":"PLAIN"}}}},{"type":"mcp","server_label":"PLAIN","authorization":"SECRET","server_url":"http://h/SECRET"}]}`,
	`{"type":"vendor_thing","parameters":{"key":"SECRET","authentication":{"type":"t","value":"SECRET"}},"endpoint":"https://SECRET@h/PLAIN?sig=SECRET","max_tokens":7,"key":null}`,
	`{"type":"custom","name":"PLAIN","format":{"type":"grammar","syntax":"lark","definition":"start: \"PLAIN\""},"api_key":"SECRET"}`,
}

// plains says how often PLAIN stands in a text.
func plains(s string) int { return strings.Count(s, "PLAIN") }

func TestCredentialsOfToolsAreNotShown(t *testing.T) {
	for _, tool := range toolsWithSecrets {
		for name, body := range map[string]string{
			"tools":            `{"model":"m","input":"x","tools":[` + tool + `]}`,
			"additional_tools": `{"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[` + tool + `]},{"role":"user","content":"x"}]}`,
			"tool_search":      `{"model":"m","input":[{"role":"user","content":"x"},{"type":"tool_search_call","call_id":"c","execution":"client","arguments":{}},{"type":"tool_search_output","call_id":"c","execution":"client","tools":[` + tool + `]}]}`,
		} {
			var r Request
			if err := r.Parse([]byte(body), RequestLimits{}); err != nil {
				t.Fatal(tool, err)
			}
			echo := r.appendEcho(nil)
			input, _ := r.StorableInput()
			var listed []byte
			for i := range r.items {
				listed = append(r.items[i].appendStored(listed, &Seed{}), '\n')
			}
			recorded, changed := WithoutCredentials([]byte(body))
			if !changed {
				t.Errorf("%s: nothing was found in %s", name, body)
			}
			for what, got := range map[string][]byte{"echo": append([]byte(`{"a":1`), append(echo, '}')...), "stored": input, "recorded": recorded} {
				if strings.Contains(string(got), "SECRET") {
					t.Errorf("%s, %s: %s", name, what, got)
				}
				if !json.Valid(got) {
					t.Errorf("%s, %s is no JSON: %s", name, what, got)
				}
			}
			if strings.Contains(string(listed), "SECRET") {
				t.Errorf("%s, listed: %s", name, listed)
			}
			if got, want := plains(string(recorded)), plains(body); got != want {
				t.Errorf("%s: of %d words that are no secrets %d are left: %s", name, want, got, recorded)
			}
			shown := string(input)
			if name == "tools" {
				shown = string(echo)
			}
			if got, want := plains(shown), plains(body); got != want {
				t.Errorf("%s: of %d words that are no secrets %d are left: %s", name, want, got, shown)
			}
			if whole, _ := r.wholeInput(false); strings.Count(string(whole), "SECRET") != strings.Count(body, "SECRET") && name != "tools" {
				t.Errorf("%s: the backend does not get %s", name, whole)
			}
			masked := body
			for _, c := range Credentials([]byte(strings.ReplaceAll(body, "SECRET", "SECRET-of-length"))) {
				masked = strings.ReplaceAll(masked, strings.ReplaceAll(c, "-of-length", ""), "")
			}
			if strings.Contains(masked, "SECRET") {
				t.Errorf("%s: the list of credentials lacks what is in %s", name, masked)
			}
		}
	}
}

func TestWhatIsNoCredentialStays(t *testing.T) {
	for _, body := range []string{
		`{"model":"m","input":[{"role":"user","content":"my password is x"},{"type":"function_call","call_id":"c","name":"f","arguments":"{\"token\":\"x\"}"},{"type":"function_call_output","call_id":"c","output":"Authorization: x"}]}`,
		`{"model":"m","input":"x","metadata":{"token":"t"},"prompt_cache_key":"k","safety_identifier":"s"}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/x?sig=1"}}]}]}`,
		`{"model":"m","input":"x","tools":[{"type":"mcp","server_label":"l","server_url":"https://h.example","headers":null,"authorization":null}]}`,
		`[1]`, `no JSON`,
	} {
		if got, changed := WithoutCredentials([]byte(body)); changed || string(got) != body {
			t.Errorf("%s became %s", body, got)
		}
		if list := Credentials([]byte(body)); len(list) > 0 {
			t.Errorf("%s: %q", body, list)
		}
	}
}

func TestAddressesOfServersAreShownWithoutSecrets(t *testing.T) {
	for address, want := range map[string]string{
		"https://mcp.example.net/v1/berths":        "https://mcp.example.net/<redacted>",
		"https://u:p@mcp.example.net":              "https://mcp.example.net",
		"https://mcp.example.net/":                 "https://mcp.example.net/",
		"https://mcp.example.net?k=v":              "https://mcp.example.net",
		"http://u@v@127.0.0.1:8080/x":              "http://127.0.0.1:8080/<redacted>",
		"https://mcp.example.net\\@evil.example/x": "https://mcp.example.net/<redacted>",
		"no address": "no address",
	} {
		if got, _ := shownAddress([]byte("server_url"), address); got != want {
			t.Errorf("%s is shown as %s, not %s", address, got, want)
		}
	}
}
