package translate

import "testing"

func TestReadResponsesRefusal(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]ResponsesRefusal{
		`{"type":"error","code":"server_error","message":"No.","param":null,"sequence_number":0}`: RefusalInPlace,
		`{"type":"error","error":{"type":"invalid_request_error","message":"No."}}`:               RefusalInPlace,
		`{"type":"error"}`:                       RefusalInPlace,
		`{"error":{"message":"No.","code":500}}`: RefusalInPlace, // llama.cpp
		`{"error":"No."}`:                        RefusalInPlace,
		`{"message":"No.","code":"Throttling"}`:  RefusalInPlace,
		`{"detail":[{"msg":"field required"}]}`:  RefusalInPlace,
		`[{"error":{"message":"No."}}]`:          RefusalInPlace,
		`{"type":"response.failed","sequence_number":2,"response":{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"No."},"output":[]}}`: RefusalFailed,
		`{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"No."},"output":[]}`:                                                           RefusalFailed,
		`{"id":"resp_1","object":"response","status":"completed","error":null,"output":[]}`:                                                                                           NoRefusal,
		`{"id":"resp_1","object":"response","status":"cancelled","error":null,"output":[]}`:                                                                                           NoRefusal,
		`{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"output":[]}}`:                                                  NoRefusal,
		`{"type":"response.output_text.delta","delta":"{\"error\":1}"}`:                                                                                                               NoRefusal,
		`{"type":"response.incomplete","response":{"status":"incomplete"}}`:                                                                                                           NoRefusal,
		`{"error":null}`: NoRefusal,
		`{`:              NoRefusal,
		`"x"`:            NoRefusal,
		``:               NoRefusal,
	} {
		if got := ReadResponsesRefusal([]byte(body)); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
}
