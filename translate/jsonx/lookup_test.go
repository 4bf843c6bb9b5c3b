package jsonx

import "testing"

func TestFirstKey(t *testing.T) {
	for beginning, want := range map[string]string{
		`{"model":"m","messages":[`:                        "messages",
		`{"model":"m","input":"x","messages":[]}`:          "input",
		`{"model":"messages","tools":[{"input":1}],"inp`:   "",
		`{"a":{"messages":1},"input":`:                     "input",
		`{"a":"\\\"","input":1`:                            "input",
		`{"a":"\\","messages"`:                             "messages",
		` { "x" : [ "messages" , "input" ] , "messages" :`: "messages",
		`["messages","input"]`:                             "",
		`{"messages`:                                       "",
		`"input"`:                                          "",
		``:                                                 "",
		`}}}{"input":1`:                                    "",
		`{"a":"\`:                                          "",
	} {
		if got := FirstKey([]byte(beginning), "messages", "input"); got != want {
			t.Errorf("%s: %q, want %q", beginning, got, want)
		}
	}
}
